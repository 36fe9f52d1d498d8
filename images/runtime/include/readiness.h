/* Readiness: the line "ready <name> <microseconds since entry>" on the port
 * org.jitsu.ready, each time a listener appears there once the guest serves.
 *
 * The other way, the host says "wake SEED CLOCK" (wake.h) after a rest.  The
 * guest then draws new secrets, sets its clock, and says that it is ready again,
 * with CLOCK as a further word: the host knows which wake that answers.  At "stop"
 * it ends. */
#ifndef READINESS_H
#define READINESS_H

#include <stdint.h>

#include "cmdline.h"

/* Makes the port known; call before the drivers start. */
void readiness_register(void);

/* The guest serves since this time (nanoseconds since entry). */
void readiness_reached(const struct guest_config *config, uint64_t ready);

#endif
