"""Floor 2: hypervisor drivers, all behind one interface."""
