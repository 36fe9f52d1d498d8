#ifndef NEIGHBOUR_H
#define NEIGHBOUR_H

#include "lwip/netif.h"

/* Learns from an arrived frame where its answer has to go; see neighbour.c. */
void neighbour_learn(struct netif *netif, const struct pbuf *frame);

#endif
