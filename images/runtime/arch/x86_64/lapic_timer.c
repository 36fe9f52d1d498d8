/* The local APIC's timer as the alarm, and its interrupt as what ends a sleep.  QEMU's and
 * KVM's counts at 1 GHz, which gives the rate of the time-stamp counter: at first over the
 * boot, then anew over each long sleep.
 *
 * The timer is set anew for each sleep.  It is in periodic mode all the same:
 * having run out it begins again, and so tells how long ago that was. */
#include <stdbool.h>

#include "clock.h"
#include "lapic.h"
#include "timer.h"
#include "vectors.h"

#define ALARM_MIN (100 * CLOCK_US) /* else it could ring again before it is set anew */
#define ALARM_MAX UINT32_MAX       /* ns: the timer has 32 bits */
#define REFINE_AFTER (100 * CLOCK_MS)
/* Two readings are never at the same instant.  The rate is refined only if that
 * makes an error of less than this fraction. */
#define REFINE_PRECISION 20000
/* A run across a rest of the machine tells nothing, for the counter may have gone
 * on alone: a rate that differs by this fraction is not believed. */
#define REFINE_STEP 8
#define CALIBRATION_SAMPLES 3

/* The alarm's current run. */
static bool rang;
static uint32_t run_length;   /* ns */
static uint64_t run_ticks;    /* counter at its start */
static uint64_t run_slack;    /* ticks that starting it took */
static uint64_t run_deadline; /* ns since entry */

static void start_run(uint32_t length)
{
    run_length = length;
    run_ticks = clock_ticks();
    lapic_write(LAPIC_TIMER_INITIAL, length);
    run_slack = clock_ticks() - run_ticks;
    rang = false;
}

/* The rate that follows from the current run, which has lasted for `elapsed` ns at
 * the counter value `ticks`. */
static uint64_t measured_rate(uint64_t elapsed, uint64_t ticks)
{
    return (elapsed << 32) / (ticks - run_ticks);
}

/* Reads timer and counter together. */
struct sample {
    uint32_t left;  /* of the run, ns */
    uint64_t ticks; /* at about the same time */
    uint64_t slack; /* ticks that reading both took */
};

static struct sample take_sample(void)
{
    const uint64_t before = clock_ticks();
    struct sample sample = {.left = lapic_read(LAPIC_TIMER_CURRENT), .ticks = clock_ticks()};

    sample.slack = sample.ticks - before;
    return sample;
}

static void refine_rate(void)
{
    const struct sample sample = take_sample();
    uint64_t elapsed = run_length - sample.left;

    if (rang)
        elapsed += run_length;
    if (elapsed < REFINE_AFTER || (sample.slack + run_slack) * REFINE_PRECISION >= sample.ticks - run_ticks)
        return;
    const uint64_t measured = measured_rate(elapsed, sample.ticks);
    const uint64_t rate = clock_rate();
    if (measured - rate + rate / REFINE_STEP <= 2 * (rate / REFINE_STEP))
        clock_set_rate(measured, sample.ticks);
}

static void start(void)
{
    lapic_write(LAPIC_TIMER_DIVIDE, LAPIC_DIVIDE_BY_1);
    lapic_write(LAPIC_LVT_TIMER, LAPIC_LVT_PERIODIC | VECTOR_TIMER);
    start_run(ALARM_MAX);
}

static void calibrate(void)
{
    struct sample best = take_sample();

    /* The boot is short: a pause of the host in mid-reading would weigh much. */
    for (unsigned int i = 1; i < CALIBRATION_SAMPLES; i++) {
        const struct sample sample = take_sample();

        if (sample.slack < best.slack)
            best = sample;
    }
    clock_set_rate(measured_rate(run_length - best.left, best.ticks), best.ticks);
    run_deadline = CLOCK_NEVER;
}

void lapic_timer_rang(void)
{
    rang = true;
}

static void wake_at(uint64_t deadline)
{
    const uint64_t now = clock_now();

    if (!rang && run_deadline <= deadline && run_deadline > now)
        return;
    refine_rate();
    uint64_t length = deadline > now ? deadline - now : 0;
    if (length < ALARM_MIN)
        length = ALARM_MIN;
    if (length > ALARM_MAX)
        length = ALARM_MAX;
    run_deadline = now + length;
    start_run((uint32_t)length);
}

static void wait(void)
{
    /* sti holds interrupts off for one more instruction, so none can slip in
     * between it and hlt and leave us asleep. */
    __asm__ volatile("sti; hlt; cli" : : : "memory");
}

const struct timer lapic_timer = {.start = start, .calibrate = calibrate, .wake_at = wake_at, .wait = wait};
