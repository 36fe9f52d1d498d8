/* The line that the host writes when a guest goes on after a rest, or lives on
 * as a copy of a saved one: "wake SEED CLOCK".  SEED is 64 hexadecimal digits
 * that no other guest was given, CLOCK the time in nanoseconds since 1970. */
#ifndef WAKE_H
#define WAKE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WAKE_SEED_WORDS 4
#define WAKE_LINE_MAX 128 /* with its newline */

struct wake {
    uint64_t seed[WAKE_SEED_WORDS];
    uint64_t clock;
};

/* Reads a line without its newline; false if it is anything else. */
bool wake_parse(const char *line, size_t length, struct wake *wake);

#endif
