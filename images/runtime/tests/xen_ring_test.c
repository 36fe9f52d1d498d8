/* Rings against an honest other side, over the wrap of their indices, and against one that is not. */
#include "xen_ring.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#define PAGE 4096

struct request {
    uint32_t number, padding;
};

static void check_bytes(void)
{
    uint8_t memory[16];
    uint32_t consumed = UINT32_MAX - 20, produced = UINT32_MAX - 20; /* both wrap soon */
    struct byte_ring ring = {.bytes = memory, .size = sizeof memory, .consumed = &consumed, .produced = &produced};
    uint8_t next_in = 0, next_out = 0, piece[32];

    for (unsigned int turn = 0; turn < 100; turn++) {
        const size_t wanted = 1 + turn % 20;

        for (size_t i = 0; i < wanted; i++)
            piece[i] = (uint8_t)(next_in + i);
        const size_t room = byte_ring_room(&ring), put = byte_ring_put(&ring, piece, wanted);
        assert(put == (wanted < room ? wanted : room));
        next_in = (uint8_t)(next_in + put);
        const size_t taken = byte_ring_take(&ring, piece, 1 + turn % 7);
        for (size_t i = 0; i < taken; i++)
            assert(piece[i] == next_out++);
    }
    while (byte_ring_take(&ring, piece, sizeof piece) > 0)
        ;
    assert(byte_ring_room(&ring) == sizeof memory && produced == consumed);
}

/* The other side's index is beyond what there can be. */
static void check_lies_about_bytes(void)
{
    uint8_t memory[16] = {0}, piece[32];
    uint32_t consumed = 0, produced = 17;
    struct byte_ring ring = {.bytes = memory, .size = sizeof memory, .consumed = &consumed, .produced = &produced};

    assert(byte_ring_take(&ring, piece, sizeof piece) == 0 && consumed == 0);
    assert(byte_ring_room(&ring) == 0 && byte_ring_put(&ring, "x", 1) == 0);
    produced = 3;
    consumed = 4;
    assert(byte_ring_room(&ring) == 0);
    assert(byte_ring_take(&ring, piece, sizeof piece) == 0);
}

static uint8_t page[PAGE] __attribute__((aligned(PAGE)));

/* The other side answers everything that was shown to it. */
static void answer(struct request_ring *ring, bool in_turn)
{
    while (ring->shared->responses != ring->shared->requests) {
        struct request *entry = (struct request *)(ring->shared + 1) + ring->shared->responses % ring->entries;

        entry->padding = in_turn ? entry->number : 0;
        ring->shared->responses++;
    }
}

static void check_requests(void)
{
    struct request_ring ring;
    uint32_t number = 0, heard = 0;

    request_ring_start(&ring, page, sizeof(struct request));
    assert(ring.entries == 256);
    /* Ends before the page does. */
    assert((uint8_t *)(ring.shared + 1) + ring.entries * sizeof(struct request) <= page + PAGE);
    ring.put = ring.taken = ring.shared->requests = ring.shared->responses = UINT32_MAX - 100;
    ring.shared->request_event = ring.put + 1;
    for (unsigned int turn = 0; turn < 300; turn++) {
        const struct request *response;
        const bool wanted = turn % 3 == 0;

        for (unsigned int i = 0; i < turn % 9; i++)
            ((struct request *)request_ring_next(&ring))->number = number++;
        assert(request_ring_response(&ring) == NULL); /* nothing of it was shown */
        ring.shared->request_event = wanted ? ring.shared->requests + 1 : ring.shared->requests;
        assert(request_ring_show(&ring) == (wanted && turn % 9 > 0));
        answer(&ring, true);
        while ((response = request_ring_response(&ring)) != NULL)
            assert(response->padding == heard++);
        assert(heard == number);
        assert(!request_ring_expect(&ring) && ring.shared->response_event == ring.taken + 1);
    }
}

static void check_lies_about_responses(void)
{
    struct request_ring ring;

    request_ring_start(&ring, page, sizeof(struct request));
    request_ring_next(&ring);
    request_ring_show(&ring);
    ring.shared->responses = 2; /* one was asked for */
    assert(request_ring_response(&ring) == NULL);
    ring.shared->responses = UINT32_MAX;
    assert(request_ring_response(&ring) == NULL);
    ring.shared->responses = 1;
    assert(request_ring_expect(&ring));
    assert(request_ring_response(&ring) != NULL && request_ring_response(&ring) == NULL);
}

int main(void)
{
    check_bytes();
    check_lies_about_bytes();
    check_requests();
    check_lies_about_responses();
    puts("xen_ring_test: ok");
}
