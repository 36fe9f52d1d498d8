/* The XenStore client against a host that is made up here: it answers, forgets, is closed
 * and opened again, and says what no store would. */
#include "xenstore.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "entropy.h"
#include "port.h"

enum { READ = 2, WATCH = 4, WRITE = 11, WATCH_EVENT = 15, ERROR = 16, RESET_WATCHES = 21 };

struct header {
    uint32_t type, request, transaction, length;
};

struct message {
    struct header header;
    char payload[4096];
};

/* What the client has sent and the host has not looked at. */
static struct port *port;
static char sent[64 * PORT_PIECE];
static size_t sent_length;
static bool has_room = true;

/* What the nodes were told last. */
static struct {
    unsigned int times;
    bool refused;
    char value[4097];
    size_t length;
} note, config, answer;

static void told_note(struct xenstore_node *node, const char *value, size_t length);
static void told_config(struct xenstore_node *node, const char *value, size_t length);
static void told_answer(struct xenstore_node *node, const char *value, size_t length);
static struct xenstore_node note_node = {.path = "data/note", .told = told_note};
static struct xenstore_node config_node = {.path = "data/config", .told = told_config};
static struct xenstore_node ready_node = {.path = "data/ready", .told = told_answer};
static bool restarts;

static uint64_t state = 0x9e3779b97f4a7c15;

static uint32_t draw(uint32_t below)
{
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    return (uint32_t)((state * 0x2545f4914f6cdd1dULL) >> 33) % below;
}

uint64_t random_u64(void)
{
    return 0xbffffffd; /* so that the numbers of requests wrap at once */
}

void port_register(struct port *registered)
{
    port = registered;
}

bool port_write(struct port *target, const void *data, size_t length)
{
    assert(target == port && length > 0 && length <= PORT_PIECE);
    if (!port->host_open || !has_room)
        return false;
    assert(sent_length + length <= sizeof sent);
    memcpy(sent + sent_length, data, length);
    sent_length += length;
    /* A piece is made of whole messages. */
    for (size_t at = 0; at < length;) {
        struct header header;

        assert(length - at >= sizeof header);
        memcpy(&header, (const char *)data + at, sizeof header);
        at += sizeof header + header.length;
        assert(at <= length);
    }
    return true;
}

static void keep(void *kept, const char *value, size_t length)
{
    __typeof__(note) *told = kept;

    assert(length <= 4096);
    told->times++;
    told->refused = value == NULL;
    told->length = length;
    if (value != NULL)
        memcpy(told->value, value, length);
    told->value[length] = '\0';
}

static void told_note(struct xenstore_node *node, const char *value, size_t length)
{
    assert(node == &note_node);
    keep(&note, value, length);
    if (restarts)
        xenstore_restart();
}

static void told_config(struct xenstore_node *node, const char *value, size_t length)
{
    assert(node == &config_node);
    keep(&config, value, length);
}

static void told_answer(struct xenstore_node *node, const char *value, size_t length)
{
    assert(node == &ready_node);
    keep(&answer, value, length);
}

static bool next_message(struct message *message)
{
    if (sent_length == 0)
        return false;
    memcpy(&message->header, sent, sizeof message->header);
    const size_t whole = sizeof message->header + message->header.length;
    memcpy(message->payload, sent + sizeof message->header, message->header.length);
    memmove(sent, sent + whole, sent_length - whole);
    sent_length -= whole;
    return true;
}

/* The next request is this one; returns its number. */
static uint32_t asked(uint32_t type, const char *payload, size_t length)
{
    struct message message;

    assert(next_message(&message));
    assert(message.header.type == type && message.header.transaction == 0 && message.header.request != 0);
    assert(message.header.length == length && memcmp(message.payload, payload, length) == 0);
    return message.header.request;
}

/* A number as it comes back from a store whose integers have 31 bits, and a sign among them. */
static uint32_t kept(uint32_t number)
{
    const uint32_t sign = 1U << 30;

    return ((number & (2 * sign - 1)) ^ sign) - sign;
}

