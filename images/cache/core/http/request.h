/* A request, read as it arrives (RFC 9112).  llhttp knows the grammar; what a server must refuse beyond it is here.
 *
 * The bytes of a head lie in one piece of memory and stay there until the request has been answered: target and fields
 * are views of them. */
#ifndef REQUEST_H
#define REQUEST_H

#include "llhttp.h"
#include "text.h"

#define REQUEST_FIELDS 24    /* kept: those of which we know the name */
#define REQUEST_LINES 256    /* of a head */
#define REQUEST_BODY 65536   /* bytes that are read and dropped, so that the connection can go on */

enum field_name {
    FIELD_NONE,
    FIELD_HOST,
    FIELD_RANGE,
    FIELD_IF_RANGE,
    FIELD_IF_MATCH,
    FIELD_IF_NONE_MATCH,
    FIELD_IF_MODIFIED_SINCE,
    FIELD_IF_UNMODIFIED_SINCE,
    FIELD_EXPECT,
    FIELD_TRANSFER_ENCODING,
};

struct field {
    enum field_name name;
    struct text value;
};

enum request_state {
    REQUEST_HEAD,     /* more of it has to come */
    REQUEST_BODY_DUE, /* the head is there, and a body is being dropped */
    REQUEST_COMPLETE,
    REQUEST_REFUSED, /* `status` says why; nothing that follows can be understood */
};

struct request {
    llhttp_t parser;
    enum request_state state;
    unsigned status;      /* of a refusal */
    const char *begin;    /* of the head, without empty lines in front */
    struct text target;
    struct text name, value; /* of the field that is being read */
    size_t lines;
    bool target_ended;
    uint64_t body;      /* bytes dropped */
    size_t head_length; /* the owner's, to know where the body goes */
    bool keep_alive;
    size_t field_count;
    struct field fields[REQUEST_FIELDS];
};

void request_begin(struct request *request);

/* Reads on; returns how many bytes belong to this request.  Those of the head must lie behind one another. */
size_t request_read(struct request *request, const char *bytes, size_t length);

/* The status for a head that is longer than there is room for: 414 if its target is, else 431. */
unsigned request_too_long(const struct request *request);

/* How many fields of that name there are; *value is the first one. */
size_t request_field(const struct request *request, enum field_name name, struct text *value);

bool request_is_http_1_0(const struct request *request);

#endif
