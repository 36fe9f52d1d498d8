/* Between the clock and what a machine has to measure time by and to sleep with. */
#ifndef TIMER_H
#define TIMER_H

#include <stdint.h>

struct timer {
    void (*start)(void);                /* clock_init() */
    void (*calibrate)(void);            /* clock_calibrate() */
    void (*wake_at)(uint64_t deadline); /* clock_wake_at() */
    void (*wait)(void);                 /* irq_wait() */
};

/* The one in use; chosen by the platform before clock_init(). */
extern const struct timer *timer;

extern const struct timer lapic_timer; /* QEMU and KVM */
extern const struct timer xen_timer;

/* The alarm's interrupt has arrived. */
void lapic_timer_rang(void);

/* Nanoseconds per tick of the counter, with 32 bits of fraction; 0: not known yet. */
uint64_t clock_rate(void);

/* The rate from this counter value (since entry) on; the first one holds since entry. */
void clock_set_rate(uint64_t rate, uint64_t ticks);

#endif
