/* The time-stamp counter is the clock: it is cheap to read, never stops and never wraps.
 * What its rate is, and how to sleep until some time, depends on the machine (timer.h). */
#include "clock.h"

#include <stdbool.h>

#include "cpu.h"
#include "irq.h"
#include "timer.h"

/* The counter at the entry point; written by the boot path. */
uint64_t clock_entry_ticks;

const struct timer *timer;

/* Nanoseconds per tick, with 32 bits of fraction. */
static uint64_t rate;

/* A point on the time line at which the rate last changed. */
static uint64_t base_ticks, base_time;

static uint64_t scale(uint64_t ticks)
{
    return (uint64_t)((unsigned __int128)ticks * rate >> 32);
}

uint64_t clock_ticks(void)
{
    return read_tsc() - clock_entry_ticks;
}

uint64_t clock_from_ticks(uint64_t ticks)
{
    return scale(ticks);
}

uint64_t clock_now(void)
{
    return base_time + scale(clock_ticks() - base_ticks);
}

uint64_t clock_rate(void)
{
    return rate;
}

void clock_set_rate(uint64_t measured, uint64_t ticks)
{
    const bool first = rate == 0;

    base_time += scale(ticks - base_ticks);
    base_ticks = ticks;
    rate = measured;
    if (first)
        base_time = scale(ticks);
}

void clock_init(void)
{
    timer->start();
}

void clock_calibrate(void)
{
    timer->calibrate();
}

void clock_wake_at(uint64_t deadline)
{
    timer->wake_at(deadline);
}

void irq_wait(void)
{
    timer->wait();
}
