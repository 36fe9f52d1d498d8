/* The clock interface: monotonic time since the guest's entry point, and one
 * alarm that ends irq_wait().  There is no tick.  One file under arch/
 * implements it. */
#ifndef CLOCK_H
#define CLOCK_H

#include <stdint.h>

#define CLOCK_US 1000ULL
#define CLOCK_MS 1000000ULL
#define CLOCK_NEVER UINT64_MAX

/* Starts the alarm timer, against which the counter's rate is measured. */
void clock_init(void);

/* The raw counter since entry, in ticks of a rate that is not known at first. */
uint64_t clock_ticks(void);

/* Fixes the rate from the time since clock_init(): the longer that was, the
 * better (1 ms gives 0.1 %).  The clock refines it later by itself. */
void clock_calibrate(void);

/* Nanoseconds since entry of a counter value read before clock_calibrate(). */
uint64_t clock_from_ticks(uint64_t ticks);

/* Nanoseconds since entry; 0 before clock_calibrate(). */
uint64_t clock_now(void);

/* Arranges for irq_wait() to return at this time (nanoseconds since entry) or,
 * harmlessly, earlier. */
void clock_wake_at(uint64_t deadline);

#endif
