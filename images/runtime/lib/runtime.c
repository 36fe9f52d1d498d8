/* From the boot path to the main loop. */
#include "runtime.h"

#include "clock.h"
#include "cmdline.h"
#include "console.h"
#include "entropy.h"
#include "heap.h"
#include "irq.h"
#include "network.h"
#include "panic.h"
#include "platform.h"
#include "readiness.h"
#include "store_config.h"

/* End of all memory that the linked image uses (linker script). */
extern char image_memory_end[];

#define HEAP_MIN (2UL << 20)    /* bytes; full send buffers of a busy server */
#define RAM_ASSUMED (8UL << 20) /* the smallest machine of the guest contract */

static struct guest_config config;
static struct boot_times times;
static bool clock_runs; /* the counter's rate is known */

const struct guest_config *runtime_config(void)
{
    return &config;
}

const struct boot_times *runtime_boot_times(void)
{
    return &times;
}

static void start_clock(void)
{
    if (!clock_runs)
        clock_calibrate();
    clock_runs = true;
}

/* The end of the start: as a rule the counter's rate is known only now. */
static void note_boot_times(const struct boot_times *ticks)
{
    start_clock();
    times.entry = clock_from_ticks(ticks->entry);
    times.devices = clock_from_ticks(ticks->devices);
    times.network = clock_from_ticks(ticks->network);
    times.ready = clock_from_ticks(ticks->ready);
}

/* The main loop.  Requests that waited for this guest come before the words
 * about itself: those are said when there is nothing else to do. */
static _Noreturn void serve(void)
{
    bool announced = false;

    for (;;) {
        bool busy = network_poll();

        busy |= platform->poll();
        if (busy)
            continue;
        if (!announced) {
            announced = true;
            network_announce();
            console_print("%s: ready %lu us after entry\n", config.name, (unsigned long)(times.ready / CLOCK_US));
            continue;
        }
        clock_wake_at(network_next_deadline());
        irq_wait();
    }
}

/* Completes what the command line has said. */
static void configure(void)
{
    const char *fault = NULL;

    if (guest_config_missing(&config) != NULL) {
        start_clock();
        fault = store_config_get(&config);
    }
    if (fault == NULL)
        fault = guest_config_check(&config);
    if (fault != NULL)
        panic("configuration: %s", fault);
}

static void start_heap(uint64_t ram_end)
{
    const uintptr_t start = (uintptr_t)image_memory_end;

    if (start + HEAP_MIN > ram_end)
        panic("not enough memory: %lu KiB are needed", (unsigned long)((start + HEAP_MIN) >> 10));
    heap_init(start, (uintptr_t)ram_end);
}

void runtime_start(const struct boot_info *boot)
{
    struct boot_times ticks = {.entry = clock_ticks()};

    platform->console_start();
    irq_init();
    clock_init();
    /* Before anything is taken from the heap: what the boot path describes may
     * lie in the RAM that becomes the heap. */
    const char *fault = cmdline_parse(boot->cmdline, &config);
    if (fault != NULL)
        panic("command line: %s", fault);
    start_heap(boot->ram_end != 0 ? boot->ram_end : RAM_ASSUMED);

    readiness_register();
    platform->start_devices();
    entropy_init();
    ticks.devices = clock_ticks();
    configure();
    network_start(&config);
    ticks.network = clock_ticks();
    app_start();
    ticks.ready = clock_ticks();
    note_boot_times(&ticks);
    while (platform->poll()) /* the ports' handshake, as far as the host has answered already */
        ;
    readiness_reached(&config, times.ready);
    serve();
}
