/*
 * Load for a XenStore daemon, by the raw wire over its unix socket: many clients, each of which awaits every reply
 * before its next request, as libxenstore does.
 *
 *     xenstore_load SOCKET WORK CLIENTS COUNT SECONDS
 *
 * WORK is what each client does COUNT times:
 *     none, libxl, both    build a domain in one transaction and take it down in another. `none` lists nothing;
 *                          `libxl` cleans up as libxl does, which lists; `both` lists both common roots first
 *     keep                 build a domain and keep it
 *     read, write          one request for a key of the client's own; COUNT 0 is as many as the time allows
 * A transaction that is answered with EAGAIN begins again at once. What is not done after SECONDS is left. One line of
 * JSON says what became of it; an answer that nobody expects ends the program with 1.
 */
#include "xenstore_steps.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define LONGEST_PAYLOAD 4096
#define STEPS(table) table, sizeof(table) / sizeof(table[0])

struct header {
    uint32_t type, request, transaction, length;
};

struct tally {
    unsigned long done, retries, worst;
};

struct client {
    pthread_t thread;
    int socket, number;
    unsigned domid;
    uint32_t transaction, request;
    unsigned long requests;
    struct tally builds, teardowns;
    char reply[LONGEST_PAYLOAD + 1];
    uint32_t reply_length;
};

static const char *work;
static unsigned long count;
static double deadline;
static unsigned clients;
static pthread_barrier_t all_here;

static double now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec + time.tv_nsec / 1e9;
}

static void die(const char *what, const char *object)
{
    fprintf(stderr, "xenstore_load: %s: %s\n", what, object);
    exit(1);
}

static void receive(int socket, void *buffer, size_t length)
{
    while (length > 0) {
        ssize_t got = recv(socket, buffer, length, MSG_WAITALL);
        if (got <= 0)
            die("the daemon is silent", got == 0 ? "it closed the connection" : strerror(errno));
        buffer = (char *)buffer + got;
        length -= got;
    }
}

/* One request, and its reply into client->reply, with a NUL behind. Watch events are not asked for. */
static enum type ask(struct client *client, enum type type, const char *payload, size_t length)
{
    char message[sizeof(struct header) + LONGEST_PAYLOAD];
    struct header header = {type, ++client->request, client->transaction, length};

    if (length > LONGEST_PAYLOAD)
        die("too long", payload);
    memcpy(message, &header, sizeof header);
    memcpy(message + sizeof header, payload, length);
    if (send(client->socket, message, sizeof header + length, MSG_NOSIGNAL) != (ssize_t)(sizeof header + length))
        die("the daemon takes no request", strerror(errno));
    client->requests++;
    receive(client->socket, &header, sizeof header);
    if (header.request != client->request || header.length > LONGEST_PAYLOAD)
        die("an answer to something else", payload);
    receive(client->socket, client->reply, header.length);
    client->reply[header.length] = '\0';
    client->reply_length = header.length;
    return header.type;
}

/* The template with '#' and '$' filled in; gives the length without the NUL. */
static size_t fill(char *out, const char *template, unsigned domid)
{
    size_t length = 0;

    for (const char *at = template; *at != '\0'; at++) {
        if (*at == '#')
            length += sprintf(out + length, "%u", domid);
        else if (*at == '$')
            length += sprintf(out + length, "7a1d2c00-5b6e-4f00-8000-%012u", domid);
        else
            out[length++] = *at;
    }
    out[length] = '\0';
    return length;
}

/* A path that is missing is no failure of an RM: domain_make begins with removing what is not there. */
static void take(struct client *client, enum type type, const char *payload, size_t length)
{
    if (ask(client, type, payload, length) == ERROR && !(type == RM && strcmp(client->reply, "ENOENT") == 0))
        die(payload, client->reply);
}

static void run(struct client *client, const struct step *steps, size_t number)
{
    char payload[LONGEST_PAYLOAD];

    for (const struct step *step = steps; step < steps + number; step++) {
        size_t length = fill(payload, step->path, client->domid) + 1;
        length += fill(payload + length, step->rest, client->domid);
        if (step->type == SET_PERMS)
            for (char *at = payload; at < payload + length; at++)
                if (*at == ' ')
                    *at = '\0';
        take(client, step->type, payload, length);
    }
}

/* libxl__xs_path_cleanup: remove the path, then each parent that has neither value nor children. */
static void clean_up(struct client *client, const char *template)
{
    char path[LONGEST_PAYLOAD];

    fill(path, template, client->domid);
    for (;;) {
        take(client, RM, path, strlen(path) + 1);
        *strrchr(path, '/') = '\0';
        if (path[0] == '\0')
            return;
        take(client, READ, path, strlen(path) + 1);
        if (client->reply_length > 0)
            return;
        take(client, DIRECTORY, path, strlen(path) + 1);
        if (client->reply_length > 0)
            return;
    }
}

static void build(struct client *client)
{
    if (strcmp(work, "both") == 0)
        run(client, STEPS(LIST_ROOTS));
    run(client, STEPS(BUILD));
}

