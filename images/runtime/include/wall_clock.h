/* The time of the world, as the host has told it. */
#ifndef WALL_CLOCK_H
#define WALL_CLOCK_H

#include <stdint.h>

/* It is this many nanoseconds since 1970 now. */
void wall_clock_set(uint64_t time);

/* Nanoseconds since 1970, or 0 if nobody has told. */
uint64_t wall_clock_now(void);

#endif
