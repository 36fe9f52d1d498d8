#ifndef XEN_BLOCK_H
#define XEN_BLOCK_H

#include <stdbool.h>

/* Looks for the first block device, xvda, which is registered (blockdev.h) once it is connected. */
void xen_block_start(void);

/* Is it known whether there is one? */
bool xen_block_settled(void);

/* Takes in what the backend has answered; false if there was nothing. */
bool xen_block_poll(void);

#endif
