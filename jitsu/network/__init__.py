"""Floor 2: bridge, taps, the gate, and the frames that pass them."""
