#include "sending.h"

#include <string.h>

#define SPANS (SENDING_HELD + 2)

static void chunk_ready(struct chunk_waiter *waiter, struct chunk *chunk);

void sending_init(struct sending *sending, struct host_tcp *tcp, struct volume *volume, size_t read_ahead,
                  void (*resumed)(struct sending *sending))
{
    *sending = (struct sending){.tcp = tcp, .volume = volume, .read_ahead = read_ahead, .resumed = resumed};
    sending->waiter.ready = chunk_ready;
    list_init(&sending->waiter.link);
}

static bool has_body(const struct sending *sending)
{
    return sending->response->body != BODY_NONE;
}

/* Goes to a part of the body, the first one or the next. */
static void enter_part(struct sending *sending, size_t part)
{
    struct writer text = writer_on(sending->text, sizeof sending->text);

    sending->part = part;
    sending->offset = 0;
    if (sending->response->body == BODY_PARTS && part <= sending->response->ranges.count)
        response_part_head(sending->response, part, &text);
    sending->text_length = text.length;
    sending->text_sent = 0;
}

void sending_begin(struct sending *sending, struct response *response, struct table *table)
{
    sending->response = response;
    sending->head_sent = 0;
    sending->failed = false;
    enter_part(sending, 0);
    if (has_body(sending)) {
        sending->table = table;
        table_hold(table);
    }
}

static const struct range *current_range(const struct sending *sending)
{
    return has_body(sending) && sending->part < sending->response->ranges.count
               ? &sending->response->ranges.range[sending->part]
               : NULL;
}

static bool is_done(const struct sending *sending)
{
    return sending->head_sent == sending->response->head_length && current_range(sending) == NULL &&
           sending->text_sent == sending->text_length;
}

static struct held_chunk *find_held(struct sending *sending, uint64_t number)
{
    for (size_t i = 0; i < sending->held_count; i++) {
        const struct chunk *chunk = sending->held[i].chunk;

        if (chunk->number == number && chunk->generation == sending->table->generation)
            return &sending->held[i];
    }
    return NULL;
}

static void add_held(struct sending *sending, struct chunk *chunk)
{
    sending->held[sending->held_count++] = (struct held_chunk){.chunk = chunk};
}

/* Has what follows of the object's range read while this is sent. */
static void expect_next(struct sending *sending, uint64_t number, uint64_t last)
{
    const bool first = sending->offset == 0;

    for (uint64_t ahead = first ? 1 : sending->read_ahead; ahead <= sending->read_ahead; ahead++)
        if (ahead > 0 && number + ahead <= last)
            chunks_expect(&sending->volume->chunks, sending->table->generation, number + ahead);
}

/* The chunk, if it is there or held already.  Else it is waited for, or there is no room for it. */
static struct held_chunk *hold(struct sending *sending, uint64_t number, uint64_t last)
{
    struct held_chunk *held = find_held(sending, number);
    struct chunk *chunk;

    if (held != NULL) {
        held->passed = false;
        return held;
    }
    if (sending->waiting || sending->held_count == SENDING_HELD)
        return NULL;
    switch (chunks_get(&sending->volume->chunks, sending->table->generation, number, &sending->waiter, &chunk)) {
    case CHUNKS_READY:
        add_held(sending, chunk);
        held = &sending->held[sending->held_count - 1];
        break;
    case CHUNKS_WAIT:
        sending->waiting = true;
        break;
    case CHUNKS_STARVED:
        return NULL;
    }
    expect_next(sending, number, last);
    return held;
}

/* What can be sent now of the range, from where we are. */
static size_t gather_range(struct sending *sending, struct host_span *spans)
{
    const struct range *range = current_range(sending);
    const uint32_t size = sending->volume->chunks.size;
    const uint64_t start = range == NULL ? 0 : sending->response->object->file.start + range->start;
    uint64_t offset = sending->offset;
    size_t count = 0;

    while (range != NULL && offset < range->length && count < SENDING_HELD) {
        const uint64_t at = start + offset;
        const uint32_t in_chunk = (uint32_t)(at % size);
        const uint64_t left = range->length - offset;
        const size_t length = left < size - in_chunk ? (size_t)left : size - in_chunk;
        const struct held_chunk *held = hold(sending, at / size, (start + range->length - 1) / size);

        if (held == NULL)
            break;
        spans[count++] = (struct host_span){held->chunk->data + in_chunk, length, true};
        offset += length;
    }
    return count;
}

/* The head goes with the first bytes of the body, or not yet: an object that cannot be read has another head. */
static size_t gather(struct sending *sending, struct host_span *spans)
{
    const struct response *response = sending->response;
    struct host_span bytes[SENDING_HELD];
    const size_t count = gather_range(sending, bytes);
    size_t all = 0;

    if (count == 0 && current_range(sending) != NULL && !sending_has_begun(sending))
        return 0;
    if (sending->head_sent < response->head_length)
        spans[all++] = (struct host_span){response->head + sending->head_sent,
                                          response->head_length - sending->head_sent, false};
    if (sending->text_sent < sending->text_length)
        spans[all++] =
            (struct host_span){sending->text + sending->text_sent, sending->text_length - sending->text_sent, false};
    memcpy(spans + all, bytes, count * sizeof *bytes);
    return all + count;
}

