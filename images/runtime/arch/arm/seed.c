/* These CPUs have no random number instruction.  The loader gives randomness in the device
 * tree instead (/chosen/rng-seed), to be used once. */
#include "seed.h"

#include <string.h>

#include "entropy.h"

#define SEED_MAX 128

static uint8_t seed[SEED_MAX];
static size_t seed_length;

void seed_take(const void *bytes, size_t length)
{
    if (bytes == NULL)
        return;
    seed_length = length < sizeof seed ? length : sizeof seed;
    memcpy(seed, bytes, seed_length);
}

bool entropy_from_cpu(void *out, size_t length)
{
    if (length > seed_length)
        return false;
    seed_length -= length;
    memcpy(out, seed + seed_length, length);
    memset(seed + seed_length, 0, length);
    return true;
}
