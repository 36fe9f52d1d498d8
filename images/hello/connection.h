/* HTTP connections over lwIP's raw TCP interface. */
#ifndef CONNECTION_H
#define CONNECTION_H

#include <stdint.h>

/* Listens on this port, on all addresses. */
void connection_listen(uint16_t port);

#endif
