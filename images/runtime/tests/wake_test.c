#include "wake.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#define SEED "00112233445566778899aabbccddeeff0123456789abcdeffedcba9876543210"

static struct wake wake;

static bool parsed(const char *line)
{
    return wake_parse(line, strlen(line), &wake);
}

int main(void)
{
    assert(parsed(SEED " 1764000000123456789"));
    assert(wake.seed[0] == 0x0011223344556677 && wake.seed[1] == 0x8899aabbccddeeff);
    assert(wake.seed[2] == 0x0123456789abcdef && wake.seed[3] == 0xfedcba9876543210);
    assert(wake.clock == 1764000000123456789);
    assert(parsed(SEED " 0") && wake.clock == 0);
    assert(parsed(SEED " 9999999999999999999"));

    static const char *const refused[] = {
        "", "wake", SEED, SEED " ", SEED "1 1", SEED " 1 ", SEED " -1",
        SEED " 99999999999999999999", SEED " 1x", "wake " SEED " 1", " " SEED " 1", "\n" SEED " 1",
        "00112233445566778899AABBCCDDEEFF0123456789abcdeffedcba9876543210 1",
        "g0112233445566778899aabbccddeeff0123456789abcdeffedcba9876543210 1", "1 1",
    };
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        if (parsed(refused[i]))
            fprintf(stderr, "accepted: \"%s\"\n", refused[i]);
        assert(!parsed(refused[i]));
    }
    puts("wake_test: ok");
    return 0;
}
