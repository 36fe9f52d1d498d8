#include "http_parser.h"

#include <string.h>

#include "http_fields.h"

enum state {
    REQUEST_START, /* before the request line; empty lines are skipped (RFC 9112 2.2) */
    METHOD,
    TARGET,
    VERSION,
    LINE_END,     /* after a CR of the request line */
    HEADER_START, /* at the first byte of a header line */
    HEADER_NAME,
    HEADER_SPACE, /* between the colon and the value */
    HEADER_VALUE,
    HEADER_END,  /* after the CR of a header line */
    SECTION_END, /* after the CR of the empty line */
    BODY,
    CHUNK_SIZE,
    CHUNK_EXTENSION,
    CHUNK_SIZE_END,
    CHUNK_DATA,
    CHUNK_DATA_CR,
    CHUNK_DATA_LF,
    TRAILER_START,
    TRAILER_LINE,
    TRAILER_END, /* after the CR of the empty line */
    DONE,
    FAILED,
};

#define CHUNK_DIGITS_MAX 8       /* more hexadecimal digits are no size we would take */
#define CHUNK_OVERHEAD_MAX 16384 /* bytes of extensions and trailers together */
#define VERSION_LENGTH 8         /* "HTTP/1.1" */

void http_parser_reset(struct http_parser *parser)
{
    /* The large arrays are written before they are read. */
    parser->method = HTTP_UNKNOWN;
    parser->target[0] = '\0';
    parser->http_1_0 = parser->close = parser->expect_continue = parser->chunked = parser->has_length = false;
    parser->content_length = 0;
    parser->data = NULL;
    parser->data_length = 0;
    parser->status = 0;
    parser->state = REQUEST_START;
    parser->has_host = parser->has_transfer_coding = false;
    parser->connection_close = parser->connection_keep_alive = false;
    parser->used = parser->headers = 0;
    parser->section = parser->body = 0;
    parser->remaining = 0;
}

static enum http_event fail(struct http_parser *p, unsigned int status)
{
    p->status = status;
    p->close = true;
    p->state = FAILED;
    return HTTP_ERROR;
}

static enum http_event complete(struct http_parser *p)
{
    p->state = DONE;
    return HTTP_COMPLETE;
}

