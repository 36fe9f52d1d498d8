/* The time-stamp counter is the clock and the local APIC's one-shot timer the
 * alarm.  The counter is cheap to read, never stops and never wraps, but its
 * rate is unknown; QEMU's and KVM's local APIC counts at 1 GHz, which gives the
 * rate: at first over the boot, then anew over each long sleep. */
#include "clock.h"

#include <stdbool.h>

#include "clock_alarm.h"
#include "lapic.h"
#include "vectors.h"

#define ALARM_MAX UINT32_MAX               /* ns: the timer has 32 bits */
#define REFINE_AFTER (100 * CLOCK_MS)      /* an error of 1 us in reading both is then 10 ppm */

/* The counter at the entry point; written by the boot path. */
uint64_t clock_entry_ticks;

/* Nanoseconds per tick, with 32 bits of fraction. */
static uint64_t rate;

/* A point on the time line at which the rate last changed. */
static uint64_t base_ticks, base_time;

/* The alarm's current run. */
static bool running;
static uint32_t run_length;   /* ns */
static uint64_t run_ticks;    /* counter at its start */
static uint64_t run_deadline; /* ns since entry */

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

static void start_run(uint32_t length)
{
    run_length = length;
    run_ticks = clock_ticks();
    running = true;
    lapic_write(LAPIC_TIMER_INITIAL, length);
}

/* Sets the rate from the current run, if that has lasted at least so long (ns).
 * A timer that has run out no longer says how long ago; it is used only if
 * there is no rate at all yet, on a host so slow that the boot took seconds. */
static void refine_rate(uint64_t at_least)
{
    const uint32_t left = lapic_read(LAPIC_TIMER_CURRENT);
    const uint64_t ticks = clock_ticks();
    const uint64_t elapsed = run_length - left;

    if (elapsed < at_least || (left == 0 && rate != 0))
        return;
    base_time += scale(ticks - base_ticks);
    base_ticks = ticks;
    rate = (elapsed << 32) / (ticks - run_ticks);
}

void clock_init(void)
{
    lapic_write(LAPIC_TIMER_DIVIDE, LAPIC_DIVIDE_BY_1);
    lapic_write(LAPIC_LVT_TIMER, VECTOR_TIMER); /* one-shot, unmasked */
    start_run(ALARM_MAX);
}

void clock_calibrate(void)
{
    refine_rate(1);
    base_time = scale(base_ticks);
    run_deadline = CLOCK_NEVER;
}

void clock_alarm_rang(void)
{
    running = false;
}

void clock_wake_at(uint64_t deadline)
{
    const uint64_t now = clock_now();

    if (running && run_deadline <= deadline && run_deadline > now)
        return;
    if (running)
        refine_rate(REFINE_AFTER);
    uint64_t length = deadline > now ? deadline - now : 1;
    if (length > ALARM_MAX)
        length = ALARM_MAX;
    run_deadline = now + length;
    start_run((uint32_t)length);
}
