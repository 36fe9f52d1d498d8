/* What the host says when a guest goes on after a rest, or lives on as a copy of a
 * saved one: "SEED CLOCK".  SEED is 64 hexadecimal digits that no other guest was
 * given, CLOCK the time in nanoseconds since 1970. */
#ifndef WAKE_H
#define WAKE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WAKE_SEED_WORDS 4
#define WAKE_MAX 84 /* characters */

struct wake {
    uint64_t seed[WAKE_SEED_WORDS];
    uint64_t clock;
};

/* Reads the two words; false if they are anything else. */
bool wake_parse(const char *words, size_t length, struct wake *wake);

#endif
