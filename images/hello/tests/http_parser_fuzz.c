/* Mutates requests for some seconds and feeds them in random pieces: under the
 * sanitizers nothing may go wrong, and every request has to end the same way
 * when it is read in one piece. */
#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "http_parser.h"

static const char *const seeds[] = {
    "GET / HTTP/1.1\r\nHost: a\r\nConnection: close, keep-alive\r\n\r\n",
    "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\nhello",
    "PUT /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n3\r\nabc\r\n0\r\nT: x\r\n\r\n",
    "HEAD http://a/slow?ms=1 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    "OPTIONS * HTTP/1.1\nHost:\n\n",
};

static const char *const words[] = {
    "\r\n", "\n", "\r", " ", ":", "0", "ffffffff", "Content-Length: 0\r\n", "Host: b\r\n", "\t", "\xff",
    "Transfer-Encoding: chunked\r\n", "HTTP/1.1", "18446744073709551615", ";", ",",
};

#define INPUT_MAX 4096
#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static uint64_t state;

static uint32_t draw(uint32_t below) /* xorshift64*: the seed is printed, so a failure can be repeated */
{
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    return (uint32_t)((state * 0x2545f4914f6cdd1dULL) >> 33) % below;
}

static size_t insert(char *input, size_t length, size_t at, const char *bytes, size_t count)
{
    if (length + count > INPUT_MAX)
        return length;
    memmove(input + at + count, input + at, length - at);
    memcpy(input + at, bytes, count);
    return length + count;
}

static size_t mutate(char *input, size_t length)
{
    for (uint32_t i = draw(6); i > 0 && length > 0; i--) {
        const size_t at = draw((uint32_t)length);
        char copy[256];
        size_t count;

        switch (draw(5)) {
        case 0:
            input[at] = (char)draw(256);
            break;
        case 1:
            count = 1 + draw((uint32_t)(length - at));
            memmove(input + at, input + at + count, length - at - count);
            length -= count;
            break;
        case 2:
            length = insert(input, length, at, words[draw(COUNT(words))], 1);
            break;
        case 3: {
            const char *word = words[draw(COUNT(words))];
            length = insert(input, length, at, word, strlen(word));
            break;
        }
        default: /* something that is there, once more */
            count = 1 + draw((uint32_t)(length - at));
            if (count > sizeof copy)
                count = sizeof copy;
            memcpy(copy, input + at, count);
            length = insert(input, length, draw((uint32_t)length), copy, count);
            break;
        }
    }
    return length;
}

struct result {
    uint64_t digest;
    unsigned int requests, status;
};

static void note(struct result *result, uint64_t value)
{
    result->digest = (result->digest ^ value) * 0x100000001b3ULL;
}

/* Reads a whole connection: requests one after another until an error. */
static struct result read_all(const char *input, size_t length, bool pieces)
{
    struct http_parser parser;
    struct result result = {0};
    size_t at = 0, body = 0;

    http_parser_reset(&parser);
    while (at < length) {
        const size_t part = pieces ? 1 + draw((uint32_t)(length - at)) : length - at;
        uint8_t *copy = malloc(part);
        size_t done = 0;

        memcpy(copy, input + at, part);
        for (;;) {
            size_t used;
            const enum http_event event = http_parse(&parser, copy + done, part - done, &used);

            assert(used <= part - done);
            done += used;
            if (event == HTTP_NEED_MORE)
                break;
            if (event == HTTP_HEAD_DONE) {
                assert(strlen(parser.target) <= HTTP_TARGET_MAX);
                note(&result, parser.method + 16 * parser.close);
                body = 0;
            } else if (event == HTTP_BODY_DATA) {
                body += parser.data_length;
                assert(parser.data_length > 0 && body <= HTTP_BODY_MAX);
                for (size_t i = 0; i < parser.data_length; i++)
                    note(&result, parser.data[i]);
            } else if (event == HTTP_COMPLETE) {
                result.requests++;
                http_parser_reset(&parser);
            } else {
                assert(parser.status >= 400 && parser.status < 600);
                result.status = parser.status;
                free(copy);
                return result;
            }
        }
        assert(done == part);
        at += part;
        free(copy);
    }
    return result;
}

int main(int argc, char **argv)
{
    const time_t end = time(NULL) + (argc > 1 ? atoi(argv[1]) : 5);
    const uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 0) : (uint64_t)time(NULL) << 20 | 1;
    char input[INPUT_MAX];
    unsigned long runs = 0;

    state = seed;
    printf("http_parser_fuzz: seed %#llx\n", (unsigned long long)seed);
    fflush(stdout);
    while (time(NULL) < end)
        for (unsigned int i = 0; i < 1000; i++, runs++) {
            size_t length = 0;

            for (uint32_t n = 1 + draw(3); n > 0; n--) {
                const char *text = seeds[draw(COUNT(seeds))];
                length = insert(input, length, length, text, strlen(text));
            }
            length = mutate(input, length);
            const struct result whole = read_all(input, length, false);
            const struct result pieces = read_all(input, length, true);
            assert(whole.digest == pieces.digest && whole.requests == pieces.requests &&
                   whole.status == pieces.status);
        }
    printf("http_parser_fuzz: %lu runs\n", runs);
    return 0;
}
