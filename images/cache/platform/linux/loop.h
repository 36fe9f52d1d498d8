/* The main loop of the Linux build: epoll, and one alarm. */
#ifndef LOOP_H
#define LOOP_H

#include <stdbool.h>
#include <stdint.h>

/* Something with a descriptor: ready() is told what epoll found. */
struct loop_source {
    void (*ready)(struct loop_source *source, uint32_t events);
};

/* Makes the loop; ends the process if the system does not let it. */
void loop_init(void);

/* Watches a descriptor for these events of epoll. */
bool loop_watch(int descriptor, struct loop_source *source, uint32_t events);

/* Runs until loop_end().  turn_done() is called after each turn, when nobody is in the middle of anything. */
void loop_run(void (*turn_done)(void));
void loop_end(void);

#endif
