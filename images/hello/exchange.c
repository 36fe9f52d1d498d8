#include "exchange.h"

#include <string.h>

#include "counters.h"
#include "format.h"
#include "heap.h"

/* Request bodies held at the same time: uploads must not take the memory that
 * everything else needs. */
#define UPLOADS_MAX 16

struct counters counters;

static unsigned int uploads;

void exchange_init(struct exchange *x)
{
    x->upload = NULL;
    x->page.disk = NULL;
    x->page.request = &x->parser;
    x->begun = false;
    x->phase = EXCHANGE_READING;
    http_parser_reset(&x->parser);
}

static bool take_upload(struct exchange *x)
{
    if (uploads == UPLOADS_MAX)
        return false;
    x->upload = heap_allocate(HTTP_BODY_MAX);
    uploads += x->upload != NULL;
    return x->upload != NULL;
}

void exchange_release(struct exchange *x)
{
    uploads -= x->upload != NULL;
    heap_free(x->upload);
    x->upload = NULL;
    pages_release(&x->page);
}

static void count(unsigned int status)
{
    counters.requests++;
    if (status < 400)
        counters.ok++;
    else if (status < 500)
        counters.client_errors++;
    else
        counters.server_errors++;
}

/* Begins to send page.response, at once or after page.delay. */
static void respond(struct exchange *x)
{
    const struct response *response = &x->page.response;

    count(response->status);
    x->head_length = response_head(x->head, sizeof x->head, response, &x->parser);
    x->body_length = x->parser.method == HTTP_HEAD ? 0 : response->length;
    x->sent = 0;
    x->answer = true;
    x->phase = x->page.delay > 0 ? EXCHANGE_WAITING : EXCHANGE_WRITING;
}

static void respond_error(struct exchange *x, unsigned int status)
{
    x->page.delay = 0;
    pages_error(&x->page, status);
    respond(x);
}

static void respond_page(struct exchange *x)
{
    x->page.upload = x->upload;
    pages_answer(&x->page);
    if (x->page.awaited)
        x->phase = EXCHANGE_WAITING;
    else
        respond(x);
}

/* The head is there: decides what to do about the body. */
static void begin_body(struct exchange *x)
{
    struct http_parser *request = &x->parser;
    const bool wanted = pages_want_body(request);

    x->page.upload_length = 0;
    if (wanted && !take_upload(x)) {
        request->close = true; /* rather than read a body to no end */
        respond_error(x, 503);
        return;
    }
    if (!request->expect_continue || (!request->chunked && request->content_length == 0))
        return;
    if (!wanted) {
        /* The answer does not depend on the body, which the client has not sent
         * yet and, after the final status, need not send (RFC 9110 10.1.1). */
        request->close = true;
        respond_page(x);
        return;
    }
    x->head_length = format(x->head, sizeof x->head, "HTTP/1.1 100 Continue\r\n\r\n");
    x->body_length = 0;
    x->sent = 0;
    x->answer = false;
    x->phase = EXCHANGE_WRITING;
}

size_t exchange_input(struct exchange *x, const uint8_t *input, size_t length)
{
    size_t total = 0;

    while (x->phase == EXCHANGE_READING) {
        size_t used;
        const enum http_event event = http_parse(&x->parser, input + total, length - total, &used);

        total += used;
        if (used > 0)
            x->begun = true;
        switch (event) {
        case HTTP_NEED_MORE:
            return total;
        case HTTP_HEAD_DONE:
            begin_body(x);
            break;
        case HTTP_BODY_DATA:
            if (x->upload != NULL) { /* the parser bounds the whole body by HTTP_BODY_MAX */
                memcpy(x->upload + x->page.upload_length, x->parser.data, x->parser.data_length);
                x->page.upload_length += x->parser.data_length;
            }
            break;
        case HTTP_COMPLETE:
            respond_page(x);
            break;
        case HTTP_ERROR:
            respond_error(x, x->parser.status);
            break;
        }
    }
    return total;
}

void exchange_resume(struct exchange *x)
{
    if (x->page.awaited)
        respond(x);
    else
        x->phase = EXCHANGE_WRITING;
}

const void *exchange_output(const struct exchange *x, size_t *length)
{
    if (x->phase == EXCHANGE_WRITING && x->sent < x->head_length) {
        *length = x->head_length - x->sent;
        return x->head + x->sent;
    }
    *length = x->phase == EXCHANGE_WRITING ? x->head_length + x->body_length - x->sent : 0;
    return *length == 0 ? NULL : (const uint8_t *)x->page.response.body + (x->sent - x->head_length);
}

void exchange_sent(struct exchange *x, size_t length)
{
    x->sent += length;
    if (x->sent < x->head_length + x->body_length)
        return;
    if (!x->answer) {
        x->phase = EXCHANGE_READING; /* after 100 Continue: on to the body */
        return;
    }
    exchange_release(x);
    if (x->parser.close) {
        x->phase = EXCHANGE_CLOSING;
        return;
    }
    exchange_init(x);
}
