/* What lwIP calls back into; lwipopts.h names the hooks. */
#ifndef LWIP_HOOKS_H
#define LWIP_HOOKS_H

#include "lwip/ip_addr.h"

/* isn.c: the first sequence number of a connection. */
u32_t isn_choose(const ip_addr_t *local_ip, u16_t local_port, const ip_addr_t *remote_ip, u16_t remote_port);

#endif
