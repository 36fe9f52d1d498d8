#include "format.h"

#include <stdbool.h>
#include <stdint.h>

struct writer {
    char *out;
    size_t size, used;
};

static void put(struct writer *w, char c)
{
    if (w->used + 1 < w->size)
        w->out[w->used++] = c;
}

static void put_number(struct writer *w, uint64_t value, unsigned int base, unsigned int width, char pad)
{
    char digits[20]; /* 2^64 has 20 decimal digits */
    unsigned int count = 0;

    do {
        digits[count++] = "0123456789abcdef"[value % base];
        value /= base;
    } while (value != 0);
    for (; width > count; width--)
        put(w, pad);
    while (count > 0)
        put(w, digits[--count]);
}

static uint64_t next_unsigned(va_list *args, unsigned int longs)
{
    if (longs == 2)
        return va_arg(*args, unsigned long long);
    return longs == 1 ? va_arg(*args, unsigned long) : va_arg(*args, unsigned int);
}

size_t format_va(char *out, size_t size, const char *fmt, va_list outer)
{
    struct writer w = {.out = out, .size = size};
    va_list args;

    va_copy(args, outer);
    for (; *fmt != '\0'; fmt++) {
        if (*fmt != '%') {
            put(&w, *fmt);
            continue;
        }
        fmt++;
        char pad = ' ';
        if (*fmt == '0') {
            pad = '0';
            fmt++;
        }
        unsigned int width = 0;
        for (; *fmt >= '0' && *fmt <= '9'; fmt++)
            width = width * 10 + (unsigned int)(*fmt - '0');
        unsigned int longs = 0;
        for (; *fmt == 'l' || *fmt == 'z'; fmt++)
            longs++;
        switch (*fmt) {
        case 's':
            for (const char *text = va_arg(args, const char *); *text != '\0'; text++)
                put(&w, *text);
            break;
        case 'c':
            put(&w, (char)va_arg(args, int));
            break;
        case 'd': {
            int64_t value = longs == 2 ? va_arg(args, long long) : longs == 1 ? va_arg(args, long) : va_arg(args, int);
            if (value < 0)
                put(&w, '-');
            put_number(&w, value < 0 ? -(uint64_t)value : (uint64_t)value, 10, width, pad);
            break;
        }
        case 'u':
            put_number(&w, next_unsigned(&args, longs), 10, width, pad);
            break;
        case 'x':
            put_number(&w, next_unsigned(&args, longs), 16, width, pad);
            break;
        default:
            put(&w, *fmt);
            break;
        }
    }
    va_end(args);
    if (size > 0)
        out[w.used] = '\0';
    return w.used;
}

size_t format(char *out, size_t size, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    size_t used = format_va(out, size, fmt, args);
    va_end(args);
    return used;
}
