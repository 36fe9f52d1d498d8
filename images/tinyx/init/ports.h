/* The carriers of ports (port.h) on Linux: virtio-serial ports, which the kernel names in /sys/class/virtio-ports, and
 * for org.jitsu.xenstore in a domain of Xen /dev/xen/xenbus, behind which is the ring of the store. */
#ifndef PORTS_H
#define PORTS_H

#include <stdbool.h>

/* Finds the ports that are there, and those that come. */
void ports_start(void);

/* Is this a domain of Xen? */
bool ports_xen(void);

/* Does what a port has put off; false if there was nothing. */
bool ports_poll(void);

#endif
