#include "chunks.h"

#include <string.h>

#define FEWEST 4

static void part_done(struct host_read *read, bool ok);

bool chunks_init(struct chunks *chunks, const struct shfs_label *label, struct host_disk *const *members, size_t bytes)
{
    const uint32_t parts = shfs_part_count(label);
    uint32_t buckets = 1;

    *chunks = (struct chunks){.label = label, .members = members, .size = shfs_chunk_size(label)};
    chunks->count = bytes / chunks->size < FEWEST ? FEWEST : (uint32_t)(bytes / chunks->size);
    while (buckets < chunks->count)
        buckets *= 2;
    chunks->bucket_mask = buckets - 1;
    list_init(&chunks->recency);
    list_init(&chunks->starved);
    chunks->memory = host_allocate((size_t)chunks->count * chunks->size);
    chunks->all = host_allocate(chunks->count * sizeof *chunks->all);
    chunks->buckets = host_allocate(buckets * sizeof *chunks->buckets);
    chunks->reads = host_allocate((size_t)chunks->count * parts * sizeof *chunks->reads);
    if (chunks->memory == NULL || chunks->all == NULL || chunks->buckets == NULL || chunks->reads == NULL) {
        chunks_free(chunks);
        return false;
    }
    memset(chunks->buckets, 0, buckets * sizeof *chunks->buckets);
    for (uint32_t i = 0; i < chunks->count; i++) {
        struct chunk *chunk = &chunks->all[i];

        *chunk = (struct chunk){.data = chunks->memory + (size_t)i * chunks->size,
                                .reads = chunks->reads + (size_t)i * parts};
        list_init(&chunk->waiters);
        list_append(&chunks->recency, &chunk->recency);
    }
    return true;
}

void chunks_free(struct chunks *chunks)
{
    host_free(chunks->reads);
    host_free(chunks->buckets);
    host_free(chunks->all);
    host_free(chunks->memory);
    *chunks = (struct chunks){0};
}

static struct chunk **bucket_of(const struct chunks *chunks, uint32_t generation, uint64_t number)
{
    const uint64_t mixed = (number + ((uint64_t)generation << 40)) * 0x9e3779b97f4a7c15ULL;

    return &chunks->buckets[(mixed >> 32) & chunks->bucket_mask];
}

static struct chunk *find(const struct chunks *chunks, uint32_t generation, uint64_t number)
{
    struct chunk *chunk = *bucket_of(chunks, generation, number);

    while (chunk != NULL && (chunk->number != number || chunk->generation != generation))
        chunk = chunk->next;
    return chunk;
}

static void forget(struct chunks *chunks, struct chunk *chunk)
{
    struct chunk **at = bucket_of(chunks, chunk->generation, chunk->number);

    while (*at != chunk)
        at = &(*at)->next;
    *at = chunk->next;
    chunk->known = false;
}

/* Puts a chunk that nobody holds where it will be taken last, or first if it holds nothing. */
static void retire(struct chunks *chunks, struct chunk *chunk)
{
    list_append(chunk->known ? &chunks->recency : chunks->recency.next, &chunk->recency);
}

/* Takes the oldest buffer and begins to read; NULL if there is none. */
static struct chunk *begin(struct chunks *chunks, uint32_t generation, uint64_t number)
{
    const uint32_t parts = shfs_part_count(chunks->label);
    struct chunk **bucket = bucket_of(chunks, generation, number);
    struct chunk *chunk;

    if (list_is_empty(&chunks->recency))
        return NULL;
    chunk = LIST_ELEMENT(chunks->recency.next, struct chunk, recency);
    list_remove(&chunk->recency);
    if (chunk->known) {
        forget(chunks, chunk);
        chunks->counters.evicted++;
    }
    chunk->number = number;
    chunk->generation = generation;
    chunk->known = true;
    chunk->failed = false;
    chunk->next = *bucket;
    *bucket = chunk;
    chunk->parts_due = parts;
    chunks->reading++;
    for (uint32_t i = 0; i < parts; i++) {
        const struct shfs_part part = shfs_part_of(chunks->label, number, i);
        struct host_read *read = &chunk->reads[i];

        *read = (struct host_read){.offset = part.offset,
                                   .length = chunks->label->stripe,
                                   .buffer = chunk->data + (size_t)i * chunks->label->stripe,
                                   .done = part_done,
                                   .owner = chunks};
        chunks->members[part.member]->read(chunks->members[part.member], read);
    }
    return chunk;
}

static void part_done(struct host_read *read, bool ok)
{
    struct chunks *chunks = read->owner;
    struct chunk *chunk = &chunks->all[(size_t)(read - chunks->reads) / shfs_part_count(chunks->label)];

    chunk->failed |= !ok;
    if (--chunk->parts_due > 0)
        return;
    chunks->reading--;
    if (chunk->failed) {
        forget(chunks, chunk);
        chunks->counters.failed++;
    }
    chunk->holders++; /* ours, while the others are told */
    while (!list_is_empty(&chunk->waiters)) {
        struct chunk_waiter *waiter = LIST_ELEMENT(chunk->waiters.next, struct chunk_waiter, link);

        list_remove(&waiter->link);
        waiter->chunk = NULL;
        if (!chunk->failed)
            chunks_hold(chunk);
        waiter->ready(waiter, chunk->failed ? NULL : chunk);
    }
    chunks_release(chunks, chunk);
    chunks_feed(chunks);
}

enum chunks_answer chunks_get(struct chunks *chunks, uint32_t generation, uint64_t number, struct chunk_waiter *waiter,
                              struct chunk **chunk)
{
    struct chunk *found = find(chunks, generation, number);

    if (found != NULL && found->parts_due == 0) {
        chunks->counters.hits++;
        chunks_hold(found);
        *chunk = found;
        return CHUNKS_READY;
    }
    if (found != NULL)
        chunks->counters.joined++;
    else if ((found = begin(chunks, generation, number)) != NULL)
        chunks->counters.misses++;
    if (found == NULL) {
        chunks->counters.no_buffer++;
        return CHUNKS_STARVED;
    }
    waiter->chunk = found;
    list_append(&found->waiters, &waiter->link);
    return CHUNKS_WAIT;
}

void chunks_expect(struct chunks *chunks, uint32_t generation, uint64_t number)
{
    /* Half of the buffers are for those who have asked. */
    if (chunks->reading < chunks->count / 2 && find(chunks, generation, number) == NULL &&
        begin(chunks, generation, number) != NULL)
        chunks->counters.ahead++;
}

void chunks_hold(struct chunk *chunk)
{
    if (chunk->holders++ == 0)
        list_remove(&chunk->recency);
}

void chunks_release(struct chunks *chunks, struct chunk *chunk)
{
    if (--chunk->holders == 0)
        retire(chunks, chunk);
}

void chunks_starve(struct chunks *chunks, struct chunk_waiter *waiter)
{
    waiter->chunk = NULL;
    list_append(&chunks->starved, &waiter->link);
}

void chunks_feed(struct chunks *chunks)
{
    while (!list_is_empty(&chunks->starved) && !list_is_empty(&chunks->recency)) {
        struct chunk_waiter *waiter = LIST_ELEMENT(chunks->starved.next, struct chunk_waiter, link);

        list_remove(&waiter->link);
        waiter->ready(waiter, NULL);
    }
}

void chunks_cancel(struct chunks *chunks, struct chunk_waiter *waiter)
{
    (void)chunks;
    list_remove(&waiter->link);
    waiter->chunk = NULL;
}
