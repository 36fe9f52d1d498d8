/* The parser against requests good and bad, each read whole, byte by byte, and
 * cut in two at every place: the outcome must not depend on the cuts. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "http_parser.h"

struct outcome {
    unsigned int status; /* 0: complete */
    bool head, close, complete, http_1_0, expect_continue;
    enum http_method method;
    char target[HTTP_TARGET_MAX + 1];
    size_t body_length, used;
    uint8_t body[HTTP_BODY_MAX];
};

/* Feeds one piece, copied to memory of its exact size so that reading past its
 * end is seen.  Returns false when the request is over. */
static bool feed(struct http_parser *parser, const char *input, size_t length, struct outcome *outcome)
{
    uint8_t *copy = malloc(length + (length == 0));
    size_t at = 0;
    bool more = true;

    memcpy(copy, input, length);
    while (more) {
        size_t used;
        const enum http_event event = http_parse(parser, copy + at, length - at, &used);

        assert(used <= length - at);
        at += used;
        if (event == HTTP_NEED_MORE) {
            assert(at == length);
            break;
        }
        if (event == HTTP_HEAD_DONE) {
            outcome->head = true;
            outcome->method = parser->method;
            outcome->http_1_0 = parser->http_1_0;
            outcome->expect_continue = parser->expect_continue;
            strcpy(outcome->target, parser->target);
        } else if (event == HTTP_BODY_DATA) {
            assert(parser->data >= copy && parser->data + parser->data_length <= copy + length);
            assert(outcome->body_length + parser->data_length <= HTTP_BODY_MAX);
            memcpy(outcome->body + outcome->body_length, parser->data, parser->data_length);
            outcome->body_length += parser->data_length;
        } else {
            outcome->complete = event == HTTP_COMPLETE;
            outcome->status = parser->status;
            outcome->close = parser->close;
            more = false;
        }
    }
    outcome->used += at;
    free(copy);
    return more;
}

static void parse(const char *input, size_t length, size_t cut, size_t step, struct outcome *outcome)
{
    struct http_parser parser;

    memset(&parser, 0xa5, sizeof parser); /* nothing may depend on what was there */
    http_parser_reset(&parser);
    memset(outcome, 0, sizeof *outcome);
    if (!feed(&parser, input, cut, outcome))
        return;
    for (size_t at = cut; at < length; at += step)
        if (!feed(&parser, input + at, length - at < step ? length - at : step, outcome))
            return;
}

static struct outcome whole, other;

static void check(const char *input, size_t length, unsigned int status)
{
    parse(input, length, length, 1, &whole);
    if ((status == 0) != whole.complete || whole.status != status) {
        fprintf(stderr, "status %u, not %u, for: %.200s\n", whole.status, status, input);
        exit(1);
    }
    for (size_t cut = 0; cut <= length && cut < 600; cut++) {
        parse(input, length, cut, cut == 0 ? 1 : length, &other);
        assert(memcmp(&whole, &other, sizeof whole) == 0);
    }
}

static void check_text(const char *text, unsigned int status)
{
    check(text, strlen(text), status);
}

