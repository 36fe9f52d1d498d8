/* What is answered: a head, and where the body comes from. */
#ifndef RESPONSE_H
#define RESPONSE_H

#include "ranges.h"
#include "request.h"
#include "table.h"

#define HEAD_ROOM 1024 /* a head, with the page behind it if that is the body */
#define BOUNDARY 32    /* of the parts of a body, in hexadecimal digits */

enum body_kind {
    BODY_NONE,
    BODY_OBJECT, /* ranges of an object, one behind the other */
    BODY_PARTS,  /* the same as multipart/byteranges */
};

struct response {
    unsigned status;
    bool keep_alive;
    enum body_kind body;
    const struct object *object; /* whose bytes the body has */
    struct ranges ranges;
    char boundary[BOUNDARY];
    size_t head_length;
    char head[HEAD_ROOM];
};

/* What responses say of the server. */
struct response_setting {
    uint64_t now; /* Unix seconds, 0 if not known */
    struct text date;
};

/* The answer to a complete request, or to one that was refused. */
void response_to(struct response *response, const struct request *request, const struct table *table,
                 const struct response_setting *setting);

/* An answer that no request led to, or that one could not get: 408, 500, 503.  After it the connection ends. */
void response_of_status(struct response *response, unsigned status, const struct response_setting *setting);

/* What stands in front of a part of BODY_PARTS, and, for the number behind the last one, after all of them. */
void response_part_head(const struct response *response, size_t number, struct writer *writer);

#endif
