#ifndef HYPERCALL_H
#define HYPERCALL_H

#include <stdbool.h>

/* Is this Xen?  Then xen_hypercall() (xen.h) can be used from now on. */
bool hypercall_start(void);

#endif
