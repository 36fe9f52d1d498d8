/* What is lent is referred to by lwIP's segments until the client has acknowledged it. */
#include "tcp.h"

#include "core.h"
#include "heap.h"
#include "lwip/tcp.h"
#include "panic.h"

#define BACKLOG 64
#define POLL_INTERVAL 1 /* in the 500 ms steps of lwIP's slow timer: what there was no memory for is tried again */

struct host_tcp {
    struct tcp_pcb *pcb;
    const struct host_tcp_events *events;
    void *owner;
    struct pbuf *arrived; /* and not read */
    bool ended;           /* the client sends no more */
    size_t unacknowledged;
};

/* The connection that lwIP is telling us of, NULL once it is over.  If that was by a reset, lwIP wants to know. */
static struct host_tcp *told;
static bool aborted;

void host_tcp_attach(struct host_tcp *tcp, const struct host_tcp_events *events, void *owner)
{
    tcp->events = events;
    tcp->owner = owner;
}

/* Lets go of everything but the PCB. */
static void release(struct host_tcp *tcp)
{
    if (tcp->pcb != NULL) {
        tcp_arg(tcp->pcb, NULL);
        tcp_recv(tcp->pcb, NULL);
        tcp_sent(tcp->pcb, NULL);
        tcp_err(tcp->pcb, NULL);
        tcp_poll(tcp->pcb, NULL, 0);
    }
    if (tcp->arrived != NULL)
        pbuf_free(tcp->arrived);
    if (told == tcp)
        told = NULL;
    heap_free(tcp);
}

void host_tcp_abort(struct host_tcp *tcp)
{
    struct tcp_pcb *pcb = tcp->pcb;

    aborted |= told == tcp;
    release(tcp);
    tcp_abort(pcb);
}

void host_tcp_close(struct host_tcp *tcp)
{
    struct tcp_pcb *pcb = tcp->pcb;

    /* For want of memory it cannot be done in order. */
    if (tcp_close(pcb) != ERR_OK) {
        host_tcp_abort(tcp);
        return;
    }
    release(tcp);
}

void host_tcp_shutdown(struct host_tcp *tcp)
{
    /* If there is no memory for it now, closing says it. */
    tcp_shutdown(tcp->pcb, 0, 1);
}

ptrdiff_t host_tcp_read(struct host_tcp *tcp, void *buffer, size_t room)
{
    u16_t count;

    if (tcp->arrived == NULL)
        return tcp->ended ? HOST_TCP_ENDED : 0;
    count = pbuf_copy_partial(tcp->arrived, buffer, (u16_t)(room < 0xffff ? room : 0xffff), 0);
    tcp->arrived = pbuf_free_header(tcp->arrived, count);
    tcp_recved(tcp->pcb, count);
    return count;
}

size_t host_tcp_send(struct host_tcp *tcp, const struct host_span *spans, size_t count, bool more)
{
    size_t sent = 0;
    bool whole = true;

    for (size_t i = 0; i < count && whole; i++) {
        const u16_t room = tcp_sndbuf(tcp->pcb);
        const u16_t length = spans[i].length < room ? (u16_t)spans[i].length : room;
        const u8_t copy = spans[i].lent ? 0 : TCP_WRITE_FLAG_COPY;
        const u8_t flags = copy | (more || i + 1 < count ? TCP_WRITE_FLAG_MORE : 0);

        if (length == 0 || tcp_write(tcp->pcb, spans[i].data, length, flags) != ERR_OK)
            break;
        sent += length;
        whole = length == spans[i].length;
    }
    tcp->unacknowledged += sent;
    tcp_output(tcp->pcb);
    return sent;
}

size_t host_tcp_lent(const struct host_tcp *tcp)
{
    return tcp->unacknowledged;
}

/* What is not read at once waits in memory of its own: the pool is for all that arrives.  How much it can be is bounded
 * by the window. */
static struct pbuf *move_out_of_the_pool(struct pbuf *packet)
{
    struct pbuf *copy = pbuf_clone(PBUF_RAW, PBUF_RAM, packet);

    if (copy == NULL)
        return packet;
    pbuf_free(packet);
    return copy;
}

static void take(struct host_tcp *tcp, struct pbuf *packet)
{
    if (packet == NULL)
        tcp->ended = true;
    else if (tcp->arrived == NULL)
        tcp->arrived = packet;
    else
        pbuf_cat(tcp->arrived, move_out_of_the_pool(packet));
}

static err_t on_receive(void *argument, struct tcp_pcb *pcb, struct pbuf *packet, err_t error)
{
    struct host_tcp *tcp = argument;
    const bool first = tcp->arrived == NULL;

    (void)pcb;
    (void)error;
    take(tcp, packet);
    told = tcp;
    aborted = false;
    tcp->events->readable(tcp->owner);
    if (told != NULL && first && tcp->arrived != NULL)
        tcp->arrived = move_out_of_the_pool(tcp->arrived);
    told = NULL;
    return aborted ? ERR_ABRT : ERR_OK;
}

static err_t tell_writable(struct host_tcp *tcp)
{
    told = tcp;
    aborted = false;
    tcp->events->writable(tcp->owner);
    told = NULL;
    return aborted ? ERR_ABRT : ERR_OK;
}

static err_t on_sent(void *argument, struct tcp_pcb *pcb, u16_t length)
{
    struct host_tcp *tcp = argument;

    (void)pcb;
    tcp->unacknowledged -= length;
    return tell_writable(tcp);
}

static err_t on_poll(void *argument, struct tcp_pcb *pcb)
{
    (void)pcb;
    return tell_writable(argument);
}

static void on_error(void *argument, err_t error)
{
    struct host_tcp *tcp = argument;

    (void)error;
    tcp->pcb = NULL; /* lwIP has freed it */
    tcp->events->gone(tcp->owner);
    release(tcp);
}

static err_t on_accept(void *argument, struct tcp_pcb *pcb, err_t error)
{
    struct host_tcp *tcp;

    (void)argument;
    if (error != ERR_OK || pcb == NULL)
        return ERR_VAL;
    tcp = heap_allocate(sizeof *tcp);
    if (tcp == NULL) {
        tcp_abort(pcb);
        return ERR_ABRT;
    }
    *tcp = (struct host_tcp){.pcb = pcb};
    tcp_arg(pcb, tcp);
    tcp_recv(pcb, on_receive);
    tcp_sent(pcb, on_sent);
    tcp_err(pcb, on_error);
    tcp_poll(pcb, on_poll, POLL_INTERVAL);
    tcp_nagle_disable(pcb); /* each write is a whole response or all there is room for */
    told = tcp;
    aborted = false;
    core_accepted(tcp);
    told = NULL;
    return aborted ? ERR_ABRT : ERR_OK;
}

void tcp_start(uint16_t port)
{
    struct tcp_pcb *pcb = tcp_new_ip_type(IPADDR_TYPE_ANY);

    if (pcb == NULL || tcp_bind(pcb, IP_ANY_TYPE, port) != ERR_OK)
        panic("cannot listen on port %u", port);
    pcb = tcp_listen_with_backlog(pcb, BACKLOG);
    if (pcb == NULL)
        panic("cannot listen on port %u", port);
    tcp_accept(pcb, on_accept);
}
