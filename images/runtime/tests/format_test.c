#include "format.h"

#include <assert.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#define SAME(...) \
    do { \
        char ours[128], theirs[128]; \
        const size_t length = format(ours, sizeof ours, __VA_ARGS__); \
        snprintf(theirs, sizeof theirs, __VA_ARGS__); \
        assert(strcmp(ours, theirs) == 0 && length == strlen(theirs)); \
    } while (0)

int main(void)
{
    char small[4];

    SAME("plain %% text");
    SAME("%s|%c|%d|%d|%d", "text", 'x', 0, INT_MAX, INT_MIN);
    SAME("%u %x %lu %lx %zu", UINT_MAX, 0xabcU, ULONG_MAX, ULONG_MAX, (size_t)12);
    SAME("%08x|%016lx|%5u|%2u", 0x1fU, 0x1fUL, 42U, 12345U);
    assert(format(small, sizeof small, "%s", "abcdef") == 3 && strcmp(small, "abc") == 0);
    assert(format(small, 1, "x") == 0 && small[0] == '\0');
    assert(format(NULL, 0, "x") == 0);
    puts("format_test: ok");
    return 0;
}
