#include "loop.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <time.h>

#include "core.h"

#define EVENTS 256 /* of a turn */

static int epoll;
static bool ended;
static uint64_t now; /* of this turn */
static uint64_t alarm_at = HOST_NEVER;

static void read_clock(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    now = (uint64_t)time.tv_sec * HOST_SECOND + (uint64_t)time.tv_nsec;
}

uint64_t host_now(void)
{
    return now;
}

void host_alarm(uint64_t at)
{
    alarm_at = at;
}

void loop_init(void)
{
    epoll = epoll_create1(EPOLL_CLOEXEC);
    if (epoll < 0) {
        perror("cache-linux: epoll");
        exit(1);
    }
    read_clock();
}

bool loop_watch(int descriptor, struct loop_source *source, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = source};

    return epoll_ctl(epoll, EPOLL_CTL_ADD, descriptor, &event) == 0;
}

/* Milliseconds until the alarm, for epoll. */
static int patience(void)
{
    const uint64_t left = alarm_at > now ? alarm_at - now : 0;

    if (alarm_at == HOST_NEVER)
        return -1;
    return left > 60 * HOST_SECOND ? 60000 : (int)((left + 999999) / 1000000);
}

void loop_run(void (*turn_done)(void))
{
    struct epoll_event events[EVENTS];

    while (!ended) {
        const int count = epoll_wait(epoll, events, EVENTS, patience());

        if (count < 0 && errno != EINTR) {
            perror("cache-linux: epoll_wait");
            exit(1);
        }
        read_clock();
        for (int i = 0; i < count; i++) {
            struct loop_source *source = events[i].data.ptr;

            source->ready(source, events[i].events);
        }
        if (alarm_at <= now) {
            alarm_at = HOST_NEVER;
            core_alarm();
        }
        turn_done();
    }
}

void loop_end(void)
{
    ended = true;
}
