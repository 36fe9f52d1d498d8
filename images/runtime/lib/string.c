/* Memory and string functions, in eight-byte steps: the emulator runs plain
 * 64-bit moves much faster than byte loops or the string instructions. */
#include <stdint.h>
#include <string.h>

typedef uint64_t __attribute__((may_alias, aligned(1))) word;

/* Reads each word before it writes it and goes upwards, so the target may also
 * overlap the source from below. */
static void copy_up(uint8_t *out, const uint8_t *in, size_t length)
{
    for (; length >= sizeof(word); length -= sizeof(word)) {
        *(word *)out = *(const word *)in;
        out += sizeof(word);
        in += sizeof(word);
    }
    while (length-- > 0)
        *out++ = *in++;
}

void *memcpy(void *restrict to, const void *restrict from, size_t length)
{
    copy_up(to, from, length);
    return to;
}

void *memmove(void *to, const void *from, size_t length)
{
    uint8_t *out = to;
    const uint8_t *in = from;

    if (out <= in || out >= in + length)
        copy_up(out, in, length);
    else
        while (length-- > 0)
            out[length] = in[length];
    return to;
}

void *memset(void *to, int value, size_t length)
{
    uint8_t *out = to;
    const uint64_t pattern = (uint8_t)value * 0x0101010101010101ULL;

    for (; length >= sizeof(word); length -= sizeof(word)) {
        *(word *)out = pattern;
        out += sizeof(word);
    }
    while (length-- > 0)
        *out++ = (uint8_t)value;
    return to;
}

int memcmp(const void *a, const void *b, size_t length)
{
    const uint8_t *x = a, *y = b;

    for (; length > 0; length--, x++, y++)
        if (*x != *y)
            return *x - *y;
    return 0;
}

void *memchr(const void *bytes, int value, size_t length)
{
    for (const uint8_t *at = bytes; length > 0; length--, at++)
        if (*at == (uint8_t)value)
            return (void *)(uintptr_t)at;
    return NULL;
}

size_t strlen(const char *text)
{
    size_t length = 0;

    while (text[length] != '\0')
        length++;
    return length;
}

char *strchr(const char *text, int character)
{
    for (;; text++) {
        if (*text == (char)character)
            return (char *)(uintptr_t)text;
        if (*text == '\0')
            return NULL;
    }
}

int strncmp(const char *a, const char *b, size_t length)
{
    for (; length > 0; length--, a++, b++) {
        if (*a != *b)
            return (uint8_t)*a - (uint8_t)*b;
        if (*a == '\0')
            break;
    }
    return 0;
}
