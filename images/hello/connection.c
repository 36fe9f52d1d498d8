#include "connection.h"

#include <stdbool.h>
#include <stddef.h>

#include "clock.h"
#include "counters.h"
#include "exchange.h"
#include "heap.h"
#include "lwip/tcp.h"
#include "lwip/timeouts.h"
#include "panic.h"

#include <string.h>

#define CONNECTIONS 96
#define BACKLOG 64

/* Times after which a connection is dropped, in ns. */
#define IDLE_TIMEOUT (30000 * CLOCK_MS)    /* between requests */
#define REQUEST_TIMEOUT (20000 * CLOCK_MS) /* from a request's first byte to its last */
#define WRITE_TIMEOUT (30000 * CLOCK_MS)   /* without an acknowledgement */
#define LINGER_TIMEOUT (3000 * CLOCK_MS)   /* for the client to close after us */

/* In the 500 ms steps of lwIP's slow timer. */
#define POLL_INTERVAL 2

/* Received and not yet read, because an earlier request is being answered.  The
 * window that we offer bounds it, as it opens only with what has been read. */
struct backlog {
    size_t length, read;
    uint8_t bytes[TCP_WND];
};

struct connection {
    struct connection *next, *previous; /* in the list of all */
    struct tcp_pcb *pcb;                /* NULL once lwIP has freed it */
    struct backlog *backlog;            /* NULL: empty */
    bool peer_closed;                   /* the client sends no more */
    bool lingering;                     /* we send no more, and wait for the client to close */
    uint64_t deadline;
    struct exchange exchange;
};

static struct connection *connections;

static uint64_t later(uint64_t span)
{
    return clock_now() + span;
}

static void wait_over(void *argument);

/* Parts a connection from its PCB, which lives on without us, and frees it. */
static void release(struct connection *c)
{
    if (c->exchange.phase == EXCHANGE_WAITING)
        sys_untimeout(wait_over, c);
    exchange_release(&c->exchange);
    heap_free(c->backlog);
    if (c->pcb != NULL) {
        tcp_arg(c->pcb, NULL);
        tcp_recv(c->pcb, NULL);
        tcp_sent(c->pcb, NULL);
        tcp_err(c->pcb, NULL);
        tcp_poll(c->pcb, NULL, 0);
    }
    if (c->previous != NULL)
        c->previous->next = c->next;
    else
        connections = c->next;
    if (c->next != NULL)
        c->next->previous = c->previous;
    heap_free(c);
    counters.open--;
}

/* Ends a connection with a reset.  A callback of this PCB must then return
 * ERR_ABRT. */
static void drop(struct connection *c)
{
    struct tcp_pcb *pcb = c->pcb;

    release(c);
    tcp_abort(pcb);
}

/* Ends a connection in order.  For want of memory the FIN may have to wait for
 * the next poll; false then. */
static bool finish(struct connection *c)
{
    struct tcp_pcb *pcb = c->pcb;

    if (tcp_close(pcb) != ERR_OK)
        return false;
    release(c);
    return true;
}

/* Says that nothing more will be sent, and goes on reading: closing with unread
 * input would send a reset, which can overtake the response (RFC 9112 9.6). */
static void linger(struct connection *c)
{
    if (!c->lingering && tcp_shutdown(c->pcb, 0, 1) == ERR_OK) {
        c->lingering = true;
        c->deadline = later(WRITE_TIMEOUT);
    }
}

/* Reads as much as the exchange wants now; returns how much that was. */
static size_t read_bytes(struct connection *c, const uint8_t *bytes, size_t length)
{
    const bool begun = c->exchange.begun;
    size_t used = length; /* what comes after the last response is dropped */

    if (!c->lingering)
        used = exchange_input(&c->exchange, bytes, length);
    if (!begun && c->exchange.begun)
        c->deadline = later(REQUEST_TIMEOUT);
    if (used > 0)
        tcp_recved(c->pcb, (u16_t)used);
    return used;
}

static void read_backlog(struct connection *c)
{
    struct backlog *backlog = c->backlog;

    if (backlog == NULL)
        return;
    backlog->read += read_bytes(c, backlog->bytes + backlog->read, backlog->length - backlog->read);
    if (backlog->read == backlog->length) {
        heap_free(backlog);
        c->backlog = NULL;
    }
}

/* Keeps what cannot be read yet; false for want of memory. */
static bool keep(struct connection *c, const uint8_t *bytes, size_t length)
{
    struct backlog *backlog = c->backlog;

    if (backlog == NULL) {
        backlog = c->backlog = heap_allocate(sizeof *backlog);
        if (backlog == NULL)
            return false;
        backlog->length = backlog->read = 0;
    }
    if (length > sizeof backlog->bytes - backlog->length) {
        backlog->length -= backlog->read;
        memmove(backlog->bytes, backlog->bytes + backlog->read, backlog->length);
        backlog->read = 0;
    }
    if (length > sizeof backlog->bytes - backlog->length)
        return false; /* more than the window: not possible */
    memcpy(backlog->bytes + backlog->length, bytes, length);
    backlog->length += length;
    return true;
}

