/* Events of open files, in turn: one epoll(7) for all of the init. */
#ifndef EVENTS_H
#define EVENTS_H

#include <stdbool.h>

#define EVENTS_IN 0x001   /* EPOLLIN: there is something to read */
#define EVENTS_OUT 0x004  /* EPOLLOUT */
#define EVENTS_HUP 0x010  /* EPOLLHUP, which is always told */
#define EVENTS_EDGE (1U << 31) /* EPOLLET: told once, when it changes */

struct event_source {
    int file;
    void (*ready)(struct event_source *source, unsigned int events);
};

/* Has the source told of these events of its file, until the file is closed. */
void events_from(struct event_source *source, unsigned int events);

/* Tells of what has happened; false if nothing had. */
bool events_poll(void);

/* Sleeps until something has happened, or so many milliseconds. */
void events_wait(int milliseconds);

#endif
