"""Floor 2: embryonic TCP. The sentinel answers ARP for sleepers, holds their SYNs and delivers them once."""
