/* A service of a Tinyx guest, as small as one can be: a page with the guest's name, and a page about its state.
 *
 * It keeps to what images/tinyx/README.md asks of a service: NAME is in its environment, and once it listens it writes
 * a newline to descriptor 3.  One answer a connection; who says nothing for so long is let go. */
#include <inttypes.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define NOTIFY 3
#define PORT 80
#define CONNECTIONS 64
#define REQUEST_MAX 4096
#define PAGE_MAX 1024
#define PATIENCE 30 /* seconds */

struct connection {
    time_t since;
    size_t length;
    char request[REQUEST_MAX + 1];
};

/* Of each entry of the one belongs the same of the other; the last is the listener's. */
static struct pollfd files[CONNECTIONS + 1];
static struct connection connections[CONNECTIONS];
static const char *name;
static uint64_t boot_id;

static uint64_t microseconds(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static time_t seconds(void)
{
    return (time_t)(microseconds(CLOCK_MONOTONIC) / 1000000);
}

static uint64_t random_number(void)
{
    uint64_t number;

    if (getrandom(&number, sizeof number, 0) != sizeof number)
        abort();
    return number;
}

static void answer(int file, const char *request)
{
    const bool get = strncmp(request, "GET ", 4) == 0;
    const char *path = request + strcspn(request, " ");
    const char *status = "200 OK", *kind = "text/html";
    char page[PAGE_MAX], head[PAGE_MAX];
    int length;

    if (get && strncmp(path, " / ", 3) == 0) {
        length = snprintf(page, sizeof page, "<!DOCTYPE html><title>%s</title><p>Hello from %s, a Tinyx guest.\n", name, name);
    } else if (get && strncmp(path, " /status ", 9) == 0) {
        kind = "application/json";
        length = snprintf(page, sizeof page,
                          "{\"name\": \"%s\", \"boot_id\": \"%016" PRIx64 "\", \"token\": \"%016" PRIx64 "\", "
                          "\"uptime_us\": %" PRIu64 ", \"unix_us\": %" PRIu64 "}\n",
                          name, boot_id, random_number(), microseconds(CLOCK_MONOTONIC), microseconds(CLOCK_REALTIME));
    } else {
        status = get ? "404 Not Found" : "501 Not Implemented";
        length = snprintf(page, sizeof page, "%s\n", status);
    }
    const int head_length = snprintf(head, sizeof head,
                                     "HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %d\r\nConnection: close\r\n\r\n",
                                     status, kind, length);
    /* Both fit into an empty send buffer. */
    if (send(file, head, (size_t)head_length, MSG_NOSIGNAL | MSG_MORE) == head_length)
        send(file, page, (size_t)length, MSG_NOSIGNAL);
}

/* Goes on with a connection; false if it is over. */
static bool go_on(int file, struct connection *connection)
{
    const ssize_t got = recv(file, connection->request + connection->length, REQUEST_MAX - connection->length, 0);

    if (got <= 0)
        return false;
    connection->length += (size_t)got;
    connection->request[connection->length] = '\0';
    if (strstr(connection->request, "\r\n\r\n") == NULL)
        return connection->length < REQUEST_MAX;
    answer(file, connection->request);
    return false;
}

static void take(int listener)
{
    size_t i = 0;

    while (files[i].fd >= 0) /* there is one: else nobody waits for the listener */
        i++;
    files[i] = (struct pollfd){.fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC), .events = POLLIN};
    connections[i].since = seconds();
    connections[i].length = 0;
}

static int listen_to_all(void)
{
    /* Over IPv4 too. */
    const struct sockaddr_in6 any = {.sin6_family = AF_INET6, .sin6_port = htons(PORT)};
    const int file = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (file < 0 || bind(file, (const struct sockaddr *)&any, sizeof any) != 0 || listen(file, SOMAXCONN) != 0) {
        perror("hello: cannot listen");
        exit(1);
    }
    return file;
}

int main(void)
{
    const int listener = listen_to_all();
    struct pollfd *door = &files[CONNECTIONS];

    name = getenv("NAME");
    boot_id = random_number();
    for (size_t i = 0; i < CONNECTIONS; i++)
        files[i].fd = -1;
    write(NOTIFY, "\n", 1);
    close(NOTIFY);
    for (;;) {
        size_t busy = 0;

        for (size_t i = 0; i < CONNECTIONS; i++) {
            if (files[i].fd < 0)
                continue;
            const bool talks = files[i].revents != 0;
            if (talks ? !go_on(files[i].fd, &connections[i]) : seconds() - connections[i].since > PATIENCE) {
                close(files[i].fd);
                files[i].fd = -1;
            }
            busy += files[i].fd >= 0;
        }
        *door = (struct pollfd){.fd = busy < CONNECTIONS ? listener : -1, .events = POLLIN};
        poll(files, CONNECTIONS + 1, busy > 0 ? 1000 : -1);
        if (door->revents != 0)
            take(listener);
    }
}
