/* The generic timer (ARM Architecture Reference Manual, chapter D11): a counter of known
 * rate that never stops, and an interrupt at a value of it. */
#include "clock.h"

#include <stddef.h>

#include "cpu.h"
#include "gic.h"
#include "irq.h"

#define SECOND 1000000000ULL
#define TIMER_LINE 27 /* the virtual timer's, of every machine that follows ARM's base system architecture */

/* The counter at the entry point; written by the boot path. */
uint64_t clock_entry_ticks;

static uint32_t frequency;

/* An alarm that has rung is not wanted any more. */
static void rang(void *context)
{
    (void)context;
    timer_stop();
}

void clock_init(void)
{
    frequency = counter_frequency();
    irq_attach(TIMER_LINE, rang, NULL);
}

uint64_t clock_ticks(void)
{
    return counter_read() - clock_entry_ticks;
}

void clock_calibrate(void)
{
}

uint64_t clock_from_ticks(uint64_t ticks)
{
    return ticks / frequency * SECOND + ticks % frequency * SECOND / frequency;
}

uint64_t clock_now(void)
{
    return clock_from_ticks(clock_ticks());
}

void clock_wake_at(uint64_t deadline)
{
    if (deadline == CLOCK_NEVER)
        timer_stop();
    else
        timer_set(clock_entry_ticks + deadline / SECOND * frequency + deadline % SECOND * frequency / SECOND + 1);
}
