/* Random allocations in a small region: blocks are aligned, inside the region,
 * do not overlap, and what is freed can be had again.  With an argument: each
 * size class, or pages. */
#include "heap.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REGION (1 << 20)
#define SLOTS 200

static struct {
    uint8_t *memory;
    size_t size;
    uint8_t fill;
} slots[SLOTS];

static void verify(unsigned int slot)
{
    for (size_t i = 0; i < slots[slot].size; i++)
        assert(slots[slot].memory[i] == slots[slot].fill);
}

/* A block of every class holds its size. */
static void check_classes(void)
{
    const size_t length = 64UL << 20;
    uint8_t *region = malloc(length);

    heap_init((uintptr_t)region, (uintptr_t)region + length);
    for (size_t size = 0; size < 70000; size += 1 + size / 100) {
        uint8_t *first = heap_allocate(size), *second = heap_allocate(size);

        assert(first != NULL && second != NULL);
        assert(first + size <= second || second + size <= first);
        memset(first, 0, size);
        memset(second, 0, size);
        heap_free(first);
        assert(heap_allocate(size) == first);
    }
    free(region);
}

/* Pages lie between blocks, as many as there is room for. */
static void check_pages(void)
{
    uint8_t *region = aligned_alloc(4096, 16 * 4096);

    heap_init((uintptr_t)region + 3, (uintptr_t)region + 16 * 4096);
    uint8_t *block = heap_allocate(100), *pages = heap_take_pages(2), *behind = heap_allocate(100);
    assert(pages == region + 4096 && block + 100 <= pages && pages + 2 * 4096 <= behind);
    assert(heap_take_pages(13) == NULL && heap_take_pages(SIZE_MAX) == NULL);
    assert(heap_take_pages(12) == region + 4 * 4096 && heap_take_pages(1) == NULL);
    free(region);
}

static void check_random(void)
{
    uint8_t *region = malloc(REGION);
    unsigned int failures = 0, most = 0;

    heap_init((uintptr_t)region + 3, (uintptr_t)region + REGION);
    srand(1);
    for (unsigned int turn = 0; turn < 200000; turn++) {
        const unsigned int slot = (unsigned int)rand() % SLOTS;

        if (slots[slot].memory != NULL) {
            verify(slot);
            heap_free(slots[slot].memory);
            slots[slot].memory = NULL;
            continue;
        }
        const size_t size = (size_t)rand() % (rand() % 20 == 0 ? 20000 : 2000);
        slots[slot].memory = heap_allocate(size);
        slots[slot].size = size;
        slots[slot].fill = (uint8_t)turn;
        if (slots[slot].memory == NULL) {
            failures++;
            continue;
        }
        assert((uintptr_t)slots[slot].memory % 16 == 0);
        assert(slots[slot].memory >= region && slots[slot].memory + size <= region + REGION);
        memset(slots[slot].memory, slots[slot].fill, size);
        most = turn;
    }
    assert(most > 190000); /* it never came to a standstill */
    assert(heap_allocate((1 << 20) + 1) == NULL && heap_allocate(SIZE_MAX) == NULL);
    assert(heap_allocate_zeroed(SIZE_MAX, 2) == NULL);
    heap_free(NULL);
    free(region);
    printf("heap_test: ok (%u refusals)\n", failures);
}

int main(int argc, char **argv)
{
    /* One process has one heap: each check is a process of its own. */
    if (argc > 1 && strcmp(argv[1], "pages") == 0)
        check_pages();
    else if (argc > 1)
        check_classes();
    else
        check_random();
    return 0;
}
