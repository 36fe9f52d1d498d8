/* The chunks in memory: one read for all who want one, who is forgotten first, and what is never taken from anybody. */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "chunks.h"

#define STRIPE 4096
#define WAITERS 100

static struct host_read *due[64]; /* in the order in which they were asked for */
static size_t due_count, reads;

static void on_read(struct host_disk *disk, struct host_read *read)
{
    (void)disk;
    due[due_count++] = read;
    reads++;
}

static struct host_disk disk = {.size = 1000 * STRIPE, .read = on_read};
static struct host_disk *members[] = {&disk};

/* Does the last read that was asked for first: they may be done in any order. */
static void do_reads(bool ok)
{
    while (due_count > 0) {
        struct host_read *read = due[--due_count];

        memset(read->buffer, (int)(read->offset / STRIPE), read->length);
        read->done(read, ok);
    }
}

struct waiting {
    struct chunk_waiter waiter;
    struct chunk *chunk;
    int told;
};

static void on_ready(struct chunk_waiter *waiter, struct chunk *chunk)
{
    struct waiting *waiting = LIST_ELEMENT(waiter, struct waiting, waiter);

    waiting->chunk = chunk;
    waiting->told++;
}

static struct waiting new_waiting(void)
{
    struct waiting waiting = {.waiter.ready = on_ready};

    return waiting;
}

static enum chunks_answer ask(struct chunks *chunks, uint64_t number, struct waiting *waiting)
{
    *waiting = new_waiting();
    list_init(&waiting->waiter.link);
    return chunks_get(chunks, 1, number, &waiting->waiter, &waiting->chunk);
}

static struct chunk *fetch(struct chunks *chunks, uint64_t number)
{
    static struct waiting waiting;

    if (ask(chunks, number, &waiting) == CHUNKS_WAIT)
        do_reads(true);
    assert(waiting.chunk != NULL && waiting.chunk->data[0] == (uint8_t)number);
    return waiting.chunk;
}

static void check_one_read_for_all(struct chunks *chunks)
{
    static struct waiting waiting[WAITERS];
    const size_t before = reads;

    for (int i = 0; i < WAITERS; i++)
        assert(ask(chunks, 10, &waiting[i]) == CHUNKS_WAIT);
    chunks_cancel(chunks, &waiting[7].waiter);
    assert(reads == before + 1);
    do_reads(true);
    for (int i = 0; i < WAITERS; i++) {
        assert(waiting[i].told == (i != 7));
        if (i != 7) {
            assert(waiting[i].chunk->data[STRIPE - 1] == 10);
            chunks_release(chunks, waiting[i].chunk);
        }
    }
    assert(waiting[0].chunk->holders == 0);
}

static void check_the_oldest_goes_first(struct chunks *chunks)
{
    struct chunk *held = fetch(chunks, 20);
    const size_t before = reads;

    for (uint64_t number = 21; number <= 23; number++)
        chunks_release(chunks, fetch(chunks, number));
    chunks_release(chunks, fetch(chunks, 21)); /* asked for again: 22 is the oldest now */
    assert(reads == before + 3);
    chunks_release(chunks, fetch(chunks, 24));
    chunks_release(chunks, fetch(chunks, 21));
    assert(reads == before + 4);
    chunks_release(chunks, fetch(chunks, 22));
    assert(reads == before + 5);
    assert(held->number == 20 && held->data[0] == 20);
    chunks_release(chunks, held);
}

static void check_a_read_that_fails(struct chunks *chunks)
{
    struct waiting one, other;

    assert(ask(chunks, 30, &one) == CHUNKS_WAIT && ask(chunks, 30, &other) == CHUNKS_WAIT);
    do_reads(false);
    assert(one.told == 1 && one.chunk == NULL && other.told == 1 && other.chunk == NULL);
    chunks_release(chunks, fetch(chunks, 30)); /* is tried again */
}

static void check_no_buffer(struct chunks *chunks)
{
    struct chunk *held[4];
    struct waiting waiting;

    for (uint64_t i = 0; i < 4; i++)
        held[i] = fetch(chunks, 40 + i);
    assert(ask(chunks, 50, &waiting) == CHUNKS_STARVED);
    chunks_starve(chunks, &waiting.waiter);
    chunks_feed(chunks);
    assert(waiting.told == 0);
    chunks_release(chunks, held[2]);
    chunks_feed(chunks);
    assert(waiting.told == 1 && waiting.chunk == NULL);
    chunks_release(chunks, fetch(chunks, 50));
    for (int i = 0; i < 4; i++)
        if (i != 2) {
            assert(held[i]->data[0] == 40 + i);
            chunks_release(chunks, held[i]);
        }
}

static void check_what_is_expected(struct chunks *chunks)
{
    const size_t before = reads;

    for (uint64_t number = 60; number < 70; number++)
        chunks_expect(chunks, 1, number);
    assert(reads == before + 2); /* half of the buffers */
    do_reads(true);
    chunks_release(chunks, fetch(chunks, 60));
    assert(reads == before + 2);
}

static void check_generations(struct chunks *chunks)
{
    struct waiting waiting = new_waiting();
    struct chunk *old = fetch(chunks, 80);

    list_init(&waiting.waiter.link);
    assert(chunks_get(chunks, 2, 80, &waiting.waiter, &waiting.chunk) == CHUNKS_WAIT);
    do_reads(true);
    assert(waiting.chunk != NULL && waiting.chunk != old);
    chunks_release(chunks, waiting.chunk);
    chunks_release(chunks, old);
}

int main(void)
{
    struct shfs_label label = {.chunks = 500, .stripe = STRIPE, .member_count = 1};
    struct chunks chunks;

    assert(chunks_init(&chunks, &label, members, 4 * STRIPE) && chunks.count == 4);
    check_one_read_for_all(&chunks);
    check_the_oldest_goes_first(&chunks);
    check_a_read_that_fails(&chunks);
    check_no_buffer(&chunks);
    check_what_is_expected(&chunks);
    check_generations(&chunks);
    chunks_free(&chunks);
    puts("chunks: ok");
    return 0;
}
