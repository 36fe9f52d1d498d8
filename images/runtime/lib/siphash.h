/* SipHash-2-4 (Aumasson, Bernstein: "SipHash: a fast short-input PRF", 2012):
 * a keyed hash with 64 bits of output whose results say nothing of the key. */
#ifndef SIPHASH_H
#define SIPHASH_H

#include <stddef.h>
#include <stdint.h>

struct siphash_key {
    uint64_t k0, k1;
};

/* Hashes a message of whole 64-bit words, which is all this runtime needs. */
uint64_t siphash(const struct siphash_key *key, const uint64_t *words, size_t count);

#endif