static size_t encode(char *out, uint32_t type, uint32_t request, const char *payload, size_t length)
{
    const struct header header = {kept(type), kept(request), 0, kept((uint32_t)length)};

    memcpy(out, &header, sizeof header);
    memcpy(out + sizeof header, payload, length);
    return sizeof header + length;
}

/* Hands bytes over in pieces, each of which ends where its memory does. */
static void deliver(const char *bytes, size_t length, size_t most)
{
    while (length > 0) {
        const size_t part = length < most ? length : most;
        char *copy = malloc(part);

        memcpy(copy, bytes, part);
        port->received(port, copy, part);
        free(copy);
        bytes += part;
        length -= part;
    }
}

static void says(uint32_t type, uint32_t request, const char *payload, size_t length)
{
    char bytes[sizeof(struct header) + 4096];

    deliver(bytes, encode(bytes, type, request, payload, length), 1 + draw(64));
}

static void opens(void)
{
    sent_length = 0;
    port->host_open = true;
    port->opened(port);
}

#define TEXT(text) text, sizeof(text) - 1
#define WHOLE(text) text, sizeof(text)

struct session {
    uint32_t greeting, watch, note, config, ready;
};

/* What a session begins with; the config is read until it has been told. */
static struct session begins(bool asks_config, bool writes)
{
    struct session session = {0};

    session.greeting = asked(RESET_WATCHES, WHOLE(""));
    session.watch = asked(WATCH, WHOLE("data/note\0data/note"));
    session.note = asked(READ, WHOLE("data/note"));
    if (asks_config)
        session.config = asked(READ, WHOLE("data/config"));
    if (writes)
        session.ready = asked(WRITE, TEXT("data/ready\0hello 1"));
    assert(sent_length == 0);
    return session;
}

static void greets(const struct session *session)
{
    says(RESET_WATCHES, session->greeting, WHOLE("OK"));
    says(WATCH, session->watch, WHOLE("OK"));
    says(WATCH_EVENT, 0, WHOLE("data/note\0data/note"));
}

static void a_session(void)
{
    opens();
    const struct session session = begins(true, false);
    /* What was meant for an earlier session, its beginning lost, and what looks like an answer. */
    deliver(TEXT("hello\0\0\0\0\0\0\1\0\0\0stale"), 7);
    says(RESET_WATCHES, session.greeting - 1, WHOLE("OK"));
    says(READ, session.note, TEXT("stale"));
    assert(note.times == 0 && config.times == 0);
    greets(&session);
    assert(sent_length == 0); /* the event needs no second read: one is under way */
    says(READ, session.note, TEXT("first"));
    assert(note.times == 1 && strcmp(note.value, "first") == 0 && note.length == 5);
    says(READ, session.config, TEXT(""));
    assert(config.times == 1 && !config.refused && config.length == 0);
    says(READ, session.config, TEXT("twice"));
    says(READ, 0, TEXT("nobody's"));
    says(WRITE, 77, WHOLE("OK"));
    assert(note.times == 1 && config.times == 1);
}

static void changes(void)
{
    says(WATCH_EVENT, 0, WHOLE("data/note/below\0data/note"));
    const uint32_t read = asked(READ, WHOLE("data/note"));
    says(WATCH_EVENT, 0, WHOLE("data/note\0data/note"));
    says(WATCH_EVENT, 0, WHOLE("data/note\0data/config"));
    says(WATCH_EVENT, 0, WHOLE("data/note"));
    says(WATCH_EVENT, 0, TEXT("data/note\0data/note"));
    says(WATCH_EVENT, 0, TEXT(""));
    assert(sent_length == 0 && note.times == 1);
    says(ERROR, read, WHOLE("ENOENT"));
    assert(note.times == 2 && note.refused);
    says(WATCH_EVENT, 0, WHOLE("data/notes\0xdata/note"));
    assert(sent_length == 0);
    says(WATCH_EVENT, 0, WHOLE("data/note\0data/note"));
    says(READ, asked(READ, WHOLE("data/note")), TEXT("a\0b"));
    assert(note.times == 3 && note.length == 3 && memcmp(note.value, "a\0b", 3) == 0);
}

