"""Floor 2: the authoritative DNS server whose questions summon."""