static void take_down(struct client *client)
{
    if (strcmp(work, "both") == 0)
        run(client, STEPS(LIST_ROOTS));
    run(client, STEPS(REMOVE_DOMAIN));
    if (strcmp(work, "libxl") == 0)
        for (size_t device = 0; device < sizeof(CLEAN_UP) / sizeof(CLEAN_UP[0]); device++)
            clean_up(client, CLEAN_UP[device]);
    else
        run(client, STEPS(REMOVE_BACKENDS));
}

/* Again and again until it is committed; false when the time is up. */
static bool commit(struct client *client, void (*body)(struct client *), struct tally *tally)
{
    for (unsigned long retries = 0;; retries++) {
        if (now() > deadline)
            return false;
        client->transaction = 0;
        take(client, TRANSACTION_START, "", 1);
        client->transaction = strtoul(client->reply, NULL, 10);
        body(client);
        enum type answer = ask(client, TRANSACTION_END, "T", 2);
        client->transaction = 0;
        if (answer != ERROR) {
            tally->done++;
            return true;
        }
        if (strcmp(client->reply, "EAGAIN") != 0)
            die("the end of a transaction", client->reply);
        tally->retries++;
        if (retries + 1 > tally->worst)
            tally->worst = retries + 1;
    }
}

static void build_and_take_down(struct client *client)
{
    bool kept = strcmp(work, "keep") == 0;

    for (unsigned long turn = 0; turn < count; turn++) {
        client->domid = 2 + client->number * count + turn;
        if (!commit(client, build, &client->builds) || (!kept && !commit(client, take_down, &client->teardowns)))
            return;
    }
}

/* A key and a value of 24 characters that is never twice the same: what does not change need not be kept. */
static size_t pair(char *payload, unsigned client, unsigned long turn)
{
    size_t path = sprintf(payload, "/bench/%u/key", client) + 1;

    return path + sprintf(payload + path, "%024lu", turn);
}

static void plain(struct client *client)
{
    enum type type = strcmp(work, "read") == 0 ? READ : WRITE;
    char payload[64];

    while ((count == 0 || client->requests < count) && now() < deadline) {
        size_t length = pair(payload, client->number, client->requests);
        take(client, type, payload, type == READ ? strlen(payload) + 1 : length);
    }
}

static bool is_plain(void)
{
    return strcmp(work, "read") == 0 || strcmp(work, "write") == 0;
}

static void *live(void *argument)
{
    struct client *client = argument;

    pthread_barrier_wait(&all_here);
    (is_plain() ? plain : build_and_take_down)(client);
    return NULL;
}

static int connected(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int end = socket(AF_UNIX, SOCK_STREAM, 0);

    if (strlen(path) >= sizeof address.sun_path)
        die("too long for a socket", path);
    strcpy(address.sun_path, path);
    if (end < 0 || connect(end, (struct sockaddr *)&address, sizeof address) < 0)
        die(path, strerror(errno));
    return end;
}

/* What is there before: a domain that stays, so that no common root is ever empty; the keys of plain requests. */
static void prepare(struct client *client)
{
    char payload[64];

    if (!is_plain()) {
        client->domid = 1;
        run(client, STEPS(BUILD));
        return;
    }
    for (unsigned number = 0; number < clients; number++)
        take(client, WRITE, payload, pair(payload, number, 0));
}

static void add(struct tally *sum, const struct tally *tally)
{
    sum->done += tally->done;
    sum->retries += tally->retries;
    if (tally->worst > sum->worst)
        sum->worst = tally->worst;
}

int main(int argc, char **argv)
{
    if (argc != 6)
        die("SOCKET WORK CLIENTS COUNT SECONDS, not", argv[argc - 1]);
    work = argv[2];
    clients = strtoul(argv[3], NULL, 10);
    count = strtoul(argv[4], NULL, 10);

    struct client first = {.socket = connected(argv[1])};
    prepare(&first);
    struct client *all = calloc(clients, sizeof *all);
    pthread_barrier_init(&all_here, NULL, clients + 1);
    for (unsigned number = 0; number < clients; number++) {
        all[number].socket = connected(argv[1]);
        all[number].number = number;
        if (pthread_create(&all[number].thread, NULL, live, &all[number]) != 0)
            die("no thread", "pthread_create");
    }
    double begin = now();
    deadline = begin + strtod(argv[5], NULL);
    pthread_barrier_wait(&all_here);
    for (unsigned number = 0; number < clients; number++)
        pthread_join(all[number].thread, NULL);
    double seconds = now() - begin;

    struct tally builds = {0}, teardowns = {0};
    unsigned long requests = 0;
    for (unsigned number = 0; number < clients; number++) {
        requests += all[number].requests;
        add(&builds, &all[number].builds);
        add(&teardowns, &all[number].teardowns);
    }
    printf("{\"seconds\": %.6f, \"requests\": %lu, "
           "\"builds\": {\"done\": %lu, \"retries\": %lu, \"worst\": %lu}, "
           "\"teardowns\": {\"done\": %lu, \"retries\": %lu, \"worst\": %lu}}\n",
           seconds, requests, builds.done, builds.retries, builds.worst, teardowns.done, teardowns.retries,
           teardowns.worst);
    return 0;
}
