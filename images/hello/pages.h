/* What the service says: from a request to a response. */
#ifndef PAGES_H
#define PAGES_H

#include <stdbool.h>
#include <stdint.h>

#include "http_parser.h"
#include "response.h"

#define PAGE_TEXT_MAX 1024

struct disk_read;

/* A request and the room for its answer. */
struct page {
    const struct http_parser *request;
    const uint8_t *upload; /* the request's body, if pages_want_body() */
    size_t upload_length;
    char text[PAGE_TEXT_MAX]; /* a generated body */
    struct response response;
    unsigned int delay; /* ms until the response may be sent */

    /* The response comes later, by completed(), which is the connection's. */
    bool awaited;
    void (*completed)(struct page *page);
    struct disk_read *disk; /* holds the response's body; NULL: nothing of the disk */
};

/* Draws the instance's boot id. */
void pages_init(void);

/* Whether the request's body matters; otherwise it is read and dropped. */
bool pages_want_body(const struct http_parser *request);

/* Fills in page->response and page->delay, or says that the response is awaited.  Does not
 * return from /crash. */
void pages_answer(struct page *page);

/* Frees what the answer holds, or waits for. */
void pages_release(struct page *page);

/* The response that only says its status. */
void pages_error(struct page *page, unsigned int status);

#endif
