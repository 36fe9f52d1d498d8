#ifndef XEN_CONSOLE_H
#define XEN_CONSOLE_H

#include <stdbool.h>
#include <stddef.h>

void xen_console_start(void);
void xen_console_write(const char *text, size_t length);

/* Was there a wait for room since the last call?  It may have ended by an event that was meant
 * for another driver. */
bool xen_console_waited(void);

/* Waits until everything was read, or nobody reads any more. */
void xen_console_flush(void);

#endif
