/* What a guest of the runtime has: time, memory, chance, a console. */
#include "clock.h"
#include "console.h"
#include "core.h"
#include "entropy.h"
#include "heap.h"
#include "lwip/timeouts.h"
#include "panic.h"
#include "wall_clock.h"

#define PAGE 4096
#define HEAP_MOST (1 << 20) /* what the heap gives; more comes in pages, which it does not take back */

/* In front of what is given out. */
struct header {
    bool in_pages;
    uint8_t padding[15];
};

_Static_assert(sizeof(struct header) == 16, "memory is aligned to 16 bytes");

uint64_t host_now(void)
{
    return clock_now();
}

uint64_t host_wall_clock(void)
{
    return wall_clock_now() / HOST_SECOND;
}

static void on_alarm(void *unneeded)
{
    (void)unneeded;
    core_alarm();
}

void host_alarm(uint64_t at)
{
    const uint64_t now = clock_now(), left = at > now ? (at - now) / CLOCK_MS + 1 : 0;

    sys_untimeout(on_alarm, NULL);
    if (at != HOST_NEVER)
        sys_timeout((u32_t)left, on_alarm, NULL);
}

void *host_allocate(size_t size)
{
    const size_t whole = size + sizeof(struct header);
    const bool in_pages = whole > HEAP_MOST;
    struct header *header = in_pages ? heap_take_pages((whole + PAGE - 1) / PAGE) : heap_allocate(whole);

    if (header == NULL)
        return NULL;
    header->in_pages = in_pages;
    return header + 1;
}

void host_free(void *memory)
{
    struct header *header = (struct header *)memory - 1;

    if (memory != NULL && !header->in_pages)
        heap_free(header);
}

uint64_t host_random(void)
{
    return random_u64();
}

void host_log(const char *line, size_t length)
{
    console_write(line, length);
    console_write("\n", 1);
}

/* llhttp's, in states that it cannot be in. */
_Noreturn void abort(void);

_Noreturn void abort(void)
{
    panic("the HTTP parser is in no state");
}
