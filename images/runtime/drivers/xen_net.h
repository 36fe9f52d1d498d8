#ifndef XEN_NET_H
#define XEN_NET_H

/* Connects the first network device, if there is one, and registers it (netdev.h). */
void xen_net_start(void);

#endif
