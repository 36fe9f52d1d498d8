/* Ranges of bytes that a request asks for (RFC 9110, 14). */
#ifndef RANGES_H
#define RANGES_H

#include "text.h"

#define MOST_RANGES 32 /* a field with more of them is not followed */

struct range {
    uint64_t start, length; /* never empty */
};

struct ranges {
    bool whole; /* the field is not followed: the object is sent as it is */
    size_t count; /* 0: there is none of them in the object */
    struct range range[MOST_RANGES];
};

/* The ranges of an object of `size` bytes that the field means.  Ranges that overlap or touch are one, and then they
 * come in their order in the object; else in the order of the field. */
void ranges_read(struct ranges *ranges, struct text field, uint64_t size);

#endif
