/* One HTTP response and its wire form. */
#ifndef RESPONSE_H
#define RESPONSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "http_parser.h"

struct response {
    unsigned int status;
    const char *content_type; /* NULL: no body */
    const char *allow;        /* methods for the Allow field, or NULL */
    const void *body;
    size_t length;
};

/* Writes status line and fields for a response to this request; returns their
 * length.  The head of HTTP/1.1 in answer to any request (RFC 9112 section 2.3). */
size_t response_head(char *out, size_t size, const struct response *response, const struct http_parser *request);

/* The status code with its phrase: "404 Not Found". */
const char *response_status(unsigned int status);

#endif
