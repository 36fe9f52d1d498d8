/* Times after which something is over.  What has the same patience waits in one queue, so the first one is always the
 * next one. */
#ifndef DEADLINE_H
#define DEADLINE_H

#include "host.h"
#include "list.h"

struct deadline {
    struct link link;
    uint64_t at;
};

struct deadline_queue {
    struct link waiting;
    uint64_t patience; /* ns */
};

static inline void deadline_queue_init(struct deadline_queue *queue, uint64_t patience)
{
    list_init(&queue->waiting);
    queue->patience = patience;
}

/* Begins to wait, at the end of this queue and in no other. */
static inline void deadline_set(struct deadline_queue *queue, struct deadline *deadline)
{
    list_remove(&deadline->link);
    deadline->at = host_now() + queue->patience;
    list_append(&queue->waiting, &deadline->link);
}

/* The first one, or NULL. */
static inline struct deadline *deadline_first(const struct deadline_queue *queue)
{
    return list_is_empty(&queue->waiting) ? NULL : LIST_ELEMENT(queue->waiting.next, struct deadline, link);
}

#endif