static void check_head(void)
{
    check_text("GET / HTTP/1.1\r\nHost: a\r\n\r\n", 0);
    assert(whole.method == HTTP_GET && strcmp(whole.target, "/") == 0 && !whole.close);
    check_text("\r\n\r\nGET / HTTP/1.1\nHost:\n\n", 0);
    check_text("HEAD /x?y HTTP/1.0\r\n\r\n", 0);
    assert(whole.method == HTTP_HEAD && whole.http_1_0 && whole.close);
    check_text("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", 0);
    assert(!whole.close);
    check_text("GET / HTTP/1.1\r\nHost: a\r\nConnection: x , CLOSE\r\n\r\n", 0);
    assert(whole.close);
    check_text("GET / HTTP/1.1\r\nHost: a\r\nConnection: ,,\r\n\r\n", 0);
    check_text("BREW / HTTP/1.1\r\nHost: a\r\n\r\n", 0);
    assert(whole.method == HTTP_UNKNOWN);
    check_text("GET / HTTP/1.9\r\nHOST: a\r\n\r\n", 0);
    check_text("GET / HTTP/1.1\r\n\r\n", 400);
    check_text("GET / HTTP/1.1\r\nHost: a\r\nhost: a\r\n\r\n", 400);
    check_text("GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400);
    check_text("GET / HTTP/1.1\r\nHost: a\r\n b\r\n\r\n", 400);
    check_text("GET / HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n", 400);
    check_text("GET / HTTP/1.1\r\nHost: a\rX: b\r\n\r\n", 400);
    check_text("GET / HTTP/1.1\r\nHost: a\x01\r\n\r\n", 400);
    check("GET / HTTP/1.1\r\nHost: \0\r\n\r\n", 27, 400);
    check_text("GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400);
    check_text("GET / HTTP/1.1 \r\nHost: a\r\n\r\n", 400);
    check_text("GET / HTTP/11\r\nHost: a\r\n\r\n", 400);
    check_text("GET / http/1.1\r\nHost: a\r\n\r\n", 400);
    check_text("GET /\r\n", 400);
    check_text(" GET / HTTP/1.1\r\n", 400);
    check_text("\r\n\r\n\r\n\r\n\r\n", 400);
    check_text("GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505);
    check_text("AVERYLONGMETHODNAME / HTTP/1.1\r\n", 501);
    check_text("GET / HTTP/1.1\r\nHost: a\r\nExpect: more\r\n\r\n", 417);
}

static void check_body(void)
{
    check_text("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabcGET", 0);
    assert(whole.body_length == 3 && memcmp(whole.body, "abc", 3) == 0);
    check_text("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na", 0);
    check_text("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\na", 400);
    check_text("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\na", 400);
    check_text("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\na", 400);
    check_text("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 1\r\n\r\na", 400);
    check_text("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 65537\r\n\r\n", 413);
    check_text("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 18446744073709551617\r\n\r\n", 413);
    check_text("PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\nContent-Length: 1\r\n\r\na", 0);
    assert(whole.expect_continue);
    check_text("PUT / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\na", 0);
    assert(!whole.expect_continue);
}

#define CHUNKED "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"

static void check_chunks(void)
{
    check_text(CHUNKED "3\r\nabc\r\n00A;x=\"y\"\r\n0123456789\r\n0\r\nT: x\r\n\r\nGET", 0);
    assert(whole.body_length == 13 && memcmp(whole.body, "abc0123456789", 13) == 0);
    check_text(CHUNKED "0\r\n\r\n", 0);
    check_text(CHUNKED "\r\n", 400);
    check_text(CHUNKED "g\r\n", 400);
    check_text(CHUNKED "-1\r\n", 400);
    check_text(CHUNKED "1\nab", 400);
    check_text(CHUNKED "1;\na", 400);
    check_text(CHUNKED "1\r\nab", 400);
    check_text(CHUNKED "1\r\na\rb", 400);
    check_text(CHUNKED "0\r\n\n", 400);
    check_text(CHUNKED "10001\r\n", 413);
    check_text(CHUNKED "000000001\r\n", 413);
}

static void check_transfer_coding(void)
{
    check_text("PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", 501);
    check_text("PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", 400);
    check_text("PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n", 400);
    check_text("PUT / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400);
}

/* "head", a character so many times, "tail". */
static void check_long(const char *head, char middle, size_t count, const char *tail, unsigned int status)
{
    const size_t length = strlen(head) + count + strlen(tail);
    char *text = malloc(length + 1);

    sprintf(text, "%s%*s%s", head, (int)count, "", tail);
    memset(text + strlen(head), middle, count);
    check(text, length, status);
    free(text);
}

static void check_limits(void)
{
    check_long("GET /", 'a', HTTP_TARGET_MAX - 1, " HTTP/1.1\r\nHost: a\r\n\r\n", 0);
    check_long("GET /", 'a', HTTP_TARGET_MAX, " HTTP/1.1\r\nHost: a\r\n\r\n", 414);
    check_long("GET / HTTP/1.1\r\nHost: a\r\nX: ", 'a', 8000, "\r\n\r\n", 0);
    check_long("GET / HTTP/1.1\r\nHost: a\r\nX: ", 'a', HTTP_HEADER_SECTION_MAX, "\r\n\r\n", 431);
    check_long("GET / HTTP/1.1\r\nHost: a\r\n", 'a', 300, ": b\r\n\r\n", 0);
    check_long("GET / HTTP/1.1\r\nHost: a\r\nConnection: ", 'a', 300, "\r\n\r\n", 431);
    check_long(CHUNKED "1;", 'x', 20000, "\r\n", 431);
    check_long(CHUNKED "ffff\r\n", 'x', 65535, "\r\n1\r\ny\r\n0\r\n\r\n", 0);
    assert(whole.body_length == 65536);
    check_long(CHUNKED "ffff\r\n", 'x', 65535, "\r\n2\r\nyz\r\n0\r\n\r\n", 413);
    check_long("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 65536\r\n\r\n", 'x', 65536, "", 0);
}

int main(void)
{
    check_head();
    check_body();
    check_chunks();
    check_transfer_coding();
    check_limits();
    puts("http_parser_test: ok");
    return 0;
}
