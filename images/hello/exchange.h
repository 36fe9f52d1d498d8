/* One connection's requests and responses, as a state machine that knows
 * nothing of TCP: it is given input, says what it would like to send, and when
 * it is done.  connection.c drives it. */
#ifndef EXCHANGE_H
#define EXCHANGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "http_parser.h"
#include "pages.h"

#define EXCHANGE_HEAD_MAX 512

enum exchange_phase {
    EXCHANGE_READING, /* wants input */
    EXCHANGE_WAITING, /* wants exchange_resume() after page.delay ms, or when the page is completed */
    EXCHANGE_WRITING, /* wants to send output */
    EXCHANGE_CLOSING, /* everything is said: the connection ends */
};

struct exchange {
    enum exchange_phase phase;
    bool begun;  /* part of a request has been read */
    bool answer; /* what is being written ends the exchange, as 100 Continue does not */
    struct http_parser parser;
    struct page page;
    uint8_t *upload;

    /* Output: the head, then the body. */
    char head[EXCHANGE_HEAD_MAX];
    size_t head_length, body_length;
    size_t sent; /* of both together */
};

void exchange_init(struct exchange *exchange);
void exchange_release(struct exchange *exchange);

/* Reads input until the phase changes or it is used up; returns bytes read. */
size_t exchange_input(struct exchange *exchange, const uint8_t *input, size_t length);

/* The wait is over. */
void exchange_resume(struct exchange *exchange);

/* The next piece to send: its start and, in *length, its size; 0 if none. */
const void *exchange_output(const struct exchange *exchange, size_t *length);

/* So much of it was taken. */
void exchange_sent(struct exchange *exchange, size_t length);

#endif
