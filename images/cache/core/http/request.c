#include "request.h"

#include <string.h>

#include "list.h"
#include "target.h"

static const char *const names[] = {
    [FIELD_NONE] = "",
    [FIELD_HOST] = "host",
    [FIELD_RANGE] = "range",
    [FIELD_IF_RANGE] = "if-range",
    [FIELD_IF_MATCH] = "if-match",
    [FIELD_IF_NONE_MATCH] = "if-none-match",
    [FIELD_IF_MODIFIED_SINCE] = "if-modified-since",
    [FIELD_IF_UNMODIFIED_SINCE] = "if-unmodified-since",
    [FIELD_EXPECT] = "expect",
    [FIELD_TRANSFER_ENCODING] = "transfer-encoding",
};

#define NAMES (sizeof names / sizeof names[0])

static struct request *request_of(llhttp_t *parser)
{
    return LIST_ELEMENT(parser, struct request, parser);
}

static int refuse(struct request *request, unsigned status)
{
    request->state = REQUEST_REFUSED;
    request->status = status;
    return HPE_USER;
}

/* The parser hands over what it has of an element when its bytes end.  A value that is not in one piece is folded over
 * lines, which a server may refuse (RFC 9112, 5.2). */
static int extend(struct request *request, struct text *text, const char *at, size_t length)
{
    if (text->at == NULL)
        *text = (struct text){at, length};
    else if (text->at + text->length == at)
        text->length += length;
    else if (length > 0)
        return refuse(request, 400);
    return 0;
}

static int on_url(llhttp_t *parser, const char *at, size_t length)
{
    struct request *request = request_of(parser);

    return extend(request, &request->target, at, length);
}

static int on_url_complete(llhttp_t *parser)
{
    request_of(parser)->target_ended = true;
    return 0;
}

static int on_field(llhttp_t *parser, const char *at, size_t length)
{
    struct request *request = request_of(parser);

    return request->state == REQUEST_HEAD ? extend(request, &request->name, at, length) : 0;
}

static int on_value(llhttp_t *parser, const char *at, size_t length)
{
    struct request *request = request_of(parser);

    return request->state == REQUEST_HEAD ? extend(request, &request->value, at, length) : 0;
}

static enum field_name name_of(struct text text)
{
    for (size_t i = 1; i < NAMES; i++)
        if (text_is(text, names[i]))
            return (enum field_name)i;
    return FIELD_NONE;
}

static int on_value_complete(llhttp_t *parser)
{
    struct request *request = request_of(parser);
    enum field_name name;

    if (request->state != REQUEST_HEAD)
        return 0; /* a trailer, which means nothing to us */
    if (++request->lines > REQUEST_LINES)
        return refuse(request, 431);
    name = name_of(request->name);
    if (name != FIELD_NONE) {
        if (request->field_count == REQUEST_FIELDS)
            return refuse(request, 431);
        request->fields[request->field_count++] = (struct field){name, text_trim(request->value)};
    }
    request->name = request->value = (struct text){0};
    return 0;
}

static int on_headers_complete(llhttp_t *parser)
{
    parser->upgrade = 0; /* an offer that is not taken */
    return HPE_PAUSED;
}

static int on_body(llhttp_t *parser, const char *at, size_t length)
{
    struct request *request = request_of(parser);

    (void)at;
    request->body += length;
    return 0;
}

static int on_message_complete(llhttp_t *parser)
{
    request_of(parser)->state = REQUEST_COMPLETE;
    return HPE_PAUSED;
}

static const llhttp_settings_t settings = {
    .on_url = on_url,
    .on_url_complete = on_url_complete,
    .on_header_field = on_field,
    .on_header_value = on_value,
    .on_header_value_complete = on_value_complete,
    .on_headers_complete = on_headers_complete,
    .on_body = on_body,
    .on_message_complete = on_message_complete,
};

void request_begin(struct request *request)
{
    *request = (struct request){.state = REQUEST_HEAD};
    llhttp_init(&request->parser, HTTP_REQUEST, &settings);
    request->parser.lenient_flags = LENIENT_VERSION; /* which versions are right is said in check_head() */
}

static bool is_token_character(char character)
{
    const char lower = text_lower(character);

    return (lower >= 'a' && lower <= 'z') || (lower >= '0' && lower <= '9') ||
           (lower != '\0' && strchr("!#$%&'*+-.^_`|~", lower) != NULL);
}

/* A method that nobody knows is 501; what is no method, 400. */
static unsigned status_of_method(const char *at, const char *end)
{
    const char *begin = at;

    while (at < end && is_token_character(*at))
        at++;
    return at > begin && (at == end || *at == ' ') ? 501 : 400;
}

