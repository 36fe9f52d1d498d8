/* A small formatter: %s %c %d %u %x %lu %lx %llu %zu %%, with an optional 0
 * flag and width for numbers.  That is all this code base prints. */
#ifndef FORMAT_H
#define FORMAT_H

#include <stdarg.h>
#include <stddef.h>

/* Writes at most size - 1 characters and a NUL; returns the number of
 * characters written (not the number wanted, unlike snprintf). */
size_t format(char *out, size_t size, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
size_t format_va(char *out, size_t size, const char *fmt, va_list args);

#endif
