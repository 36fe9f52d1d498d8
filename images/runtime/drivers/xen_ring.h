/* Rings in shared memory: of bytes, one way (console, store), and of requests that are
 * answered (xen/include/public/io/ring.h).  Indices run free, modulo 2^32.  The other side
 * is not believed: an index that no honest one would have is an empty or a full ring. */
#ifndef XEN_RING_H
#define XEN_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* --- bytes ------------------------------------------------------------------- */
struct byte_ring {
    uint8_t *bytes;
    uint32_t size; /* a power of two */
    uint32_t *consumed, *produced;
};

/* How many bytes there is room for now. */
uint32_t byte_ring_room(const struct byte_ring *ring);

/* Puts in what there is room for; returns how much that was. */
size_t byte_ring_put(struct byte_ring *ring, const void *data, size_t length);

/* Takes out at most so many bytes; returns how many there were. */
size_t byte_ring_take(struct byte_ring *ring, void *data, size_t length);

/* --- requests and responses ----------------------------------------------------- */

/* The beginning of the page; the entries follow. */
struct request_ring_shared {
    uint32_t requests, request_event;
    uint32_t responses, response_event;
    uint8_t reserved[48];
};

struct request_ring {
    struct request_ring_shared *shared;
    uint32_t entry_size;
    uint32_t entries; /* a power of two */
    uint32_t put;     /* requests written, but perhaps not told of */
    uint32_t taken;   /* responses read */
};

/* Makes an empty ring in this page. */
void request_ring_start(struct request_ring *ring, void *page, uint32_t entry_size);

/* The place for the next request.  The caller bounds how many are under way. */
void *request_ring_next(struct request_ring *ring);

/* Shows what was written to the other side; does it want to be told? */
bool request_ring_show(struct request_ring *ring);

/* The next response, or NULL.  It is valid until the next request is put. */
const void *request_ring_response(struct request_ring *ring);

/* Asks to be told of the next response; true if one has come meanwhile. */
bool request_ring_expect(struct request_ring *ring);

#endif
