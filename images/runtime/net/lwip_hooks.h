/* What lwIP calls back into; lwipopts.h names the hooks. */
#ifndef LWIP_HOOKS_H
#define LWIP_HOOKS_H

#include "lwip/ip_addr.h"

struct netif;

/* isn.c: the first sequence number of a connection. */
u32_t isn_choose(const ip_addr_t *local_ip, u16_t local_port, const ip_addr_t *remote_ip, u16_t remote_port);

/* lwip_glue.c: the neighbour that takes what is for beyond the link; NULL if there is none. */
const ip6_addr_t *ipv6_gateway(struct netif *netif, const ip6_addr_t *destination);

#endif
