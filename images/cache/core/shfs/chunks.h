/* Chunks of a volume in memory.
 *
 * There is a fixed number of buffers.  One that somebody holds stays as it is; the others are given to new chunks,
 * the one first that nobody has asked for for longest.  A chunk that is being read is read once, for all who want it.
 *
 * A chunk is known by its number and the generation of the table that led to it: after a remount the same number may
 * be another object's. */
#ifndef CHUNKS_H
#define CHUNKS_H

#include "host.h"
#include "label.h"
#include "list.h"

struct chunk {
    struct link recency; /* among those that nobody holds and that are not being read */
    struct link waiters;
    struct chunk *next; /* with the same hash */
    uint64_t number;
    uint32_t generation;
    uint32_t holders;
    uint32_t parts_due; /* of a read under way */
    bool known;         /* found by its number */
    bool failed;
    uint8_t *data;
    struct host_read *reads; /* one for each part */
};

/* Somebody who waits for a chunk.  ready() gets it, held, or NULL if it cannot be read. */
struct chunk_waiter {
    struct link link;
    struct chunk *chunk;
    void (*ready)(struct chunk_waiter *waiter, struct chunk *chunk);
};

struct chunk_counters {
    uint64_t hits, joined, misses, ahead, evicted, no_buffer, failed;
};

struct chunks {
    const struct shfs_label *label;
    struct host_disk *const *members; /* in the label's order */
    uint32_t size;                    /* bytes of a chunk */
    uint32_t count, bucket_mask;
    uint32_t reading; /* chunks */
    struct chunk *all, **buckets;
    uint8_t *memory;
    struct host_read *reads;
    struct link recency; /* the oldest first */
    struct link starved; /* who waits for a buffer */
    struct chunk_counters counters;
};

/* Takes the memory: `bytes` for buffers, and about 1/30 of that beside.  False if there is not so much. */
bool chunks_init(struct chunks *chunks, const struct shfs_label *label, struct host_disk *const *members, size_t bytes);

/* Nothing may be under way. */
void chunks_free(struct chunks *chunks);

enum chunks_answer {
    CHUNKS_READY,  /* *chunk is held, until chunks_release() */
    CHUNKS_WAIT,   /* the waiter's ready() will be called, from the main loop */
    CHUNKS_STARVED /* every buffer is held; the waiter may be told when to ask again: chunks_starve() */
};

enum chunks_answer chunks_get(struct chunks *chunks, uint32_t generation, uint64_t number, struct chunk_waiter *waiter,
                              struct chunk **chunk);

/* Begins to read a chunk that somebody will ask for soon, if that takes nothing from anybody. */
void chunks_expect(struct chunks *chunks, uint32_t generation, uint64_t number);

void chunks_hold(struct chunk *chunk);
void chunks_release(struct chunks *chunks, struct chunk *chunk);

/* Has ready() called with NULL and waiter->chunk NULL by chunks_feed(), when there is a buffer again. */
void chunks_starve(struct chunks *chunks, struct chunk_waiter *waiter);
void chunks_feed(struct chunks *chunks);

/* Ends a wait of either kind; nothing happens if there is none. */
void chunks_cancel(struct chunks *chunks, struct chunk_waiter *waiter);

#endif
