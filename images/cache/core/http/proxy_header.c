#include "proxy_header.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "text.h"

#define LINE_MOST 107 /* bytes of version 1, with its end */
#define BLOCK_MOST 4096

static const char signature[] = {'\r', '\n', '\r', '\n', '\0', '\r', '\n', 'Q', 'U', 'I', 'T', '\n'};

static size_t least(size_t one, size_t other)
{
    return one < other ? one : other;
}

/* Takes a word and the one blank behind it, if there is one. */
static struct text take_word(struct text *line)
{
    const char *blank = memchr(line->at, ' ', line->length);
    const size_t length = blank == NULL ? line->length : (size_t)(blank - line->at);
    const struct text word = {line->at, length};

    *line = blank == NULL ? (struct text){line->at + length, 0}
                          : (struct text){blank + 1, line->length - length - 1};
    return word;
}

static bool is_number_up_to(struct text word, uint64_t most)
{
    uint64_t number;

    return word.length <= 5 && text_number(word, &number) && number <= most;
}

static bool is_ipv4(struct text word)
{
    for (int i = 0; i < 4; i++) {
        const char *dot = memchr(word.at, '.', word.length);
        const struct text number = {word.at, i < 3 && dot != NULL ? (size_t)(dot - word.at) : word.length};

        if (!is_number_up_to(number, 255) || (i < 3 && dot == NULL))
            return false;
        if (i < 3)
            word = (struct text){dot + 1, word.length - number.length - 1};
    }
    return true;
}

static bool is_ipv6(struct text word)
{
    size_t colons = 0, digits = 0;

    for (size_t i = 0; i < word.length; i++) {
        if (word.at[i] == ':') {
            colons++;
            digits = 0;
        } else if ((text_hex(word.at[i]) < 0 && word.at[i] != '.') || ++digits > 15) {
            return false;
        }
    }
    return colons >= 2 && colons <= 8 && word.length <= 45;
}

static bool is_line(struct text line)
{
    struct text family;

    take_word(&line); /* PROXY */
    family = take_word(&line);
    if (text_is(family, "UNKNOWN"))
        return true;
    for (int i = 0; i < 2; i++) {
        const struct text address = take_word(&line);

        if (text_is(family, "TCP4") ? !is_ipv4(address) : !text_is(family, "TCP6") || !is_ipv6(address))
            return false;
    }
    for (int i = 0; i < 2; i++)
        if (!is_number_up_to(take_word(&line), 65535))
            return false;
    return line.length == 0;
}

static enum proxy_header read_line(const char *bytes, size_t available, size_t *length)
{
    const char *end = memchr(bytes, '\n', least(available, LINE_MOST));

    if (memcmp(bytes, "PROXY ", least(available, 6)) != 0)
        return PROXY_WRONG;
    if (end == NULL)
        return available < LINE_MOST ? PROXY_MORE : PROXY_WRONG;
    *length = (size_t)(end - bytes) + 1;
    if (*length < 8 || end[-1] != '\r' || !is_line((struct text){bytes, *length - 2}))
        return PROXY_WRONG;
    return PROXY_COMPLETE;
}

static enum proxy_header read_block(const char *bytes, size_t available, size_t *length)
{
    static const uint16_t addresses[] = {0, 12, 36, 216}; /* bytes of a family's */
    const uint8_t *block = (const uint8_t *)bytes;

    if (available < 16)
        return PROXY_MORE;
    *length = 16 + (size_t)(block[14] << 8 | block[15]);
    if ((block[12] != 0x20 && block[12] != 0x21) || block[13] >> 4 > 3 || (block[13] & 15) > 2 || *length > BLOCK_MOST)
        return PROXY_WRONG;
    if (block[12] == 0x21 && *length - 16 < addresses[block[13] >> 4])
        return PROXY_WRONG;
    return available < *length ? PROXY_MORE : PROXY_COMPLETE;
}

enum proxy_header proxy_header_read(const char *bytes, size_t available, size_t *length)
{
    if (available == 0)
        return PROXY_MORE;
    if (bytes[0] != signature[0])
        return read_line(bytes, available, length);
    if (memcmp(bytes, signature, least(available, sizeof signature)) != 0)
        return PROXY_WRONG;
    return read_block(bytes, available, length);
}
