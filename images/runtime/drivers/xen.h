/* What a domain has of Xen: its parameters, the page that they share, event channels and
 * grants.  Drivers of Xen's devices are in files of their own. */
#ifndef XEN_H
#define XEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "xen_abi.h"

#define XEN_PAGE 4096

/* Calls Xen; implemented under arch/.  Results below 0 are errors (xen/errno.h). */
long xen_hypercall(unsigned int number, uintptr_t first, const void *second, uintptr_t third);

/* Takes the shared page into use, with all events masked. */
void xen_start(void);

extern struct xen_shared_info xen_shared;

/* Puts a frame of Xen's in the place of a page of ours. */
void xen_map(uint32_t space, uint64_t index, void *page);

/* A parameter of the domain (HVM_PARAM_*); 0 if it has none. */
uint64_t xen_parameter(uint32_t index);

_Noreturn void xen_shutdown(uint32_t reason);

/* --- event channels ---------------------------------------------------------- */

/* Makes a port that the other domain can bind to. */
uint32_t xen_event_open(uint16_t remote);

/* What arrives on this port from now on ends irq_wait(), one way or the other:
 * - to sleep is to ask Xen for an event (xen_event_wait), or
 * - events raise an interrupt, whose handler is xen_event_take(). */
void xen_event_watch(uint32_t port);

void xen_event_send(uint32_t port);

/* Takes note of what has arrived.  Drivers look at what they share after that, so what comes
 * then ends the next sleep. */
void xen_event_take(void *context);

/* Sleeps until an event has arrived on a watched port since the last call, or until
 * this system time (ns since Xen's start; 0: no end). */
void xen_event_wait(uint64_t until);

/* --- grants ------------------------------------------------------------------ */

/* Lets another domain use a page, for ever: what is granted here are rings and buffers
 * that live as long as the guest. */
uint32_t xen_grant(uint16_t domain, const void *page, bool read_only);

#endif
