/* What the runtime's parts ask of a machine, done by Linux. */
#include <fcntl.h>
#include <linux/random.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/reboot.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "entropy.h"
#include "events.h"
#include "irq.h"
#include "panic.h"
#include "platform.h"
#include "ports.h"
#include "wake.h"
#include "wall_clock.h"

#define BITS_PER_BYTE 8
#define NS_PER_S 1000000000ULL

static uint64_t alarm_at = CLOCK_NEVER;

static void console_write_all(const char *text, size_t length)
{
    while (length > 0) {
        const ssize_t written = write(STDOUT_FILENO, text, length);

        if (written <= 0)
            return;
        text += written;
        length -= (size_t)written;
    }
}

static bool poll_all(void)
{
    const bool ports = ports_poll();

    return events_poll() || ports;
}

/* Xen turns a domain off; a virtual machine of QEMU's ends by its reset, and need not have another switch.  PID 1's own
 * end is a crash: the kernel panics. */
static _Noreturn void end(bool crashed)
{
    if (!crashed)
        reboot(ports_xen() ? RB_POWER_OFF : RB_AUTOBOOT);
    _exit(1);
}

static const struct platform linux_platform = {.console_write = console_write_all, .poll = poll_all, .end = end};
const struct platform *platform = &linux_platform;

uint64_t clock_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

void clock_wake_at(uint64_t deadline)
{
    alarm_at = deadline;
}

void irq_wait(void)
{
    const uint64_t now = clock_now();

    events_wait(alarm_at <= now ? 0 : (int)((alarm_at - now) / CLOCK_MS) + 1);
}

uint64_t random_u64(void)
{
    uint64_t number;

    if (getrandom(&number, sizeof number, 0) != sizeof number)
        panic("the kernel has no random numbers");
    return number;
}

/* The seed counts as entropy, and the kernel's generator is keyed anew at once. */
void entropy_stir(const uint64_t *seed, size_t words)
{
    struct {
        struct rand_pool_info info;
        uint64_t seed[WAKE_SEED_WORDS];
    } pool = {.info = {.entropy_count = (int)(words * sizeof *seed * BITS_PER_BYTE),
                       .buf_size = (int)(words * sizeof *seed)}};
    const int file = open("/dev/urandom", O_RDWR | O_CLOEXEC);

    memcpy(pool.seed, seed, words * sizeof *seed);
    if (file < 0 || ioctl(file, RNDADDENTROPY, &pool) != 0 || ioctl(file, RNDRESEEDCRNG) != 0)
        panic("the kernel does not take a seed");
    close(file);
}

void wall_clock_set(uint64_t time)
{
    const struct timespec now = {.tv_sec = (time_t)(time / NS_PER_S), .tv_nsec = (long)(time % NS_PER_S)};

    if (clock_settime(CLOCK_REALTIME, &now) != 0)
        panic("the kernel does not take the time");
}
