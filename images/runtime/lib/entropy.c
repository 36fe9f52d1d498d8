/* Random numbers: a key of real entropy, taken at the start and again after
 * each rest, and a keyed hash in counter mode.  What is given out does not reveal the key. */
#include "entropy.h"

#include "panic.h"
#include "siphash.h"

static entropy_source offered;
static struct siphash_key key;
static uint64_t counter;

void entropy_offer(entropy_source source)
{
    offered = source;
}

void entropy_init(void)
{
    if (entropy_from_cpu(&key, sizeof key))
        return;
    if (offered != NULL && offered(&key, sizeof key))
        return;
    panic("no entropy: the CPU has no random number instruction and there is no virtio-rng device");
}

void entropy_stir(const uint64_t *seed, size_t words)
{
    const struct siphash_key turned = {.k0 = key.k1, .k1 = key.k0};
    struct siphash_key fresh = {0};

    /* Without a generator in the CPU the seed is all there is. */
    (void)entropy_from_cpu(&fresh, sizeof fresh);
    fresh.k0 ^= siphash(&key, seed, words);
    fresh.k1 ^= siphash(&turned, seed, words);
    key = fresh;
}

uint64_t random_u64(void)
{
    counter++;
    return siphash(&key, &counter, 1);
}
