#include "xenstore.h"

#include <string.h>

#include "entropy.h"
#include "memory.h"
#include "port.h"

/* Types of messages (enum xsd_sockmsg_type). */
#define READ 2
#define WATCH 4
#define WRITE 11
#define WATCH_EVENT 15
#define ERROR 16
#define RESET_WATCHES 21

#define PAYLOAD_MAX 4096

/* oxenstored on a 32-bit machine has integers of 31 bits, and answers under what these make of
 * a request's number.  Up to here it comes back as it went. */
#define REQUEST_LAST 0x3fffffffU

struct header {
    uint32_t type, request, transaction, length;
};

static struct xenstore_node *nodes, **nodes_end = &nodes;
static uint32_t last_request;

/* A session begins with a RESET_WATCHES under a number that was never used.  What comes
 * before the answer to it was said to an earlier session, and its beginning may be lost:
 * bytes are skipped until that answer's header is there. */
static enum { DEAF, SEEKING, LISTENING } state;
static uint32_t greeting;
static bool greeting_due;

static uint8_t incoming[sizeof(struct header) + PAYLOAD_MAX] NOINIT;
static size_t incoming_length;

/* Whole requests that the port has not taken yet.  It takes so many bytes as one piece
 * (port.h), so the first that a new listener hears is the beginning of a request. */
static uint8_t outgoing[PORT_PIECE] NOINIT;
static size_t outgoing_length;

static void begin(struct port *port);
static void hear(struct port *port, const void *data, size_t length);

static struct port store_port = {.name = "org.jitsu.xenstore", .opened = begin, .received = hear};

/* Adds a request for a path and what follows its NUL.  Returns its number, or 0 if there
 * is no room now. */
static uint32_t request(uint32_t type, const char *path, const void *rest, size_t rest_length)
{
    const size_t path_length = strlen(path) + 1;
    struct header header = {.type = type, .length = (uint32_t)(path_length + rest_length)};
    uint8_t *place = outgoing + outgoing_length;

    if (sizeof header + header.length > sizeof outgoing - outgoing_length)
        return 0;
    header.request = last_request = last_request % REQUEST_LAST + 1;
    memcpy(place, &header, sizeof header);
    memcpy(place + sizeof header, path, path_length);
    if (rest_length > 0)
        memcpy(place + sizeof header + path_length, rest, rest_length);
    outgoing_length += sizeof header + header.length;
    return header.request;
}

static void collect(void)
{
    if (greeting_due) {
        greeting = request(RESET_WATCHES, "", NULL, 0);
        greeting_due = greeting == 0;
    }
    for (struct xenstore_node *node = nodes; node != NULL && !greeting_due; node = node->next) {
        if (node->watch_due) /* a node's path is also its watch's token */
            node->watch_due = request(WATCH, node->path, node->path, strlen(node->path) + 1) == 0;
        if (node->due && !node->watch_due) {
            node->request = request(node->value != NULL ? WRITE : READ, node->path, node->value, node->value_length);
            node->due = node->request == 0;
        }
        if (node->due) /* in this order: who reads a later node may rely on an earlier one */
            break;
    }
}

/* What the port has no room for now goes when the host has said something more: until
 * then nothing of what is under way can have been answered. */
static void send_due(void)
{
    if (state == DEAF || !store_port.host_open)
        return;
    for (collect(); outgoing_length > 0; collect()) {
        if (!port_write(&store_port, outgoing, outgoing_length))
            return;
        outgoing_length = 0;
    }
}

static void begin(struct port *port)
{
    (void)port;
    if (last_request == 0)
        last_request = (uint32_t)random_u64() & REQUEST_LAST;
    state = SEEKING;
    incoming_length = outgoing_length = 0;
    greeting_due = true;
    for (struct xenstore_node *node = nodes; node != NULL; node = node->next) {
        node->request = 0;
        node->watch_due = node->followed;
        node->due = node->followed || node->value != NULL || !node->settled;
    }
    send_due();
}

/* A watch event: the path of what changed, then the token.  It is said in turn with the
 * answers, so a read that is under way brings the value after the change. */
static void changed(const char *payload, size_t length)
{
    for (struct xenstore_node *node = nodes; node != NULL; node = node->next) {
        const size_t token_length = strlen(node->path) + 1;

        if (node->followed && node->request == 0 && length > token_length &&
            payload[length - token_length - 1] == '\0' &&
            memcmp(payload + length - token_length, node->path, token_length) == 0)
            node->due = true;
    }
}

static void answered(const struct header *header, const char *payload)
{
    struct xenstore_node *node = nodes;

    while (node != NULL && (node->request == 0 || node->request != header->request))
        node = node->next;
    if (node == NULL)
        return;
    node->request = 0;
    node->settled = true;
    if (node->told == NULL)
        return;
    if (header->type != (node->value != NULL ? WRITE : READ))
        node->told(node, NULL, 0);
    else
        node->told(node, payload, node->value != NULL ? 0 : header->length);
}

/* Takes bytes over until so many have come in; have they? */
static bool fill(size_t until, const uint8_t **bytes, size_t *length)
{
    const size_t missing = until - incoming_length;
    const size_t part = missing < *length ? missing : *length;

    memcpy(incoming + incoming_length, *bytes, part);
    incoming_length += part;
    *bytes += part;
    *length -= part;
    return incoming_length == until;
}

/* Is what came in the header of a message?  If not, it is at least one byte shorter. */
static bool header_found(struct header *header)
{
    memcpy(header, incoming, sizeof *header);
    if (state == SEEKING) {
        if (header->request != greeting || header->transaction != 0 || header->length > PAYLOAD_MAX ||
            (header->type != RESET_WATCHES && header->type != ERROR)) {
            memmove(incoming, incoming + 1, --incoming_length);
            return false;
        }
        state = LISTENING;
    }
    if (header->length > PAYLOAD_MAX) {
        state = DEAF;
        return false;
    }
    return true;
}

static void hear(struct port *port, const void *data, size_t length)
{
    const uint8_t *bytes = data;
    const char *payload = (const char *)incoming + sizeof(struct header);
    struct header header;

    (void)port;
    while (state != DEAF && (incoming_length >= sizeof header || fill(sizeof header, &bytes, &length))) {
        if (!header_found(&header))
            continue;
        if (!fill(sizeof header + header.length, &bytes, &length))
            break;
        incoming_length = 0;
        if (header.type == WATCH_EVENT)
            changed(payload, header.length);
        else
            answered(&header, payload);
    }
    send_due();
}

static void add(struct xenstore_node *node)
{
    if (node->added)
        return;
    node->added = true;
    *nodes_end = node;
    nodes_end = &node->next;
}

void xenstore_register(void)
{
    port_register(&store_port);
}

bool xenstore_offered(void)
{
    return store_port.carrier != NULL;
}

void xenstore_read(struct xenstore_node *node)
{
    add(node);
    node->due = true;
    send_due();
}

void xenstore_follow(struct xenstore_node *node)
{
    add(node);
    node->followed = node->watch_due = node->due = true;
    send_due();
}

void xenstore_write(struct xenstore_node *node, const void *value, size_t length)
{
    add(node);
    node->value = value;
    node->value_length = length;
    node->due = true;
    send_due();
}

void xenstore_restart(void)
{
    if (store_port.host_open)
        begin(&store_port);
}
