#include "http_fields.h"

#include <string.h>

bool http_is_token(uint8_t c)
{
    /* Bit n of word w stands for character 32 w + n. */
    static const uint32_t tokens[4] = {0, 0x03ff6cfa, 0xc7fffffe, 0x57ffffff};

    return c < 0x80 && (tokens[c / 32] >> (c % 32) & 1) != 0;
}

static bool equals(const char *text, size_t length, const char *lower_case)
{
    if (length != strlen(lower_case))
        return false;
    for (size_t i = 0; i < length; i++) {
        const char c = text[i];

        if ((c >= 'A' && c <= 'Z' ? c | 0x20 : c) != lower_case[i])
            return false;
    }
    return true;
}

enum http_field http_field_of(const char *name, size_t length)
{
    static const struct {
        const char *name;
        enum http_field field;
    } fields[] = {
        {"host", HTTP_FIELD_HOST},
        {"connection", HTTP_FIELD_CONNECTION},
        {"content-length", HTTP_FIELD_CONTENT_LENGTH},
        {"transfer-encoding", HTTP_FIELD_TRANSFER_ENCODING},
        {"expect", HTTP_FIELD_EXPECT},
    };

    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
        if (equals(name, length, fields[i].name))
            return fields[i].field;
    return HTTP_FIELD_OTHER;
}

/* RFC 9112 section 6.3: anything but one number is an error, except the same
 * number again. */
static unsigned int apply_content_length(struct http_parser *p, const char *value, size_t length)
{
    uint64_t number = 0;

    if (length == 0)
        return 400;
    for (size_t i = 0; i < length; i++) {
        if (value[i] < '0' || value[i] > '9')
            return 400;
        if (number > HTTP_BODY_MAX)
            continue; /* too large already; more digits would only overflow it */
        number = number * 10 + (uint64_t)(value[i] - '0');
    }
    if (p->has_length && p->content_length != number)
        return 400;
    p->has_length = true;
    p->content_length = number;
    return 0;
}

static unsigned int apply_connection(struct http_parser *p, const char *value, size_t length)
{
    size_t start = 0;

    while (start < length) {
        size_t end = start;

        while (end < length && value[end] != ',')
            end++;
        size_t last = end;
        while (start < last && (value[start] == ' ' || value[start] == '\t'))
            start++;
        while (last > start && (value[last - 1] == ' ' || value[last - 1] == '\t'))
            last--;
        if (equals(value + start, last - start, "close"))
            p->connection_close = true;
        else if (equals(value + start, last - start, "keep-alive"))
            p->connection_keep_alive = true;
        start = end + 1;
    }
    return 0;
}

unsigned int http_field_apply(struct http_parser *p, const char *value, size_t length)
{
    switch (p->field) {
    case HTTP_FIELD_HOST: /* exactly one (RFC 9112 section 3.2); it may be empty */
        if (p->has_host)
            return 400;
        p->has_host = true;
        return 0;
    case HTTP_FIELD_CONNECTION:
        return apply_connection(p, value, length);
    case HTTP_FIELD_CONTENT_LENGTH:
        return apply_content_length(p, value, length);
    case HTTP_FIELD_TRANSFER_ENCODING: /* only "chunked" alone is understood */
        if (p->has_transfer_coding)
            return 400;
        p->has_transfer_coding = true;
        p->chunked = equals(value, length, "chunked");
        return 0;
    case HTTP_FIELD_EXPECT:
        if (!equals(value, length, "100-continue"))
            return 417;
        p->expect_continue = true;
        return 0;
    default:
        return 0;
    }
}
