"""The sockets in the runtime folder. Whoever connects needs the name, and nothing of what listens there."""

CONTROL = "control.sock"
"""`jitsu serve`."""

CONSOLED = "consoled.sock"
XENSTORED = "xenstore.sock"