static size_t take(size_t *taken, size_t whole, size_t available)
{
    const size_t length = whole - *taken < available ? whole - *taken : available;

    *taken += length;
    return length;
}

/* So many bytes are with the platform: goes on to what comes behind them. */
static void advance(struct sending *sending, size_t count)
{
    const uint32_t size = sending->volume->chunks.size;
    const struct range *range;
    size_t used = take(&sending->head_sent, sending->response->head_length, count);

    used += take(&sending->text_sent, sending->text_length, count - used);
    sending->sent += used;
    for (count -= used; count > 0 && (range = current_range(sending)) != NULL;) {
        const uint64_t at = sending->response->object->file.start + range->start + sending->offset;
        struct held_chunk *held = find_held(sending, at / size);
        const size_t in_chunk = size - (size_t)(at % size);
        const size_t length = count < in_chunk ? count : in_chunk;

        sending->sent += length;
        sending->offset += length;
        count -= length;
        held->until = sending->sent;
        held->passed = length == in_chunk || sending->offset == range->length;
    }
    while ((range = current_range(sending)) != NULL && sending->offset == range->length)
        enter_part(sending, sending->part + 1);
}

/* Is there more to send at once than the next `length` bytes? */
static bool is_followed(const struct sending *sending, size_t length)
{
    const struct range *range = current_range(sending);
    const uint64_t left = sending->response->head_length - sending->head_sent + sending->text_length -
                          sending->text_sent + (range == NULL ? 0 : range->length - sending->offset);

    return left > length || (range != NULL && sending->response->body == BODY_PARTS);
}

void sending_settle(struct sending *sending)
{
    const uint64_t acknowledged = sending->sent - host_tcp_lent(sending->tcp);
    size_t kept = 0;

    for (size_t i = 0; i < sending->held_count; i++) {
        const struct held_chunk *held = &sending->held[i];

        if (held->passed && held->until <= acknowledged)
            chunks_release(&sending->volume->chunks, held->chunk);
        else
            sending->held[kept++] = *held;
    }
    sending->held_count = kept;
}

bool sending_has_begun(const struct sending *sending)
{
    return sending->head_sent > 0;
}

/* The next chunk cannot be held.  What is lent out of those before it comes back, and that will be told; else somebody
 * else has all buffers. */
static enum sending_state starve(struct sending *sending)
{
    if (host_tcp_lent(sending->tcp) > 0)
        return SENDING_BLOCKED;
    if (!sending_has_begun(sending))
        return SENDING_FULL;
    sending->waiting = sending->starved = true;
    chunks_starve(&sending->volume->chunks, &sending->waiter);
    return SENDING_BLOCKED;
}

enum sending_state sending_continue(struct sending *sending)
{
    struct host_span spans[SPANS];

    while (!sending->failed && !is_done(sending)) {
        const size_t count = gather(sending, spans);
        size_t length = 0, taken;

        for (size_t i = 0; i < count; i++)
            length += spans[i].length;
        if (count == 0)
            return sending->waiting ? SENDING_BLOCKED : starve(sending);
        taken = host_tcp_send(sending->tcp, spans, count, !sending->waiting && is_followed(sending, length));
        advance(sending, taken);
        sending_settle(sending);
        if (taken < length)
            return SENDING_BLOCKED;
    }
    if (sending->failed)
        return SENDING_FAILED;
    sending_end(sending);
    return SENDING_DONE;
}

/* A chunk that was read; NULL if it cannot be, or if there is a buffer now that we had to wait for. */
static void chunk_ready(struct chunk_waiter *waiter, struct chunk *chunk)
{
    struct sending *sending = LIST_ELEMENT(waiter, struct sending, waiter);

    sending->waiting = false;
    if (chunk != NULL)
        add_held(sending, chunk);
    sending->failed = chunk == NULL && !sending->starved;
    sending->starved = false;
    sending->resumed(sending);
}

void sending_end(struct sending *sending)
{
    chunks_cancel(&sending->volume->chunks, &sending->waiter);
    sending->waiting = sending->starved = false;
    if (sending->table != NULL)
        table_release(sending->table);
    sending->table = NULL;
    for (size_t i = 0; i < sending->held_count; i++)
        sending->held[i].passed = true;
}

void sending_release(struct sending *sending)
{
    sending_end(sending);
    for (size_t i = 0; i < sending->held_count; i++)
        chunks_release(&sending->volume->chunks, sending->held[i].chunk);
    sending->held_count = 0;
}
