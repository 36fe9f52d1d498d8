/* A response on its way: its head, and the chunks of its object straight from where they are in memory.
 *
 * A chunk is held as long as the platform has bytes of it lent out, even when the connection has gone on to the next
 * request. */
#ifndef SENDING_H
#define SENDING_H

#include "response.h"
#include "volume.h"

#define SENDING_HELD 16 /* chunks */
#define SENDING_TEXT 256

struct held_chunk {
    struct chunk *chunk;
    uint64_t until; /* of `sent`: where its last byte was */
    bool passed;    /* nothing more is sent of it */
};

struct sending {
    struct host_tcp *tcp;
    struct volume *volume;
    size_t read_ahead;
    void (*resumed)(struct sending *sending); /* what was waited for has come */

    struct response *response;
    struct table *table; /* held while the object's bytes are sent */
    size_t head_sent;
    size_t part;     /* of the body: a range, or behind the last one the end */
    uint64_t offset; /* in the range */
    char text[SENDING_TEXT]; /* in front of it */
    size_t text_length, text_sent;
    bool waiting, starved, failed;
    struct chunk_waiter waiter;

    struct held_chunk held[SENDING_HELD];
    size_t held_count;
    uint64_t sent; /* bytes on this connection */
};

void sending_init(struct sending *sending, struct host_tcp *tcp, struct volume *volume, size_t read_ahead,
                  void (*resumed)(struct sending *sending));

/* The response stays where it is until it is sent. */
void sending_begin(struct sending *sending, struct response *response, struct table *table);

enum sending_state {
    SENDING_DONE,    /* all of it is with the platform */
    SENDING_BLOCKED, /* until writable, or until resumed() */
    SENDING_FULL,    /* nothing is sent yet, and there is no memory for it */
    SENDING_FAILED,  /* the object cannot be read */
};

enum sending_state sending_continue(struct sending *sending);

/* Has any byte of the response been sent? */
bool sending_has_begun(const struct sending *sending);

/* Lets go of the chunks that nothing is lent of any more. */
void sending_settle(struct sending *sending);

/* Ends the response where it is. */
void sending_end(struct sending *sending);

/* The connection is no more: lets go of everything. */
void sending_release(struct sending *sending);

#endif
