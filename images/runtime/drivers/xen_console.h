#ifndef XEN_CONSOLE_H
#define XEN_CONSOLE_H

#include <stddef.h>

void xen_console_start(void);
void xen_console_write(const char *text, size_t length);

/* Waits until everything was read, or nobody reads any more. */
void xen_console_flush(void);

#endif