static void writes(void)
{
    static const char value[] = "hello 1";

    xenstore_write(&ready_node, value, strlen(value));
    uint32_t write = asked(WRITE, TEXT("data/ready\0hello 1"));
    says(WRITE, write, WHOLE("OK"));
    assert(answer.times == 1 && !answer.refused && answer.length == 0);
    xenstore_write(&ready_node, value, strlen(value));
    write = asked(WRITE, TEXT("data/ready\0hello 1"));
    says(ERROR, write, WHOLE("EACCES"));
    assert(answer.times == 2 && answer.refused);
}

/* What an earlier session was told and what it had no answer to. */
static void begins_anew(void)
{
    xenstore_read(&config_node);
    asked(READ, WHOLE("data/config"));
    port->host_open = false;
    config_node.settled = false; /* as if it had never been answered */
    xenstore_write(&ready_node, "hello 1", 7);
    assert(sent_length == 0);
    opens();
    struct session session = begins(true, true);
    greets(&session);
    says(READ, session.config, TEXT("answered"));
    assert(config.times == 2 && strcmp(config.value, "answered") == 0);
    opens(); /* nobody heard of a close */
    session = begins(false, true);
    /* A store that does not know RESET_WATCHES. */
    says(ERROR, session.greeting, WHOLE("ENOSYS"));
    says(READ, session.note, TEXT("third"));
    assert(strcmp(note.value, "third") == 0);
    xenstore_restart();
    session = begins(false, true);
    greets(&session);
    /* Anew in mid-answer: what follows was meant for the session before. */
    char bytes[256];
    size_t length = encode(bytes, READ, session.note, TEXT("fourth"));
    length += encode(bytes + length, WRITE, session.ready, WHOLE("OK"));
    const unsigned int times = answer.times;
    restarts = true;
    deliver(bytes, length, sizeof bytes);
    restarts = false;
    assert(strcmp(note.value, "fourth") == 0 && answer.times == times);
    session = begins(false, true);
    greets(&session);
    says(READ, session.note, TEXT("fifth"));
    assert(strcmp(note.value, "fifth") == 0);
}

static void waits_for_room(void)
{
    opens();
    const struct session session = begins(false, true);
    has_room = false;
    says(RESET_WATCHES, session.greeting, WHOLE("OK"));
    says(READ, session.note, TEXT("full"));
    says(WATCH_EVENT, 0, WHOLE("data/note\0data/note"));
    xenstore_write(&ready_node, "hello 1", 7);
    assert(sent_length == 0);
    has_room = true;
    says(WRITE, session.ready, WHOLE("OK"));
    says(READ, asked(READ, WHOLE("data/note")), TEXT("room"));
    asked(WRITE, TEXT("data/ready\0hello 1"));
    assert(strcmp(note.value, "room") == 0 && sent_length == 0);
}

static void is_deaf_to_nonsense(void)
{
    static const char longest[4096];
    opens();
    struct session session = begins(false, true);
    greets(&session);
    says(READ, session.note, longest, sizeof longest);
    assert(note.length == sizeof longest);
    const struct header endless = {READ, session.ready, 0, 4097};
    const unsigned int times = note.times;
    deliver((const char *)&endless, sizeof endless, 3);
    says(WATCH_EVENT, 0, WHOLE("data/note\0data/note"));
    xenstore_write(&ready_node, "hello 1", 7);
    assert(sent_length == 0 && note.times == times);
    opens();
    session = begins(false, true);
    greets(&session);
    says(READ, session.note, TEXT("sense"));
    assert(strcmp(note.value, "sense") == 0);
}

