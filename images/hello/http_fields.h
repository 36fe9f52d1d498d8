/* The header fields that decide how a request is read (RFC 9110, RFC 9112). */
#ifndef HTTP_FIELDS_H
#define HTTP_FIELDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "http_parser.h"

enum http_field {
    HTTP_FIELD_OTHER,
    HTTP_FIELD_HOST,
    HTTP_FIELD_CONNECTION,
    HTTP_FIELD_CONTENT_LENGTH,
    HTTP_FIELD_TRANSFER_ENCODING,
    HTTP_FIELD_EXPECT,
};

/* A character of a token (RFC 9110 section 5.6.2). */
bool http_is_token(uint8_t c);

/* The field of this name, in any case. */
enum http_field http_field_of(const char *name, size_t length);

/* Takes note of a value of parser->field; returns 0 or the status to fail with. */
unsigned int http_field_apply(struct http_parser *parser, const char *value, size_t length);

#endif