/* Writes as much as TCP takes; the rest goes out when it acknowledges. */
static void write_output(struct connection *c)
{
    size_t length;
    const void *data;

    while ((data = exchange_output(&c->exchange, &length)) != NULL) {
        const u16_t room = tcp_sndbuf(c->pcb);
        u8_t flags = TCP_WRITE_FLAG_COPY;

        if (length > room)
            length = room;
        if (length == 0)
            return;
        if (c->exchange.sent + length < c->exchange.head_length + c->exchange.body_length)
            flags |= TCP_WRITE_FLAG_MORE;
        if (tcp_write(c->pcb, data, (u16_t)length, flags) != ERR_OK)
            return;
        exchange_sent(&c->exchange, length);
        c->deadline = later(c->exchange.phase == EXCHANGE_WRITING ? WRITE_TIMEOUT : IDLE_TIMEOUT);
    }
}

/* Takes a connection as far as it can go now.  Returns false if it is over. */
static bool advance(struct connection *c)
{
    do {
        const bool waited = c->exchange.phase == EXCHANGE_WAITING;

        read_backlog(c);
        if (!waited && c->exchange.phase == EXCHANGE_WAITING && c->exchange.page.delay > 0)
            sys_timeout(c->exchange.page.delay, wait_over, c);
        write_output(c);
    } while (c->backlog != NULL && c->exchange.phase == EXCHANGE_READING);
    if (c->exchange.phase == EXCHANGE_CLOSING) {
        linger(c);
        read_backlog(c);
    }
    if (c->peer_closed && c->backlog == NULL && (c->lingering || c->exchange.phase == EXCHANGE_READING))
        return !finish(c);
    tcp_output(c->pcb);
    return true;
}

static void wait_over(void *argument)
{
    struct connection *c = argument;

    exchange_resume(&c->exchange);
    advance(c);
}

static void page_completed(struct page *page)
{
    wait_over((char *)page - offsetof(struct connection, exchange.page));
}

static err_t on_receive(void *argument, struct tcp_pcb *pcb, struct pbuf *data, err_t error)
{
    struct connection *c = argument;

    (void)pcb;
    (void)error;
    c->peer_closed |= data == NULL;
    for (const struct pbuf *part = data; part != NULL; part = part->next)
        if (!keep(c, part->payload, part->len)) {
            pbuf_free(data);
            drop(c);
            return ERR_ABRT;
        }
    if (data != NULL)
        pbuf_free(data);
    advance(c);
    return ERR_OK;
}

static err_t on_sent(void *argument, struct tcp_pcb *pcb, u16_t length)
{
    struct connection *c = argument;

    (void)length;
    if (c->lingering) {
        if (tcp_sndbuf(pcb) == TCP_SND_BUF)
            c->deadline = later(LINGER_TIMEOUT);
        return ERR_OK;
    }
    if (c->exchange.phase == EXCHANGE_WRITING)
        c->deadline = later(WRITE_TIMEOUT);
    advance(c);
    return ERR_OK;
}

static err_t on_poll(void *argument, struct tcp_pcb *pcb)
{
    struct connection *c = argument;

    (void)pcb;
    if (c->exchange.phase != EXCHANGE_WAITING && clock_now() >= c->deadline) {
        counters.timed_out += !c->lingering;
        if (c->exchange.phase == EXCHANGE_READING && !c->exchange.begun && finish(c))
            return ERR_OK;
        drop(c);
        return ERR_ABRT;
    }
    advance(c);
    return ERR_OK;
}

static void on_error(void *argument, err_t error)
{
    struct connection *c = argument;

    (void)error;
    c->pcb = NULL; /* lwIP has freed it */
    release(c);
}

/* Makes room by dropping the connection that has been idle for longest. */
static bool drop_an_idle_one(void)
{
    struct connection *oldest = NULL;

    for (struct connection *c = connections; c != NULL; c = c->next)
        if (c->exchange.phase == EXCHANGE_READING && !c->exchange.begun &&
            (oldest == NULL || c->deadline < oldest->deadline))
            oldest = c;
    if (oldest == NULL)
        return false;
    drop(oldest);
    return true;
}

static struct connection *allocate(void)
{
    if (counters.open == CONNECTIONS && !drop_an_idle_one())
        return NULL;
    return heap_allocate(sizeof(struct connection));
}

static err_t on_accept(void *argument, struct tcp_pcb *pcb, err_t error)
{
    (void)argument;
    if (error != ERR_OK || pcb == NULL)
        return ERR_VAL;
    struct connection *c = allocate();
    if (c == NULL) {
        counters.refused++;
        tcp_abort(pcb);
        return ERR_ABRT;
    }
    c->pcb = pcb;
    c->backlog = NULL;
    c->previous = NULL;
    c->next = connections;
    if (connections != NULL)
        connections->previous = c;
    connections = c;
    c->peer_closed = c->lingering = false;
    c->deadline = later(IDLE_TIMEOUT);
    c->exchange.page.completed = page_completed;
    exchange_init(&c->exchange);
    counters.accepted++;
    counters.open++;
    tcp_arg(pcb, c);
    tcp_recv(pcb, on_receive);
    tcp_sent(pcb, on_sent);
    tcp_err(pcb, on_error);
    tcp_poll(pcb, on_poll, POLL_INTERVAL);
    tcp_nagle_disable(pcb); /* each write is a whole response or all there is room for */
    return ERR_OK;
}

void connection_listen(uint16_t port)
{
    struct tcp_pcb *pcb = tcp_new_ip_type(IPADDR_TYPE_ANY);

    if (pcb == NULL || tcp_bind(pcb, IP_ANY_TYPE, port) != ERR_OK)
        panic("cannot listen on port %u", port);
    pcb = tcp_listen_with_backlog(pcb, BACKLOG);
    if (pcb == NULL)
        panic("cannot listen on port %u", port);
    tcp_accept(pcb, on_accept);
}
