#include "connection.h"

#include <string.h>

#include "proxy_header.h"
#include "server.h"

enum step { STEP_NEXT, STEP_WAIT, STEP_OVER };

static void wait_until(struct connection *connection, enum patience patience)
{
    server_wait(connection->server, &connection->deadline, patience);
}

/* There is no connection any more. */
static void release(struct connection *connection)
{
    list_remove(&connection->deadline.link);
    sending_release(&connection->sending);
    server_give_back(connection->server, connection);
}

void connection_abort(struct connection *connection)
{
    host_tcp_abort(connection->tcp);
    release(connection);
}

/* Ends the connection in order: now, or when nothing is lent out any more. */
static enum step end(struct connection *connection)
{
    sending_settle(&connection->sending);
    if (host_tcp_lent(connection->tcp) > 0) {
        if (connection->phase != PHASE_LINGER)
            host_tcp_shutdown(connection->tcp);
        connection->phase = PHASE_LINGER;
        wait_until(connection, PATIENCE_SEND);
        return STEP_WAIT;
    }
    host_tcp_close(connection->tcp);
    release(connection);
    return STEP_OVER;
}

/* Says that nothing more will be sent, and goes on reading: closing with unread input would send a reset, which can
 * overtake the response (RFC 9112, 9.6). */
static void linger(struct connection *connection)
{
    host_tcp_shutdown(connection->tcp);
    connection->phase = PHASE_LINGER;
    wait_until(connection, PATIENCE_LINGER);
}

static void begin_request(struct connection *connection)
{
    const size_t left = connection->end - connection->read;

    if (left > 0)
        memmove(connection->input, connection->input + connection->read, left);
    connection->read = 0;
    connection->end = left;
    connection->phase = PHASE_REQUEST;
    request_begin(&connection->request);
    wait_until(connection, connection->has_answered ? PATIENCE_IDLE : PATIENCE_FRESH);
}

static void begin_response(struct connection *connection)
{
    connection->phase = PHASE_RESPONSE;
    wait_until(connection, PATIENCE_SEND);
    sending_begin(&connection->sending, &connection->response, connection->server->volume.table);
}

static void answer(struct connection *connection)
{
    const struct response_setting setting = server_setting(connection->server);

    response_to(&connection->response, &connection->request, connection->server->volume.table, &setting);
    begin_response(connection);
}

static void answer_with(struct connection *connection, unsigned status)
{
    const struct response_setting setting = server_setting(connection->server);

    response_of_status(&connection->response, status, &setting);
    begin_response(connection);
}

/* There is no room for more of a head; or, behind one that is there, for a body. */
static void answer_too_long(struct connection *connection)
{
    struct request *request = &connection->request;

    if (request->state == REQUEST_HEAD) {
        answer_with(connection, request_too_long(request));
        return;
    }
    request->state = REQUEST_COMPLETE;
    request->keep_alive = false;
    answer(connection);
}

/* Reads more from the client; STEP_NEXT if there is something. */
static enum step read_more(struct connection *connection)
{
    const ptrdiff_t count = host_tcp_read(connection->tcp, connection->input + connection->end,
                                          sizeof connection->input - connection->end);

    if (count == HOST_TCP_ENDED)
        return end(connection);
    connection->end += (size_t)count;
    return count > 0 ? STEP_NEXT : STEP_WAIT;
}

static enum step read_proxy_header(struct connection *connection)
{
    size_t length;
    enum step step;

    switch (proxy_header_read(connection->input, connection->end, &length)) {
    case PROXY_WRONG:
        /* Whoever this is, it is not the proxy: nothing is said. */
        connection_abort(connection);
        return STEP_OVER;
    case PROXY_COMPLETE:
        connection->read = length;
        begin_request(connection);
        return STEP_NEXT;
    case PROXY_MORE:
        break;
    }
    if (connection->end == 0) {
        step = read_more(connection);
        if (step == STEP_NEXT)
            wait_until(connection, PATIENCE_HEAD);
        return step;
    }
    return read_more(connection);
}

/* Reads on what there is; with an answer to it, if the request is complete. */
static void read_input(struct connection *connection)
{
    struct request *request = &connection->request;
    const bool had_begun = request->begin != NULL, had_head = request->state != REQUEST_HEAD;

    connection->read +=
        request_read(request, connection->input + connection->read, connection->end - connection->read);
    if (!had_begun && request->begin != NULL)
        wait_until(connection, PATIENCE_HEAD);
    if (request->begin == NULL)
        connection->read = connection->end = 0; /* empty lines */
    if (request->state == REQUEST_COMPLETE || request->state == REQUEST_REFUSED)
        answer(connection);
    else if (had_head)
        connection->end = connection->read = connection->request.head_length; /* a body, which nobody wants */
    else if (request->state == REQUEST_BODY_DUE)
        request->head_length = connection->end;
}