static enum http_method method_of(const char *word, size_t length)
{
    static const char names[][8] = {"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "CONNECT"};

    for (unsigned int i = 0; i < HTTP_UNKNOWN; i++)
        if (strlen(names[i]) == length && memcmp(names[i], word, length) == 0)
            return (enum http_method)i;
    return HTTP_UNKNOWN;
}

static enum http_event read_method(struct http_parser *p, uint8_t c)
{
    if (c == ' ' && p->used > 0) {
        p->method = method_of(p->word, p->used);
        p->state = TARGET;
        p->used = 0;
        return HTTP_NEED_MORE;
    }
    if (!http_is_token(c))
        return fail(p, 400);
    if (p->used == HTTP_METHOD_MAX)
        return fail(p, 501);
    p->word[p->used++] = (char)c;
    return HTTP_NEED_MORE;
}

static enum http_event read_target(struct http_parser *p, uint8_t c)
{
    if (c == ' ') {
        p->target[p->used] = '\0';
        if (p->used == 0)
            return fail(p, 400);
        p->state = VERSION;
        p->used = 0;
        return HTTP_NEED_MORE;
    }
    if (c <= ' ' || c >= 0x7f)
        return fail(p, 400); /* also the end of an HTTP/0.9 request line */
    if (p->used == HTTP_TARGET_MAX)
        return fail(p, 414);
    p->target[p->used++] = (char)c;
    return HTTP_NEED_MORE;
}

static enum http_event read_version(struct http_parser *p, uint8_t c)
{
    if (c != '\r' && c != '\n') {
        if (p->used == VERSION_LENGTH)
            return fail(p, 400);
        p->word[p->used++] = (char)c;
        return HTTP_NEED_MORE;
    }
    if (p->used != VERSION_LENGTH || memcmp(p->word, "HTTP/", 5) != 0 || p->word[6] != '.' ||
        p->word[5] < '0' || p->word[5] > '9' || p->word[7] < '0' || p->word[7] > '9')
        return fail(p, 400);
    if (p->word[5] != '1')
        return fail(p, 505);
    p->http_1_0 = p->word[7] == '0';
    p->state = c == '\r' ? LINE_END : HEADER_START;
    return HTTP_NEED_MORE;
}

/* What the head means for body and connection (RFC 9112 sections 3.2, 6.3 and 9.3). */
static enum http_event end_of_head(struct http_parser *p)
{
    p->close = p->connection_close || (p->http_1_0 && !p->connection_keep_alive);
    if (!p->has_host && !p->http_1_0)
        return fail(p, 400);
    if (p->has_transfer_coding && (p->has_length || p->http_1_0))
        return fail(p, 400); /* the smuggler's request: two ways to see its end */
    if (p->has_transfer_coding && !p->chunked)
        return fail(p, 501);
    if (p->http_1_0)
        p->expect_continue = false; /* RFC 9110 section 10.1.1 */
    if (p->content_length > HTTP_BODY_MAX)
        return fail(p, 413);
    p->remaining = p->content_length;
    p->section = 0;
    p->used = 0;
    p->state = p->chunked ? CHUNK_SIZE : BODY;
    return HTTP_HEAD_DONE;
}

static enum http_event start_header(struct http_parser *p, uint8_t c)
{
    if (c == '\r') {
        p->state = SECTION_END;
        return HTTP_NEED_MORE;
    }
    if (c == '\n')
        return end_of_head(p);
    if (p->headers == HTTP_HEADERS_MAX)
        return fail(p, 431);
    if (!http_is_token(c)) /* includes the obsolete folding of lines, RFC 9112 section 5.2 */
        return fail(p, 400);
    p->headers++;
    p->word[0] = (char)c;
    p->used = 1;
    p->state = HEADER_NAME;
    return HTTP_NEED_MORE;
}

static enum http_event read_header_name(struct http_parser *p, uint8_t c)
{
    if (c == ':') {
        p->field = p->used < sizeof p->word ? http_field_of(p->word, p->used) : HTTP_FIELD_OTHER;
        p->state = HEADER_SPACE;
        p->used = 0;
        return HTTP_NEED_MORE;
    }
    if (!http_is_token(c))
        return fail(p, 400);
    if (p->used < sizeof p->word)
        p->word[p->used++] = (char)c;
    return HTTP_NEED_MORE;
}

static unsigned int end_of_header(struct http_parser *p)
{
    while (p->used > 0 && (p->word[p->used - 1] == ' ' || p->word[p->used - 1] == '\t'))
        p->used--;
    return http_field_apply(p, p->word, p->used);
}

static enum http_event read_header_value(struct http_parser *p, uint8_t c)
{
    if (c == '\r' || c == '\n') {
        const unsigned int status = end_of_header(p);

        if (status != 0)
            return fail(p, status);
        p->state = c == '\r' ? HEADER_END : HEADER_START;
        return HTTP_NEED_MORE;
    }
    if ((c < ' ' && c != '\t') || c == 0x7f)
        return fail(p, 400);
    if (p->state == HEADER_SPACE && (c == ' ' || c == '\t'))
        return HTTP_NEED_MORE;
    p->state = HEADER_VALUE;
    if (p->field == HTTP_FIELD_OTHER || p->field == HTTP_FIELD_HOST) {
        p->used = 1; /* the value does not matter, only that there is one */
        p->word[0] = 'x';
        return HTTP_NEED_MORE;
    }
    if (p->used == sizeof p->word)
        return fail(p, 431);
    p->word[p->used++] = (char)c;
    return HTTP_NEED_MORE;
}

static enum http_event read_body(struct http_parser *p, const uint8_t *input, size_t length, size_t *used)
{
    size_t part = length - *used;

    if (p->remaining == 0)
        return complete(p);
    if (part == 0)
        return HTTP_NEED_MORE;
    if (part > p->remaining)
        part = (size_t)p->remaining;
    p->data = input + *used;
    p->data_length = part;
    p->remaining -= part;
    p->body += (uint32_t)part;
    *used += part;
    if (p->state == CHUNK_DATA && p->remaining == 0)
        p->state = CHUNK_DATA_CR;
    return HTTP_BODY_DATA;
}

static enum http_event end_of_chunk_size(struct http_parser *p)
{
    if (p->remaining > HTTP_BODY_MAX - p->body)
        return fail(p, 413);
    p->used = 0;
    p->state = p->remaining > 0 ? CHUNK_DATA : TRAILER_START;
    return HTTP_NEED_MORE;
}

static int hex_value(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
        return (c | 0x20) - 'a' + 10;
    return -1;
}

static enum http_event read_chunk_size(struct http_parser *p, uint8_t c)
{
    const int digit = hex_value(c);

