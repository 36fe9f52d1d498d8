/* The frontend's half of the handshake, against a store that is made up here. */
#include "xen_frontend.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "panic.h"

static struct xenstore_node *asked[8];
static unsigned int asked_count;
static char said[1024]; /* "key=value " of each that was written */
static unsigned int offers, connections;
static bool later; /* is the offer ended */
static struct xen_backend_key feature;
static uint64_t feature_value;

void xenstore_read(struct xenstore_node *node)
{
    asked[asked_count++] = node;
}

void xenstore_follow(struct xenstore_node *node)
{
    asked[asked_count++] = node;
}

void xenstore_write(struct xenstore_node *node, const void *value, size_t length)
{
    char word[128];

    snprintf(word, sizeof word, "%s=%.*s ", strrchr(node->path, '/') + 1, (int)length, (const char *)value);
    strcat(said, word);
}

void panic(const char *message, ...)
{
    fprintf(stderr, "panic: %s\n", message);
    abort();
}

static void tell(const char *path, const char *value)
{
    for (unsigned int i = 0; i < asked_count; i++)
        if (strcmp(asked[i]->path, path) == 0) {
            asked[i]->told(asked[i], value, value == NULL ? 0 : strlen(value));
            return;
        }
    fprintf(stderr, "nobody asked for %s\n", path);
    abort();
}

static void offer(struct xen_frontend *frontend)
{
    offers++;
    assert(frontend->backend == 7);
    xen_frontend_say(frontend, "ring-ref", 8);
    xen_frontend_say(frontend, "event-channel", 3);
    if (!later)
        xen_frontend_offered(frontend);
}

static void feature_told(struct xenstore_node *node, const char *value, size_t length)
{
    assert(node == &feature.node && xen_number(value, length, &feature_value));
}

static void connected(struct xen_frontend *frontend)
{
    connections++;
    xen_frontend_ask(frontend, &feature, "feature", feature_told);
}

static void start(struct xen_frontend *frontend)
{
    asked_count = offers = connections = 0;
    said[0] = '\0';
    *frontend = (struct xen_frontend){.folder = "device/vif/0", .offer = offer, .connected = connected};
    xen_frontend_start(frontend);
}

#define BACKEND "/local/domain/7/backend/vif/4/0"

static void check_connecting(void)
{
    struct xen_frontend frontend;

    start(&frontend);
    tell("device/vif/0/backend", BACKEND);
    assert(asked_count == 2); /* whose state it is is not all known yet */
    tell("device/vif/0/backend-id", "7");
    tell(BACKEND "/state", NULL);
    tell(BACKEND "/state", "1");
    assert(frontend.state == XEN_WAITING && offers == 0 && said[0] == '\0');
    tell(BACKEND "/state", "2");
    /* The state comes last: whoever sees it finds the rest. */
    assert(frontend.state == XEN_OFFERED && strcmp(said, "ring-ref=8 event-channel=3 state=4 ") == 0);
    tell(BACKEND "/state", "2");
    tell(BACKEND "/state", "4");
    tell(BACKEND "/state", "4");
    assert(frontend.state == XEN_CONNECTED && offers == 1 && connections == 1);
    tell(BACKEND "/feature", "123456789012345678");
    assert(feature_value == 123456789012345678);
    tell(BACKEND "/state", "5");
    tell(BACKEND "/state", "6");
    tell(BACKEND "/state", "2");
    assert(frontend.state == XEN_GONE && offers == 1);
    assert(strcmp(said, "ring-ref=8 event-channel=3 state=4 state=6 ") == 0);
}

/* What the backend does while the driver still has something to say. */
static void check_offering_for_a_while(void)
{
    struct xen_frontend frontend;

    later = true;
    start(&frontend);
    tell("device/vif/0/backend-id", "7");
    tell("device/vif/0/backend", BACKEND);
    tell(BACKEND "/state", "2");
    tell(BACKEND "/state", "2");
    assert(frontend.state == XEN_OFFERING && offers == 1 && strstr(said, "state") == NULL);
    tell(BACKEND "/state", "4");
    assert(frontend.state == XEN_OFFERING);
    xen_frontend_offered(&frontend);
    assert(frontend.state == XEN_CONNECTED && connections == 1 && strstr(said, " state=4 ") != NULL);

    start(&frontend);
    tell("device/vif/0/backend-id", "7");
    tell("device/vif/0/backend", BACKEND);
    tell(BACKEND "/state", "2");
    tell(BACKEND "/state", "5");
    xen_frontend_offered(&frontend);
    assert(frontend.state == XEN_GONE && strstr(said, "state=4") == NULL && strstr(said, "state=6") != NULL);
    later = false;
}

/* A backend that was connected before this guest ran, and one that left its end behind. */
static void check_beginnings(void)
{
    struct xen_frontend frontend;

    start(&frontend);
    tell("device/vif/0/backend-id", "7");
    tell("device/vif/0/backend", BACKEND);
    tell(BACKEND "/state", "6");
    assert(frontend.state == XEN_WAITING && said[0] == '\0');
    tell(BACKEND "/state", "4");
    assert(frontend.state == XEN_CONNECTED && offers == 1);
}

static void check_what_makes_no_sense(void)
{
    struct xen_frontend frontend;
    char longest[400];

    start(&frontend);
    tell("device/vif/0/backend", NULL); /* there is no such device */
    assert(frontend.state == XEN_GONE && said[0] == '\0');

    start(&frontend);
    memset(longest, 'x', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    tell("device/vif/0/backend", longest);
    assert(frontend.state == XEN_GONE);

    start(&frontend);
    tell("device/vif/0/backend-id", "seven");
    assert(frontend.state == XEN_GONE);

    start(&frontend);
    tell("device/vif/0/backend-id", "7");
    tell("device/vif/0/backend", BACKEND);
    for (size_t i = 0; i < 5; i++)
        tell(BACKEND "/state", (const char *const[]){"", "two", "-2", "2x", "1000000000000000002"}[i]);
    assert(frontend.state == XEN_WAITING && offers == 0);
}

int main(void)
{
    check_connecting();
    check_offering_for_a_while();
    check_beginnings();
    check_what_makes_no_sense();
    puts("xen_frontend_test: ok");
}
