/* The server: a volume, and those who are being served from it. */
#ifndef SERVER_H
#define SERVER_H

#include "connection.h"
#include "core.h"
#include "deadline.h"
#include "volume.h"

/* What a connection may be waiting for. */
enum patience {
    PATIENCE_FRESH,  /* a first request */
    PATIENCE_IDLE,   /* another one */
    PATIENCE_HEAD,   /* the rest of one */
    PATIENCE_SEND,   /* the client to take something */
    PATIENCE_LINGER, /* the client to close */
    PATIENCES
};

struct server {
    struct volume volume;
    size_t read_ahead;
    bool proxy_protocol;
    struct deadline_queue queues[PATIENCES];
    uint64_t alarm; /* what the host has been asked for */

    struct connection *connections, *unused;
    size_t count; /* of connections, with those that are only refused */
    size_t most, open;

    uint64_t second; /* of the date that is written here */
    char date[32];
    size_t date_length;
};

/* Takes the memory; false if there is not so much. */
bool server_init(struct server *server, const struct core_options *options);

/* Ends all connections. */
void server_free(struct server *server);

void server_accept(struct server *server, struct host_tcp *tcp);

/* The alarm's time has come: ends what has waited for too long. */
void server_alarm(struct server *server);

/* Has a connection told when it has waited for long enough, unless it waits for something else before. */
void server_wait(struct server *server, struct deadline *deadline, enum patience patience);

/* A connection is over. */
void server_give_back(struct server *server, struct connection *connection);

struct response_setting server_setting(struct server *server);

#endif
