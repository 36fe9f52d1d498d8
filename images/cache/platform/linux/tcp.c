/* What is lent is copied by the kernel at once: nothing stays lent out. */
#include "tcp.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "core.h"
#include "loop.h"

#define BACKLOG 4096
#define SPANS 32

struct host_tcp {
    struct loop_source source;
    int descriptor; /* -1: over, and to be freed */
    bool broken;    /* gone() is due */
    bool listed;    /* in the list below */
    struct host_tcp *next;
    const struct host_tcp_events *events;
    void *owner;
};

static int listener = -1;
static struct host_tcp *settling; /* broken or over */

static void settle_later(struct host_tcp *tcp)
{
    if (tcp->listed)
        return;
    tcp->listed = true;
    tcp->next = settling;
    settling = tcp;
}

static void on_event(struct loop_source *source, uint32_t events)
{
    struct host_tcp *tcp = (struct host_tcp *)source;

    if ((events & EPOLLERR) != 0 && tcp->descriptor >= 0) {
        tcp->broken = true;
        settle_later(tcp);
        return;
    }
    if ((events & (EPOLLIN | EPOLLHUP)) != 0 && tcp->descriptor >= 0 && !tcp->broken)
        tcp->events->readable(tcp->owner);
    if ((events & EPOLLOUT) != 0 && tcp->descriptor >= 0 && !tcp->broken)
        tcp->events->writable(tcp->owner);
}

void host_tcp_attach(struct host_tcp *tcp, const struct host_tcp_events *events, void *owner)
{
    tcp->events = events;
    tcp->owner = owner;
}

ptrdiff_t host_tcp_read(struct host_tcp *tcp, void *buffer, size_t room)
{
    ssize_t count;

    if (tcp->broken)
        return 0;
    do
        count = read(tcp->descriptor, buffer, room);
    while (count < 0 && errno == EINTR);
    if (count > 0)
        return count;
    if (count == 0)
        return HOST_TCP_ENDED;
    if (errno != EAGAIN) {
        tcp->broken = true;
        settle_later(tcp);
    }
    return 0;
}

size_t host_tcp_send(struct host_tcp *tcp, const struct host_span *spans, size_t count, bool more)
{
    struct iovec vectors[SPANS];
    const struct msghdr message = {.msg_iov = vectors, .msg_iovlen = count < SPANS ? count : SPANS};
    ssize_t sent;

    if (tcp->broken)
        return 0;
    for (size_t i = 0; i < message.msg_iovlen; i++)
        vectors[i] = (struct iovec){(void *)(uintptr_t)spans[i].data, spans[i].length};
    do
        sent = sendmsg(tcp->descriptor, &message, MSG_NOSIGNAL | (more ? MSG_MORE : 0));
    while (sent < 0 && errno == EINTR);
    if (sent < 0 && errno != EAGAIN) {
        tcp->broken = true;
        settle_later(tcp);
    }
    return sent < 0 ? 0 : (size_t)sent;
}

size_t host_tcp_lent(const struct host_tcp *tcp)
{
    (void)tcp;
    return 0;
}

void host_tcp_shutdown(struct host_tcp *tcp)
{
    shutdown(tcp->descriptor, SHUT_WR);
}

/* The core knows it no more; the rest of this turn's events may. */
void host_tcp_close(struct host_tcp *tcp)
{
    close(tcp->descriptor);
    tcp->descriptor = -1;
    settle_later(tcp);
}

void host_tcp_abort(struct host_tcp *tcp)
{
    const struct linger at_once = {.l_onoff = 1, .l_linger = 0};

    setsockopt(tcp->descriptor, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    host_tcp_close(tcp);
}

void tcp_settle(void)
{
    while (settling != NULL) {
        struct host_tcp *tcp = settling;

        settling = tcp->next;
        if (tcp->descriptor >= 0) {
            tcp->events->gone(tcp->owner);
            close(tcp->descriptor);
        }
        free(tcp);
    }
}

static void accept_one(int descriptor)
{
    struct host_tcp *tcp = malloc(sizeof *tcp);
    const int yes = 1;

    if (tcp == NULL) {
        close(descriptor);
        return;
    }
    *tcp = (struct host_tcp){.source = {on_event}, .descriptor = descriptor};
    /* Each write is a whole response or all there is room for. */
    setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    core_accepted(tcp);
    if (tcp->descriptor >= 0 &&
        !loop_watch(descriptor, &tcp->source, EPOLLIN | EPOLLOUT | EPOLLET)) {
        tcp->broken = true;
        settle_later(tcp);
    }
}

static void on_listener(struct loop_source *source, uint32_t events)
{
    int descriptor;

    (void)source;
    (void)events;
    do {
        descriptor = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (descriptor >= 0)
            accept_one(descriptor);
    } while (descriptor >= 0 || errno == ECONNABORTED || errno == EINTR);
    /* Edge-triggered: what the system has no room for now is tried again with the next client. */
    if (errno != EAGAIN)
        perror("cache-linux: accept");
}

static bool split(const char *where, char *host, size_t room, const char **port)
{
    const char *colon = strrchr(where, ':');
    size_t length = colon == NULL ? 0 : (size_t)(colon - where);
    const bool bracketed = length >= 2 && where[0] == '[' && where[length - 1] == ']';

    if (colon == NULL || length - 2 * bracketed >= room || (!bracketed && memchr(where, ':', length) != NULL))
        return false;
    length -= 2 * bracketed;
    memcpy(host, where + bracketed, length);
    host[length] = '\0';
    *port = colon + 1;
    return true;
}

static const char *listen_on(const struct addrinfo *address)
{
    static struct loop_source source = {on_listener};
    const int yes = 1;

    listener = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (listener < 0)
        return strerror(errno);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (bind(listener, address->ai_addr, address->ai_addrlen) != 0 || listen(listener, BACKLOG) != 0 ||
        !loop_watch(listener, &source, EPOLLIN | EPOLLET))
        return strerror(errno);
    return NULL;
}

const char *tcp_listen(const char *where)
{
    const struct addrinfo hints = {
        .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICHOST | AI_NUMERICSERV};
    struct addrinfo *found;
    char host[64];
    const char *port, *wrong;

    if (!split(where, host, sizeof host, &port))
        return "it is no ADDRESS:PORT";
    if (getaddrinfo(host[0] == '\0' ? NULL : host, port, &hints, &found) != 0)
        return "it is no ADDRESS:PORT";
    wrong = listen_on(found);
    freeaddrinfo(found);
    return wrong;
}

void tcp_where(char *text, size_t room)
{
    struct sockaddr_storage address;
    socklen_t length = sizeof address;
    char host[64], port[8];

    getsockname(listener, (struct sockaddr *)&address, &length);
    getnameinfo((struct sockaddr *)&address, length, host, sizeof host, port, sizeof port,
                NI_NUMERICHOST | NI_NUMERICSERV);
    snprintf(text, room, address.ss_family == AF_INET6 ? "[%s]:%s" : "%s:%s", host, port);
}

void tcp_end(void)
{
    close(listener);
    tcp_settle();
}
