/* Free lists by size class over a region that is taken into use from its lower
 * end.  Both directions cost the same few instructions whatever has happened
 * before.  Memory is never touched ahead of its use: on the host each first
 * touch is a page fault, and one in a new 2 MiB stretch can cost milliseconds,
 * as the kernel then looks for a huge page to back it.
 *
 * Blocks are not merged, so memory stays with its class.  That is fit for a
 * server whose users of memory are all bounded. */
#include "heap.h"

#include <string.h>

#define ALIGNMENT 16
#define PAGE 4096
#define STEPS 4 /* classes for each doubling: at most a fifth of a block is waste */
#define SMALLEST_LOG 5
#define LARGEST_LOG 20
#define CLASSES ((LARGEST_LOG - SMALLEST_LOG) * STEPS + 1)

/* What lies before and, while it is free, in a block. */
struct block {
    uint64_t class;
    uint64_t padding;
    struct block *next; /* the user's memory begins here */
};

#define HEADER offsetof(struct block, next)
_Static_assert(HEADER % ALIGNMENT == 0, "blocks are aligned");

static uintptr_t unused, limit;
static struct block *free_blocks[CLASSES];

void heap_init(uintptr_t start, uintptr_t end)
{
    unused = (start + ALIGNMENT - 1) & ~(uintptr_t)(ALIGNMENT - 1);
    limit = end;
}

/* The class whose blocks hold so many bytes, and their size: class k holds
 * (STEPS + k % STEPS) * 2^(k / STEPS) * 2^SMALLEST_LOG / STEPS bytes. */
static size_t class_of(size_t size, size_t *block_size)
{
    if (size <= 1UL << SMALLEST_LOG) {
        *block_size = 1UL << SMALLEST_LOG;
        return 0;
    }
    const unsigned int log = 8 * sizeof(long) - 1 - (unsigned int)__builtin_clzl(size - 1);
    const size_t step = (1UL << log) / STEPS;
    const size_t steps = (size - 1) / step + 1; /* STEPS + 1 .. 2 * STEPS */
    *block_size = steps * step;
    return (log - SMALLEST_LOG) * STEPS + steps - STEPS;
}

void *heap_allocate(size_t size)
{
    size_t block_size;

    if (size > 1UL << LARGEST_LOG)
        return NULL;
    const size_t class = class_of(size, &block_size);
    struct block *block = free_blocks[class];
    if (block != NULL) {
        free_blocks[class] = block->next;
    } else {
        block_size = (block_size + HEADER + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
        if (block_size > limit - unused)
            return NULL;
        block = (struct block *)unused;
        block->class = class;
        unused += block_size;
    }
    return &block->next;
}

void *heap_take_pages(size_t count)
{
    const uintptr_t start = (unused + PAGE - 1) & ~(uintptr_t)(PAGE - 1);

    if (start > limit || count > (limit - start) / PAGE)
        return NULL;
    unused = start + count * PAGE;
    return (void *)start;
}

void *heap_allocate_zeroed(size_t count, size_t size)
{
    if (size != 0 && count > SIZE_MAX / size)
        return NULL;
    void *memory = heap_allocate(count * size);
    return memory == NULL ? NULL : memset(memory, 0, count * size);
}

void heap_free(void *memory)
{
    if (memory == NULL)
        return;
    struct block *block = (struct block *)((uintptr_t)memory - HEADER);
    block->next = free_blocks[block->class];
    free_blocks[block->class] = block;
}
