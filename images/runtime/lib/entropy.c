/* Random numbers: a key of real entropy, taken once at the start, and a keyed
 * hash in counter mode.  What is given out does not reveal the key. */
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

uint64_t random_u64(void)
{
    counter++;
    return siphash(&key, &counter, 1);
}
