/* Against the test vectors of the reference implementation: key 00 01 .. 0f,
 * messages 00 01 02 ... of 0, 8 and 16 bytes. */
#include "siphash.h"

#include <assert.h>
#include <stdio.h>

int main(void)
{
    const struct siphash_key key = {0x0706050403020100, 0x0f0e0d0c0b0a0908};
    const uint64_t words[] = {0x0706050403020100, 0x0f0e0d0c0b0a0908};

    assert(siphash(&key, words, 0) == 0x726fdb47dd0e0e31);
    assert(siphash(&key, words, 1) == 0x93f5f5799a932462);
    assert(siphash(&key, words, 2) == 0x3f2acc7f57c29bdb);
    printf("siphash_test: ok\n");
    return 0;
}
