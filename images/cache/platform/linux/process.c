/* What a process has of its own: memory, chance, the time of day, standard error. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>

#include "host.h"

uint64_t host_wall_clock(void)
{
    struct timespec time;

    clock_gettime(CLOCK_REALTIME_COARSE, &time);
    return (uint64_t)time.tv_sec;
}

void *host_allocate(size_t size)
{
    return malloc(size > 0 ? size : 1);
}

void host_free(void *memory)
{
    free(memory);
}

uint64_t host_random(void)
{
    static uint64_t pool[32];
    static size_t left;

    if (left == 0) {
        /* Not more than 256 bytes: these are never cut short (random(7)). */
        if (getrandom(pool, sizeof pool, 0) != (ssize_t)sizeof pool) {
            perror("cache-linux: getrandom");
            exit(1);
        }
        left = sizeof pool / sizeof pool[0];
    }
    return pool[--left];
}

void host_log(const char *line, size_t length)
{
    fprintf(stderr, "%.*s\n", (int)length, line);
}
