"""Floor 3: the life of a summon, a pure state machine and the driver that carries out what it decides."""
