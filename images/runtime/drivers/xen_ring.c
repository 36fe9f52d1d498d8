#include "xen_ring.h"

#include <string.h>

#define RING_PAGE 4096

static uint32_t look(const uint32_t *index)
{
    return __atomic_load_n(index, __ATOMIC_ACQUIRE);
}

uint32_t byte_ring_room(const struct byte_ring *ring)
{
    const uint32_t used = *ring->produced - look(ring->consumed);

    return used <= ring->size ? ring->size - used : 0;
}

size_t byte_ring_put(struct byte_ring *ring, const void *data, size_t length)
{
    const uint8_t *from = data;
    const uint32_t room = byte_ring_room(ring), start = *ring->produced;

    if (length > room)
        length = room;
    for (uint32_t i = 0; i < length; i++)
        ring->bytes[(start + i) & (ring->size - 1)] = from[i];
    __atomic_store_n(ring->produced, start + (uint32_t)length, __ATOMIC_RELEASE);
    return length;
}

size_t byte_ring_take(struct byte_ring *ring, void *data, size_t length)
{
    uint8_t *to = data;
    const uint32_t start = *ring->consumed, held = look(ring->produced) - start;

    if (held > ring->size)
        return 0;
    if (length > held)
        length = held;
    for (uint32_t i = 0; i < length; i++)
        to[i] = ring->bytes[(start + i) & (ring->size - 1)];
    __atomic_store_n(ring->consumed, start + (uint32_t)length, __ATOMIC_RELEASE);
    return length;
}

void request_ring_start(struct request_ring *ring, void *page, uint32_t entry_size)
{
    const uint32_t fitting = (RING_PAGE - sizeof(struct request_ring_shared)) / entry_size;

    *ring = (struct request_ring){.shared = page, .entry_size = entry_size, .entries = 1};
    while (ring->entries * 2 <= fitting)
        ring->entries *= 2;
    memset(page, 0, RING_PAGE);
    ring->shared->request_event = 1;
}

static void *entry(const struct request_ring *ring, uint32_t index)
{
    return (uint8_t *)(ring->shared + 1) + (size_t)(index & (ring->entries - 1)) * ring->entry_size;
}

void *request_ring_next(struct request_ring *ring)
{
    return entry(ring, ring->put++);
}

bool request_ring_show(struct request_ring *ring)
{
    const uint32_t before = ring->shared->requests;

    __atomic_store_n(&ring->shared->requests, ring->put, __ATOMIC_RELEASE);
    /* The index must be out before the other side's wish is read, or both could wait. */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    return ring->put - ring->shared->request_event < ring->put - before;
}

const void *request_ring_response(struct request_ring *ring)
{
    const uint32_t there = look(&ring->shared->responses) - ring->taken;

    /* No more can have been answered than was asked. */
    if (there == 0 || there > ring->put - ring->taken)
        return NULL;
    return entry(ring, ring->taken++);
}

bool request_ring_expect(struct request_ring *ring)
{
    __atomic_store_n(&ring->shared->response_event, ring->taken + 1, __ATOMIC_SEQ_CST);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    return look(&ring->shared->responses) != ring->taken;
}