static enum step read_request(struct connection *connection)
{
    enum step step;

    if (connection->read == connection->end) {
        if (connection->end == sizeof connection->input) {
            answer_too_long(connection);
            return STEP_NEXT;
        }
        step = read_more(connection);
        if (step != STEP_NEXT)
            return step;
    }
    read_input(connection);
    return STEP_NEXT;
}

static enum step write_response(struct connection *connection)
{
    const uint64_t before = connection->sending.sent;
    const enum sending_state state = sending_continue(&connection->sending);

    switch (state) {
    case SENDING_BLOCKED:
        if (connection->sending.sent > before)
            wait_until(connection, PATIENCE_SEND);
        return STEP_WAIT;
    case SENDING_DONE:
        connection->has_answered = true;
        if (connection->response.keep_alive)
            begin_request(connection);
        else
            linger(connection);
        return STEP_NEXT;
    case SENDING_FULL:
    case SENDING_FAILED:
        if (!sending_has_begun(&connection->sending)) {
            sending_end(&connection->sending);
            answer_with(connection, state == SENDING_FULL ? 503 : 500);
            return STEP_NEXT;
        }
        break;
    }
    connection_abort(connection);
    return STEP_OVER;
}

/* Drops what comes after the last response. */
static enum step read_the_rest(struct connection *connection)
{
    connection->read = connection->end = 0;
    return read_more(connection);
}

/* Takes a connection as far as it can go now; it may be over then. */
static void go_on(struct connection *connection)
{
    enum step step = STEP_NEXT;

    while (step == STEP_NEXT)
        switch (connection->phase) {
        case PHASE_PROXY:
            step = read_proxy_header(connection);
            break;
        case PHASE_REQUEST:
            step = read_request(connection);
            break;
        case PHASE_RESPONSE:
            step = write_response(connection);
            break;
        case PHASE_LINGER:
            step = read_the_rest(connection);
            break;
        }
}

static void on_readable(void *owner)
{
    struct connection *connection = owner;
    struct server *server = connection->server;

    if (connection->phase != PHASE_RESPONSE)
        go_on(connection);
    chunks_feed(&server->volume.chunks);
}

static void on_writable(void *owner)
{
    struct connection *connection = owner;
    struct server *server = connection->server;

    sending_settle(&connection->sending);
    if (connection->phase == PHASE_RESPONSE && !connection->sending.waiting)
        go_on(connection);
    else if (connection->phase == PHASE_LINGER && host_tcp_lent(connection->tcp) > 0)
        wait_until(connection, PATIENCE_SEND);
    chunks_feed(&server->volume.chunks);
}

static void on_gone(void *owner)
{
    struct connection *connection = owner;
    struct server *server = connection->server;

    release(connection);
    chunks_feed(&server->volume.chunks);
}

static void on_resumed(struct sending *sending)
{
    go_on(LIST_ELEMENT(sending, struct connection, sending));
}

void connection_begin(struct connection *connection, struct server *server, struct host_tcp *tcp, bool refused)
{
    static const struct host_tcp_events events = {on_readable, on_writable, on_gone};

    connection->server = server;
    connection->tcp = tcp;
    connection->has_answered = false;
    connection->read = connection->end = 0;
    list_init(&connection->deadline.link);
    sending_init(&connection->sending, tcp, &server->volume, server->read_ahead, on_resumed);
    host_tcp_attach(tcp, &events, connection);
    if (refused) {
        answer_with(connection, 503);
        go_on(connection);
    } else if (server->proxy_protocol) {
        connection->phase = PHASE_PROXY;
        wait_until(connection, PATIENCE_FRESH);
    } else {
        begin_request(connection);
    }
}

void connection_expired(struct connection *connection)
{
    const bool begun = connection->phase == PHASE_REQUEST && connection->request.begin != NULL;

    if (begun) {
        answer_with(connection, 408);
        go_on(connection);
    } else if (connection->phase == PHASE_RESPONSE || host_tcp_lent(connection->tcp) > 0) {
        connection_abort(connection);
    } else {
        end(connection);
    }
}
