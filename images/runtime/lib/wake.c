#include "wake.h"

#define WORD_DIGITS 16
#define SEED_DIGITS (WAKE_SEED_WORDS * WORD_DIGITS)
#define CLOCK_DIGITS_MAX 19 /* fits into 64 bits until the year 2286 */

static bool parse_seed(const char *digits, uint64_t *seed)
{
    for (size_t i = 0; i < SEED_DIGITS; i++) {
        const char c = digits[i];
        uint64_t value;

        if (c >= '0' && c <= '9')
            value = (uint64_t)(c - '0');
        else if (c >= 'a' && c <= 'f')
            value = (uint64_t)(c - 'a' + 10);
        else
            return false;
        seed[i / WORD_DIGITS] = seed[i / WORD_DIGITS] << 4 | value;
    }
    return true;
}

static bool parse_clock(const char *digits, size_t length, uint64_t *clock)
{
    if (length == 0 || length > CLOCK_DIGITS_MAX)
        return false;
    *clock = 0;
    for (size_t i = 0; i < length; i++) {
        if (digits[i] < '0' || digits[i] > '9')
            return false;
        *clock = *clock * 10 + (uint64_t)(digits[i] - '0');
    }
    return true;
}

bool wake_parse(const char *words, size_t length, struct wake *wake)
{
    *wake = (struct wake){0};
    return length > SEED_DIGITS && words[SEED_DIGITS] == ' ' && parse_seed(words, wake->seed) &&
           parse_clock(words + SEED_DIGITS + 1, length - SEED_DIGITS - 1, &wake->clock);
}
