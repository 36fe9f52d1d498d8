"""Floor 2: embryonic TCP. The sentinel answers for sleepers (ARP, NDP), holds their SYNs and delivers them once."""
