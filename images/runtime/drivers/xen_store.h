#ifndef XEN_STORE_H
#define XEN_STORE_H

#include <stdbool.h>

/* Carries the port org.jitsu.xenstore (port.h) on the domain's ring. */
void xen_store_start(void);

/* Takes in what the store has said; false if there was nothing. */
bool xen_store_poll(void);

#endif
