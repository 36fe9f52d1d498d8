#ifndef XEN_NET_H
#define XEN_NET_H

#include <stdbool.h>

/* Looks for the first network device, which is registered (netdev.h) once its backend is there. */
void xen_net_start(void);

/* Is it known whether there is one, and what its address is? */
bool xen_net_settled(void);

#endif
