#include "events.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>

#include "panic.h"

#define AT_ONCE 8

static int epoll(void)
{
    static int file;

    if (file == 0)
        file = epoll_create1(EPOLL_CLOEXEC);
    if (file < 0)
        panic("cannot wait for events: %s", strerror(errno));
    return file;
}

void events_from(struct event_source *source, unsigned int events)
{
    struct epoll_event event = {.events = events, .data.ptr = source};

    if (epoll_ctl(epoll(), EPOLL_CTL_ADD, source->file, &event) != 0)
        panic("cannot wait for events of descriptor %d: %s", source->file, strerror(errno));
}

bool events_poll(void)
{
    struct epoll_event events[AT_ONCE];
    const int count = epoll_wait(epoll(), events, AT_ONCE, 0);

    for (int i = 0; i < count; i++) {
        struct event_source *source = events[i].data.ptr;

        source->ready(source, events[i].events);
    }
    return count > 0;
}

void events_wait(int milliseconds)
{
    struct pollfd any = {.fd = epoll(), .events = POLLIN};

    poll(&any, 1, milliseconds);
}
