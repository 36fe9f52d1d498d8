/* Readiness: the line "ready NAME MICROSECONDS" on the port org.jitsu.ready, and
 * "NAME MICROSECONDS" in the node data/jitsu/ready of the XenStore (xenstore.h),
 * where NAME is the guest's and MICROSECONDS the time since entry at which it
 * served.  Said each time a listener appears on either port.
 *
 * The other way, the host says "wake SEED CLOCK" on the port, or writes "SEED CLOCK"
 * to data/jitsu/control/wake, after a rest (wake.h).  The guest then draws new secrets,
 * sets its clock, and says that it is ready again, with CLOCK as a further word: the
 * host knows which wake that answers.  At "stop", or as soon as there is a node
 * data/jitsu/control/stop, it ends. */
#ifndef READINESS_H
#define READINESS_H

#include <stdint.h>

#include "guest_config.h"

/* Makes the ports known; call before the drivers start. */
void readiness_register(void);

/* The guest serves since this time (nanoseconds since entry). */
void readiness_reached(const struct guest_config *config, uint64_t ready);

#endif
