/* The console: text for whoever looks after the guest.  Every byte costs an
 * exit from the VM, so the runtime says one line at boot and one when it dies.
 * The platform says which driver it has (platform.h). */
#ifndef CONSOLE_H
#define CONSOLE_H

#include <stddef.h>

void console_write(const char *text, size_t length);

/* Formats as format() does (format.h); longer lines are cut at 255 bytes. */
void console_print(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
