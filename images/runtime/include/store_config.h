/* What a guest is told at its start, from the XenStore: the nodes data/jitsu/config/name,
 * ip, gw, ip6, gw6 and mac hold what the words of the command line hold. */
#ifndef STORE_CONFIG_H
#define STORE_CONFIG_H

#include "guest_config.h"

/* Asks the store for what the command line has not set, and waits: for the store as long
 * as it takes, for the port not at all long; without one, nothing is set.  Returns NULL,
 * or what is wrong in words. */
const char *store_config_get(struct guest_config *config);

#endif
