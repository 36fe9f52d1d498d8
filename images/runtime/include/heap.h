/* Dynamic memory: all RAM above the image. */
#ifndef HEAP_H
#define HEAP_H

#include <stddef.h>
#include <stdint.h>

void heap_init(uintptr_t start, uintptr_t end);

/* Uninitialised memory, aligned to 16 bytes, or NULL. */
void *heap_allocate(size_t size);

/* The same, zeroed. */
void *heap_allocate_zeroed(size_t count, size_t size);

/* Uninitialised pages of 4 KiB, for what is shared with others, or NULL.  They are not
 * given back. */
void *heap_take_pages(size_t count);

/* NULL is ignored. */
void heap_free(void *memory);

#endif
