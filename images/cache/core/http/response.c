#include "response.h"

#include <string.h>

#include "conditions.h"
#include "date.h"
#include "host.h"
#include "target.h"

#define SERVER "MiniCache"
#define ALLOW "GET, HEAD, OPTIONS"
#define RETRY_AFTER "1" /* seconds */

static const struct {
    unsigned status;
    const char *phrase;
} phrases[] = {
    {200, "OK"},
    {204, "No Content"},
    {206, "Partial Content"},
    {304, "Not Modified"},
    {307, "Temporary Redirect"},
    {400, "Bad Request"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {408, "Request Timeout"},
    {412, "Precondition Failed"},
    {414, "URI Too Long"},
    {416, "Range Not Satisfiable"},
    {417, "Expectation Failed"},
    {431, "Request Header Fields Too Large"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {503, "Service Unavailable"},
    {505, "HTTP Version Not Supported"},
};

static const char *phrase_of(unsigned status)
{
    for (size_t i = 0; i < sizeof phrases / sizeof phrases[0]; i++)
        if (phrases[i].status == status)
            return phrases[i].phrase;
    return "";
}

/* A response while it is written. */
struct draft {
    struct response *response;
    struct writer head;
    bool head_only, http_1_0;
};

static void field(struct draft *draft, const char *name, struct text value)
{
    write_string(&draft->head, name);
    write_string(&draft->head, ": ");
    write_text(&draft->head, value);
    write_string(&draft->head, "\r\n");
}

static void field_number(struct draft *draft, const char *name, uint64_t value)
{
    char digits[20];
    struct writer number = writer_on(digits, sizeof digits);

    write_number(&number, value);
    field(draft, name, (struct text){digits, number.length});
}

static struct draft begin(struct response *response, const struct request *request, unsigned status,
                          const struct response_setting *setting)
{
    struct draft draft = {.response = response,
                          .head = writer_on(response->head, sizeof response->head),
                          .head_only = request != NULL && request->parser.method == HTTP_HEAD,
                          .http_1_0 = request != NULL && request_is_http_1_0(request)};

    response->status = status;
    response->body = BODY_NONE;
    response->keep_alive = request != NULL && request->state == REQUEST_COMPLETE && request->keep_alive;
    write_string(&draft.head, "HTTP/1.1 ");
    write_number(&draft.head, status);
    write_string(&draft.head, " ");
    write_string(&draft.head, phrase_of(status));
    write_string(&draft.head, "\r\nServer: " SERVER "\r\n");
    if (setting->now > 0)
        field(&draft, "Date", setting->date);
    if (!response->keep_alive)
        write_string(&draft.head, "Connection: close\r\n");
    else if (draft.http_1_0)
        write_string(&draft.head, "Connection: keep-alive\r\n");
    return draft;
}

static void end(struct draft *draft)
{
    write_string(&draft->head, "\r\n");
    draft->response->head_length = draft->head.length;
}

/* Ends a response whose body is a line of text: its own words, or the phrase of the status. */
static void end_with_page(struct draft *draft, const char *words)
{
    const struct text body = {words, strlen(words)};

    field(draft, "Content-Type", TEXT("text/plain; charset=utf-8"));
    field_number(draft, "Content-Length", body.length + 1);
    write_string(&draft->head, "\r\n");
    if (!draft->head_only) {
        write_text(&draft->head, body);
        write_string(&draft->head, "\n");
    }
    draft->response->head_length = draft->head.length;
}

static void page(struct response *response, const struct request *request, unsigned status,
                 const struct response_setting *setting)
{
    struct draft draft = begin(response, request, status, setting);

    if (status == 405)
        field(&draft, "Allow", TEXT(ALLOW));
    if (status == 503)
        field(&draft, "Retry-After", TEXT(RETRY_AFTER));
    end_with_page(&draft, phrase_of(status));
}

void response_of_status(struct response *response, unsigned status, const struct response_setting *setting)
{
    page(response, NULL, status, setting);
}

/* Text of a volume that may stand in a field: visible characters, and blanks between them. */
static bool is_field_value(struct text text)
{
    for (size_t i = 0; i < text.length; i++)
        if ((uint8_t)text.at[i] < 0x20 || (uint8_t)text.at[i] > 0x7e)
            return false;
    return text.length > 0 && text_trim(text).length == text.length;
}

static struct text type_of(const struct object *object)
{
    const struct text mime = {object->file.mime, object->file.mime_length};

    return is_field_value(mime) ? mime : TEXT("application/octet-stream");
}

static void write_content_range(struct writer *writer, const struct range *range, uint64_t size)
{
    write_string(writer, "bytes ");
    write_number(writer, range->start);
    write_string(writer, "-");
    write_number(writer, range->start + range->length - 1);
    write_string(writer, "/");
    write_number(writer, size);
}

void response_part_head(const struct response *response, size_t number, struct writer *writer)
{
    write_string(writer, "\r\n--");
    write_bytes(writer, response->boundary, BOUNDARY);
    if (number == response->ranges.count) {
        write_string(writer, "--\r\n");
        return;
    }
    write_string(writer, "\r\nContent-Type: ");
    write_text(writer, type_of(response->object));
    write_string(writer, "\r\nContent-Range: ");
    write_content_range(writer, &response->ranges.range[number], response->object->file.size);
    write_string(writer, "\r\n\r\n");
}

static uint64_t body_length(const struct response *response)
{
    uint64_t length = 0;

    for (size_t i = 0; i <= response->ranges.count; i++) {
        char scratch[256];
        struct writer writer = writer_on(scratch, sizeof scratch);

        if (response->body == BODY_PARTS)
            response_part_head(response, i, &writer);
        length += writer.length + (i < response->ranges.count ? response->ranges.range[i].length : 0);
    }
    return length;
}

static void choose_boundary(struct response *response)
{
    const uint64_t random[2] = {host_random(), host_random()};
    struct writer boundary = writer_on(response->boundary, BOUNDARY);

    write_hex(&boundary, (const uint8_t *)random, sizeof random);
}

static void describe(struct draft *draft, const struct validators *validators)
{
    char date[32];
    struct writer written = writer_on(date, sizeof date);

    date_write(&written, validators->modified);
    field(draft, "ETag", (struct text){validators->tag, validators->tag_length});
    field(draft, "Last-Modified", (struct text){date, written.length});
    field(draft, "Cache-Status", TEXT(SERVER "; hit"));
}

/* 200 or 206. */
static void send_object(struct response *response, const struct request *request, const struct validators *validators,
                        const struct response_setting *setting)
{
    const struct object *object = response->object;
    const struct text encoding = {object->file.encoding, object->file.encoding_length};
    struct draft draft = begin(response, request, response->ranges.whole ? 200 : 206, setting);

    response->body = BODY_OBJECT;
    if (response->ranges.whole) {
        response->ranges.count = object->file.size > 0;
        response->ranges.range[0] = (struct range){0, object->file.size};
    } else if (response->ranges.count > 1) {
        response->body = BODY_PARTS;
        choose_boundary(response);
    }
    describe(&draft, validators);
    field(&draft, "Accept-Ranges", TEXT("bytes"));
    if (is_field_value(encoding))
        field(&draft, "Content-Encoding", encoding);
    if (response->body == BODY_PARTS) {
        write_string(&draft.head, "Content-Type: multipart/byteranges; boundary=");
        write_bytes(&draft.head, response->boundary, BOUNDARY);
        write_string(&draft.head, "\r\n");
    } else {
        field(&draft, "Content-Type", type_of(object));
    }
    if (response->status == 206 && response->body == BODY_OBJECT) {
        write_string(&draft.head, "Content-Range: ");
        write_content_range(&draft.head, &response->ranges.range[0], object->file.size);
        write_string(&draft.head, "\r\n");
    }
    field_number(&draft, "Content-Length", body_length(response));
    end(&draft);
    if (draft.head_only)
        response->body = BODY_NONE;
}

static void send_file(struct response *response, const struct request *request, const struct table *table,
                      const struct response_setting *setting)
{
    struct validators validators;
    struct draft draft;
    struct text value;

    validators_of(&validators, response->object, table, setting->now);
    switch (conditions_check(request, &validators, setting->now)) {
    case CONDITION_FAILED:
        page(response, request, 412, setting);
        return;
    case CONDITION_NOT_MODIFIED:
        draft = begin(response, request, 304, setting);
        describe(&draft, &validators);
        end(&draft);
        return;
    case CONDITION_HOLDS:
        break;
    }
    /* Range has a meaning for GET alone (RFC 9110, 14.2). */
    response->ranges.whole = true;
    if (request->parser.method == HTTP_GET && request_field(request, FIELD_RANGE, &value) == 1 &&
        range_is_meant(request, &validators, setting->now))
        ranges_read(&response->ranges, value, response->object->file.size);
    if (!response->ranges.whole && response->ranges.count == 0) {
        draft = begin(response, request, 416, setting);
        write_string(&draft.head, "Content-Range: bytes */");
        write_number(&draft.head, response->object->file.size);
        write_string(&draft.head, "\r\n");
        end_with_page(&draft, phrase_of(416));
        return;
    }
    send_object(response, request, &validators, setting);
}

/* What may stand in a URL is sent as it is, the rest by percent signs. */
static void write_url_text(struct writer *writer, struct text text)
{
    for (size_t i = 0; i < text.length; i++) {
        const uint8_t byte = (uint8_t)text.at[i];

        if (byte > 0x20 && byte < 0x7f && strchr("\"<>\\^`{|}", byte) == NULL) {
            write_bytes(writer, &byte, 1);
        } else {
            write_string(writer, "%");
            write_hex(writer, &byte, 1);
        }
    }
}

/* 307 to the target of a link, of whichever kind: nothing is fetched for the client, who is sent to the source. */
static void send_redirection(struct response *response, const struct request *request,
                             const struct response_setting *setting)
{
    const struct object *object = response->object;
    struct draft draft = begin(response, request, 307, setting);

    write_string(&draft.head, "Location: http://");
    write_url_text(&draft.head, (struct text){object->link.host, object->link.host_length});
    if (object->link.port != 80) {
        write_string(&draft.head, ":");
        write_number(&draft.head, object->link.port);
    }
    write_string(&draft.head, "/");
    write_url_text(&draft.head, (struct text){object->link.path, object->link.path_length});
    write_string(&draft.head, "\r\n");
    end_with_page(&draft, phrase_of(307));
}

static void send_options(struct response *response, const struct request *request,
                         const struct response_setting *setting)
{
    struct draft draft = begin(response, request, 204, setting);

    field(&draft, "Allow", TEXT(ALLOW));
    end(&draft);
}

static unsigned refusal_of(const struct request *request, struct target *target)
{
    const unsigned method = request->parser.method;
    struct text expect;

    if (request->state == REQUEST_REFUSED)
        return request->status;
    if (method != HTTP_GET && method != HTTP_HEAD && method != HTTP_OPTIONS)
        return method == HTTP_POST || method == HTTP_PUT || method == HTTP_DELETE || method == HTTP_PATCH ||
                       method == HTTP_TRACE || method == HTTP_CONNECT
                   ? 405
                   : 501;
    if (!target_read(target, request->target) || (target->kind == TARGET_SERVER && method != HTTP_OPTIONS))
        return 400;
    if (request_field(request, FIELD_EXPECT, &expect) > 0 && !text_is(expect, "100-continue"))
        return 417;
    return 0;
}

void response_to(struct response *response, const struct request *request, const struct table *table,
                 const struct response_setting *setting)
{
    struct target target;
    const unsigned refusal = refusal_of(request, &target);
    struct text host = {"", 0};

    if (refusal != 0) {
        page(response, request, refusal, setting);
        return;
    }
    if (request->parser.method == HTTP_OPTIONS) {
        send_options(response, request, setting);
        return;
    }
    request_field(request, FIELD_HOST, &host);
    response->object = target_find(&target, host, table);
    if (response->object == NULL)
        page(response, request, 404, setting);
    else if (response->object->kind == OBJECT_FILE)
        send_file(response, request, table, setting);
    else
        send_redirection(response, request, setting);
}
