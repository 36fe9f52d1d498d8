/* An incremental HTTP/1.x request parser (RFC 9112): bytes in, one request out.
 * It knows neither connections nor lwIP and allocates nothing, so that it can be
 * tested and fuzzed on any machine. */
#ifndef HTTP_PARSER_H
#define HTTP_PARSER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HTTP_TARGET_MAX 1024 /* longer: 414 */
#define HTTP_HEADER_SECTION_MAX 8192 /* bytes of all header lines together; longer: 431 */
#define HTTP_HEADERS_MAX 64 /* more: 431 */
#define HTTP_METHOD_MAX 16  /* longer: 501, as no such method is known */
#define HTTP_BODY_MAX 65536 /* longer: 413 */

enum http_method {
    HTTP_GET,
    HTTP_HEAD,
    HTTP_POST,
    HTTP_PUT,
    HTTP_DELETE,
    HTTP_OPTIONS,
    HTTP_PATCH,
    HTTP_TRACE,
    HTTP_CONNECT,
    HTTP_UNKNOWN,
};

enum http_event {
    HTTP_NEED_MORE, /* all input was used; no news */
    HTTP_HEAD_DONE, /* the head is complete and correct; the body, if any, follows */
    HTTP_BODY_DATA, /* a piece of the body: parser->data, parser->data_length */
    HTTP_COMPLETE,  /* the whole request has been read; http_parser_reset() before the next */
    HTTP_ERROR,     /* parser->status says which; nothing more can be read */
};

struct http_parser {
    /* The request, valid from HTTP_HEAD_DONE on. */
    enum http_method method;
    char target[HTTP_TARGET_MAX + 1];
    bool http_1_0;
    bool close;           /* the connection ends after the response */
    bool expect_continue; /* the client waits for 100 before it sends the body */
    bool chunked;
    bool has_length;
    uint64_t content_length;

    const uint8_t *data; /* HTTP_BODY_DATA */
    size_t data_length;
    unsigned int status; /* HTTP_ERROR */

    /* Private. */
    uint8_t state;
    uint8_t field; /* the header line's meaning */
    bool has_host, has_transfer_coding;
    bool connection_close, connection_keep_alive;
    uint16_t used;    /* characters in target, or in word */
    uint16_t headers; /* header lines read */
    uint32_t section; /* bytes of the header section read */
    uint32_t body;    /* bytes of the body read */
    uint64_t remaining; /* of the body or the chunk */
    char word[128];     /* method, header name, or header value of interest */
};

void http_parser_reset(struct http_parser *parser);

/* Reads input until something has happened; *used is how much of it was read. */
enum http_event http_parse(struct http_parser *parser, const uint8_t *input, size_t length, size_t *used);

#endif