static unsigned status_of(const struct request *request, llhttp_errno_t error, const char *end)
{
    switch (error) {
    case HPE_INVALID_METHOD:
        return request->begin == NULL ? 400 : status_of_method(request->begin, end);
    case HPE_INVALID_VERSION:
    case HPE_PAUSED_H2_UPGRADE:
        return 505;
    default:
        return 400;
    }
}

/* A CR that ends no line is a way to hide one from somebody (RFC 9112, 2.2). */
static bool has_lone_cr(const char *at, const char *end)
{
    while ((at = memchr(at, '\r', (size_t)(end - at))) != NULL)
        if (++at == end || *at != '\n')
            return true;
    return false;
}

/* The parser knows other protocols too. */
static bool is_http(struct text target, const char *end)
{
    const char *at = target.at + target.length;

    while (at < end && *at == ' ')
        at++;
    return end - at > 5 && memcmp(at, "HTTP/", 5) == 0;
}

/* The status that a head is refused with which ends at `end`; 0 if it is right. */
static unsigned fault_of(const struct request *request, const char *end)
{
    const llhttp_t *parser = &request->parser;
    struct text host, coding;
    const size_t hosts = request_field(request, FIELD_HOST, &host);
    const size_t codings = request_field(request, FIELD_TRANSFER_ENCODING, &coding);

    if (parser->http_major != 1)
        return 505;
    if (!is_http(request->target, end) || has_lone_cr(request->begin, end))
        return 400;
    if (hosts > 1 || (hosts == 0 && parser->http_minor > 0) || (hosts == 1 && !target_is_host(host)))
        return 400;
    if (codings > 0 && parser->http_minor == 0)
        return 400; /* where its body ends is not for HTTP/1.0 to say (RFC 9112, 6.1) */
    if (codings > 1 || (codings == 1 && !text_is(coding, "chunked")))
        return 501;
    return 0;
}

/* The head is there, up to `end`. */
static void check_head(struct request *request, const char *end)
{
    const llhttp_t *parser = &request->parser;
    const unsigned fault = fault_of(request, end);
    const bool has_body = (parser->flags & (F_CHUNKED | F_TRANSFER_ENCODING)) != 0 || parser->content_length > 0;
    struct text expect;

    request->keep_alive = llhttp_should_keep_alive(parser) != 0 && (parser->flags & F_CONNECTION_CLOSE) == 0;
    if (fault != 0) {
        refuse(request, fault);
    } else if (!has_body) {
        request->state = REQUEST_COMPLETE;
    } else if (request_field(request, FIELD_EXPECT, &expect) > 0) {
        /* Who waits for permission to send a body gets an answer instead. */
        request->keep_alive = false;
        request->state = REQUEST_COMPLETE;
    } else {
        request->state = REQUEST_BODY_DUE;
    }
}

/* Does the line end behind the target, without a version? */
static bool is_http_0_9(const struct request *request, const char *end)
{
    const char *behind = request->target.at + request->target.length;

    return request->target.length > 0 && behind < end && (*behind == '\r' || *behind == '\n');
}

static size_t read_once(struct request *request, const char *bytes, size_t length)
{
    llhttp_t *parser = &request->parser;
    const llhttp_errno_t error = llhttp_execute(parser, bytes, length);
    size_t used;

    if (error == HPE_OK) {
        if (is_http_0_9(request, bytes + length))
            refuse(request, 505);
        return length;
    }
    used = (size_t)(llhttp_get_error_pos(parser) - bytes);
    if (error != HPE_PAUSED) {
        if (request->state != REQUEST_REFUSED)
            refuse(request, status_of(request, error, bytes + length));
        return used < length ? used : length;
    }
    if (request->state == REQUEST_HEAD) {
        check_head(request, bytes + used);
        if (request->state == REQUEST_BODY_DUE)
            llhttp_resume(parser);
    }
    return used;
}

size_t request_read(struct request *request, const char *bytes, size_t length)
{
    size_t used = 0;

    for (size_t i = 0; i < length && request->begin == NULL; i++)
        if (bytes[i] != '\r' && bytes[i] != '\n')
            request->begin = bytes + i;
    while (used < length && (request->state == REQUEST_HEAD || request->state == REQUEST_BODY_DUE))
        used += read_once(request, bytes + used, length - used);
    if (request->state == REQUEST_BODY_DUE && request->body > REQUEST_BODY) {
        request->keep_alive = false;
        request->state = REQUEST_COMPLETE;
    }
    return used;
}

unsigned request_too_long(const struct request *request)
{
    return request->target_ended ? 431 : 414;
}

size_t request_field(const struct request *request, enum field_name name, struct text *value)
{
    size_t count = 0;

    for (size_t i = 0; i < request->field_count; i++)
        if (request->fields[i].name == name && count++ == 0)
            *value = request->fields[i].value;
    return count;
}

bool request_is_http_1_0(const struct request *request)
{
    return request->parser.http_minor == 0;
}
