/* TCP by lwIP's raw interface. */
#ifndef TCP_H
#define TCP_H

#include <stdint.h>

/* Listens on all addresses; panics if that cannot be. */
void tcp_start(uint16_t port);

#endif
