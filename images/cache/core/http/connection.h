/* A client's connection: one request after the other is read, answered, and followed by the next. */
#ifndef CONNECTION_H
#define CONNECTION_H

#include "deadline.h"
#include "host.h"
#include "request.h"
#include "response.h"
#include "sending.h"

#define CONNECTION_INPUT 16384 /* bytes: a head at most */

struct server;

enum phase {
    PHASE_PROXY,    /* a PROXY header is due */
    PHASE_REQUEST,  /* a request is, or a part of it */
    PHASE_RESPONSE, /* on its way */
    PHASE_LINGER,   /* we send no more, and wait for the client to close */
};

struct connection {
    struct connection *next; /* of those that are not in use */
    struct deadline deadline;
    struct server *server;
    struct host_tcp *tcp;
    enum phase phase;
    bool has_answered;
    size_t read, end; /* of the input: what has been read, and what there is */
    struct request request;
    struct response response;
    struct sending sending;
    char input[CONNECTION_INPUT];
};

/* Begins to serve a client; `refused` is one for whom there is no room, who is told so. */
void connection_begin(struct connection *connection, struct server *server, struct host_tcp *tcp, bool refused);

/* Its deadline has come. */
void connection_expired(struct connection *connection);

/* Ends it at once. */
void connection_abort(struct connection *connection);

#endif