    if (digit >= 0) {
        if (++p->used > CHUNK_DIGITS_MAX)
            return fail(p, 413);
        p->remaining = p->remaining << 4 | (unsigned int)digit;
        return HTTP_NEED_MORE;
    }
    if (p->used == 0)
        return fail(p, 400);
    if (c == ';' || c == ' ' || c == '\t')
        p->state = CHUNK_EXTENSION;
    else if (c == '\r')
        p->state = CHUNK_SIZE_END;
    else
        return fail(p, 400);
    return HTTP_NEED_MORE;
}

/* One byte of the framing of a chunked body (RFC 9112 section 7.1). Here a bare
 * LF is refused: it is a known way to make two parsers disagree. */
static enum http_event read_chunk_framing(struct http_parser *p, uint8_t c)
{
    if (++p->section > CHUNK_OVERHEAD_MAX)
        return fail(p, 431);
    switch (p->state) {
    case CHUNK_SIZE:
        return read_chunk_size(p, c);
    case CHUNK_EXTENSION:
        if (c == '\r')
            p->state = CHUNK_SIZE_END;
        else if (c == '\n')
            return fail(p, 400);
        return HTTP_NEED_MORE;
    case CHUNK_SIZE_END:
        return c == '\n' ? end_of_chunk_size(p) : fail(p, 400);
    case CHUNK_DATA_CR:
        p->state = CHUNK_DATA_LF;
        return c == '\r' ? HTTP_NEED_MORE : fail(p, 400);
    case CHUNK_DATA_LF:
        p->state = CHUNK_SIZE;
        return c == '\n' ? HTTP_NEED_MORE : fail(p, 400);
    case TRAILER_START: /* trailers are read and forgotten */
        p->state = c == '\r' ? TRAILER_END : TRAILER_LINE;
        return c == '\n' ? fail(p, 400) : HTTP_NEED_MORE;
    case TRAILER_LINE:
        if (c == '\n')
            p->state = TRAILER_START;
        return HTTP_NEED_MORE;
    default: /* TRAILER_END */
        return c == '\n' ? complete(p) : fail(p, 400);
    }
}

/* One byte of the request line or the header section. */
static enum http_event read_head(struct http_parser *p, uint8_t c)
{
    if (p->state >= HEADER_START && ++p->section > HTTP_HEADER_SECTION_MAX)
        return fail(p, 431);
    switch (p->state) {
    case REQUEST_START:
        if (c == '\r' || c == '\n') {
            if (p->section++ >= 4) /* a client may send an empty line or two after a body, not a stream of them */
                return fail(p, 400);
            return HTTP_NEED_MORE;
        }
        p->section = 0;
        p->state = METHOD;
        return read_method(p, c);
    case METHOD:
        return read_method(p, c);
    case TARGET:
        return read_target(p, c);
    case VERSION:
        return read_version(p, c);
    case LINE_END:
    case HEADER_END:
        p->state = HEADER_START;
        return c == '\n' ? HTTP_NEED_MORE : fail(p, 400);
    case HEADER_START:
        return start_header(p, c);
    case HEADER_NAME:
        return read_header_name(p, c);
    case HEADER_SPACE:
    case HEADER_VALUE:
        return read_header_value(p, c);
    default: /* SECTION_END */
        return c == '\n' ? end_of_head(p) : fail(p, 400);
    }
}

enum http_event http_parse(struct http_parser *p, const uint8_t *input, size_t length, size_t *used)
{
    *used = 0;
    for (;;) {
        enum http_event event;

        if (p->state == FAILED)
            return HTTP_ERROR;
        if (p->state == DONE)
            return HTTP_COMPLETE;
        if (p->state == BODY || p->state == CHUNK_DATA)
            return read_body(p, input, length, used);
        if (*used == length)
            return HTTP_NEED_MORE;
        const uint8_t c = input[(*used)++];
        event = p->state < BODY ? read_head(p, c) : read_chunk_framing(p, c);
        if (event != HTTP_NEED_MORE)
            return event;
    }
}
