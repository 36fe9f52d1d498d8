/* The IP stack as the main loop sees it; net/ implements it. */
#ifndef NETWORK_H
#define NETWORK_H

#include <stdbool.h>
#include <stdint.h>

#include "guest_config.h"

/* Brings the interface up on the first network device; panics without one. */
void network_start(const struct guest_config *config);

/* Tells the neighbours who we are: one gratuitous ARP.  Those of IPv6 know it
 * from who answered them before us. */
void network_announce(void);

/* Draws new secrets from the random generator: this guest may be one of several
 * copies that had the same. */
void network_rekey(void);

/* Takes in what has arrived and runs due timers; false if nothing had arrived. */
bool network_poll(void);

/* Time of the next timer (nanoseconds since entry), or CLOCK_NEVER. */
uint64_t network_next_deadline(void);

#endif
