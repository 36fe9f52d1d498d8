/* The echo service over UDP (RFC 862). */
#ifndef ECHO_H
#define ECHO_H

#include <stdint.h>

/* Sends every datagram that comes to this port back to where it came from. */
void echo_listen(uint16_t port);

#endif
