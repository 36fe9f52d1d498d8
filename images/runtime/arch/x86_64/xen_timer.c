/* Time and sleep in a domain of Xen.  Xen tells at which rate the time-stamp counter runs, and
 * to sleep is to ask it for an event until some system time: no interrupt is needed. */
#include "clock.h"
#include "cpu.h"
#include "timer.h"
#include "xen.h"

static uint64_t alarm = CLOCK_NEVER;

/* Xen's word on the time, of one moment. */
static struct xen_time_info look(void)
{
    const struct xen_time_info *shared = &xen_shared.vcpu[0].time;
    struct xen_time_info info;
    uint32_t version;

    do {
        version = __atomic_load_n(&shared->version, __ATOMIC_ACQUIRE);
        info = *(const volatile struct xen_time_info *)shared;
        __atomic_thread_fence(__ATOMIC_ACQUIRE);
    } while ((version & 1) != 0 || shared->version != version);
    return info;
}

static uint64_t rate_of(const struct xen_time_info *info)
{
    return info->shift >= 0 ? (uint64_t)info->multiplier << info->shift : info->multiplier >> -info->shift;
}

static void start(void)
{
    const struct xen_time_info info = look();

    clock_set_rate(rate_of(&info), clock_ticks());
}

/* The rate is known since the start. */
static void calibrate(void)
{
}

static void wake_at(uint64_t deadline)
{
    alarm = deadline;
}

static void wait(void)
{
    const uint64_t now = clock_now();
    uint64_t until = 0;

    if (alarm <= now)
        return;
    if (alarm != CLOCK_NEVER) {
        const struct xen_time_info info = look();
        const uint64_t ticks = read_tsc() - info.tsc;

        until = info.system_time + (uint64_t)((unsigned __int128)ticks * rate_of(&info) >> 32) + (alarm - now);
    }
    xen_event_wait(until);
}

const struct timer xen_timer = {.start = start, .calibrate = calibrate, .wake_at = wake_at, .wait = wait};
