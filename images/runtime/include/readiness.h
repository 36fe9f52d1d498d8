/* Readiness: the line "ready <name> <microseconds since entry>" on the port
 * org.jitsu.ready, each time a listener appears there once the guest serves. */
#ifndef READINESS_H
#define READINESS_H

#include <stdint.h>

#include "cmdline.h"

/* Makes the port known; call before the drivers start. */
void readiness_register(void);

/* The guest serves since this time (nanoseconds since entry). */
void readiness_reached(const struct guest_config *config, uint64_t ready);

#endif
