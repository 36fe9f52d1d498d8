/* The entropy interface.  Sources are real: a CPU instruction or a device that
 * the host feeds.  Nothing is made up from clocks; a guest that finds no source
 * does not start, since its TCP sequence numbers could be guessed. */
#ifndef ENTROPY_H
#define ENTROPY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Fills the buffer with real entropy, or returns false. */
typedef bool (*entropy_source)(void *out, size_t length);

/* The CPU's own source, implemented under arch/. */
bool entropy_from_cpu(void *out, size_t length);

/* A driver offers its device as the source to use if the CPU has none. */
void entropy_offer(entropy_source source);

/* Seeds the generator below; panics if there is no source. */
void entropy_init(void);

/* Mixes a seed from the host, and what the CPU offers, into the generator's key.
 * What was known of it before, such as a saved copy of this guest, then tells
 * nothing of the numbers to come. */
void entropy_stir(const uint64_t *seed, size_t words);

/* Pseudo-random numbers from a key of real entropy. */
uint64_t random_u64(void);

#endif