static size_t mutate(char *bytes, size_t length, size_t most)
{
    for (uint32_t i = draw(8); i > 0 && length > 0; i--) {
        const size_t at = draw((uint32_t)length), count = 1 + draw((uint32_t)(length - at));

        switch (draw(4)) {
        case 0:
            bytes[at] = (char)draw(256);
            break;
        case 1:
            memmove(bytes + at, bytes + at + count, length - at - count);
            length -= count;
            break;
        case 2:
            if (length + count <= most) {
                memmove(bytes + at + count, bytes + at, length - at);
                length += count;
            }
            break;
        default:
            length = at + 1;
            break;
        }
    }
    return length;
}

/* Garbled answers to everything that is asked; then a sane session, which must come through. */
static void survives(unsigned int runs)
{
    static char bytes[1 << 16];
    struct message message;

    for (unsigned int run = 0; run < runs; run++) {
        opens();
        has_room = draw(8) != 0;
        for (unsigned int turn = draw(6); turn > 0; turn--) {
            size_t length = 0;

            while (next_message(&message) && length < sizeof bytes / 2)
                length += encode(bytes + length, draw(16) == 0 ? draw(32) : message.header.type,
                                 message.header.request + (draw(16) == 0 ? draw(3) : 0), message.payload, draw(64));
            if (draw(2) == 0)
                length += encode(bytes + length, WATCH_EVENT, 0, WHOLE("data/note\0data/note"));
            if (draw(2) == 0)
                length = mutate(bytes, length, sizeof bytes);
            restarts = draw(8) == 0;
            deliver(bytes, length, 1 + draw(512));
        }
        restarts = false;
        has_room = true;
        opens();
        const struct session session = begins(false, true);
        greets(&session);
        says(READ, session.note, TEXT("survived"));
        assert(strcmp(note.value, "survived") == 0);
        says(READ, session.ready, TEXT("")); /* of the wrong type */
        assert(answer.refused);
    }
}

/* More nodes than a piece has room for. */
static void is_sent_in_pieces(void)
{
    static char paths[32][200];
    static struct xenstore_node many[32];
    struct message message;
    unsigned int reads = 0;

    for (unsigned int i = 0; i < 32; i++) {
        memset(paths[i], 'a' + (int)i % 26, sizeof paths[i] - 1);
        many[i].path = paths[i];
        xenstore_read(&many[i]);
    }
    opens();
    while (next_message(&message))
        reads += message.header.type == READ && message.header.length == sizeof paths[0];
    assert(reads == 32);
}

/* The second does not fit into the first one's piece.  The third would, but who reads it may
 * rely on the second. */
static void writes_in_turn(void)
{
    static const char value[500] = "value";
    static struct xenstore_node first = {.path = "data/1"}, second = {.path = "data/2"}, third = {.path = "data/3"};
    struct message message;
    char order[4] = "";

    port->host_open = false;
    xenstore_write(&first, value, sizeof value);
    xenstore_write(&second, value, sizeof value);
    xenstore_write(&third, value, 1);
    opens();
    while (next_message(&message))
        if (message.header.type == WRITE && strncmp(message.payload, "data/", 5) == 0 && message.payload[6] == '\0')
            strncat(order, message.payload + 5, 1);
    assert(strcmp(order, "123") == 0);
}

int main(int argc, char **argv)
{
    const int seconds = argc > 1 ? atoi(argv[1]) : 1;

    xenstore_register();
    assert(strcmp(port->name, "org.jitsu.xenstore") == 0 && !xenstore_offered());
    xenstore_restart();
    xenstore_follow(&note_node);
    xenstore_read(&config_node);
    assert(sent_length == 0);
    a_session();
    changes();
    writes();
    begins_anew();
    waits_for_room();
    is_deaf_to_nonsense();
    survives(20000 * (unsigned int)seconds);
    is_sent_in_pieces();
    writes_in_turn();
    puts("xenstore_test: ok");
    return 0;
}
