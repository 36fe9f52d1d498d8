#include "server.h"

#include "date.h"

#define REFUSED 16 /* connections that are being told that there is no room, at a time */
#define LINGER (2 * HOST_SECOND)

bool server_init(struct server *server, const struct core_options *options)
{
    server->read_ahead = options->read_ahead;
    server->proxy_protocol = options->proxy_protocol;
    server->alarm = HOST_NEVER;
    deadline_queue_init(&server->queues[PATIENCE_FRESH], options->idle_timeout);
    deadline_queue_init(&server->queues[PATIENCE_IDLE], options->idle_timeout);
    deadline_queue_init(&server->queues[PATIENCE_HEAD], options->header_timeout);
    deadline_queue_init(&server->queues[PATIENCE_SEND], options->send_timeout);
    deadline_queue_init(&server->queues[PATIENCE_LINGER], LINGER);
    server->most = options->connections;
    server->count = options->connections + REFUSED;
    server->connections = host_allocate(server->count * sizeof *server->connections);
    if (server->connections == NULL)
        return false;
    /* What is in use most is what is at the front: the rest of the memory is not touched. */
    for (size_t i = server->count; i-- > 0;) {
        server->connections[i].next = server->unused;
        server->unused = &server->connections[i];
    }
    return true;
}

void server_free(struct server *server)
{
    for (int i = 0; i < PATIENCES; i++) {
        struct deadline *deadline;

        while ((deadline = deadline_first(&server->queues[i])) != NULL)
            connection_abort(LIST_ELEMENT(deadline, struct connection, deadline));
    }
    host_free(server->connections);
    server->connections = server->unused = NULL;
}

/* Makes room by ending the connection that has been idle for longest since its last response. */
static void end_an_idle_one(struct server *server)
{
    struct deadline *deadline = deadline_first(&server->queues[PATIENCE_IDLE]);

    if (deadline != NULL)
        connection_expired(LIST_ELEMENT(deadline, struct connection, deadline));
}

void server_accept(struct server *server, struct host_tcp *tcp)
{
    struct connection *connection;

    if (server->open >= server->most)
        end_an_idle_one(server);
    connection = server->unused;
    if (connection == NULL) {
        host_tcp_abort(tcp);
        return;
    }
    server->unused = connection->next;
    server->open++;
    connection_begin(connection, server, tcp, server->open > server->most);
}

void server_give_back(struct server *server, struct connection *connection)
{
    connection->next = server->unused;
    server->unused = connection;
    server->open--;
}

static void set_alarm(struct server *server, uint64_t at)
{
    if (at < server->alarm) {
        server->alarm = at;
        host_alarm(at);
    }
}

void server_wait(struct server *server, struct deadline *deadline, enum patience patience)
{
    deadline_set(&server->queues[patience], deadline);
    set_alarm(server, deadline->at);
}

void server_alarm(struct server *server)
{
    const uint64_t now = host_now();

    server->alarm = HOST_NEVER;
    for (int i = 0; i < PATIENCES; i++) {
        struct deadline *deadline;

        while ((deadline = deadline_first(&server->queues[i])) != NULL && deadline->at <= now)
            connection_expired(LIST_ELEMENT(deadline, struct connection, deadline));
    }
    for (int i = 0; i < PATIENCES; i++) {
        const struct deadline *deadline = deadline_first(&server->queues[i]);

        if (deadline != NULL)
            set_alarm(server, deadline->at);
    }
    chunks_feed(&server->volume.chunks);
}

struct response_setting server_setting(struct server *server)
{
    const uint64_t now = host_wall_clock();

    if (now != server->second) {
        struct writer date = writer_on(server->date, sizeof server->date);

        date_write(&date, now);
        server->second = now;
        server->date_length = date.length;
    }
    return (struct response_setting){now, {server->date, server->date_length}};
}
