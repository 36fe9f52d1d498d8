#include "readiness.h"

#include <stdbool.h>
#include <string.h>

#include "clock.h"
#include "console.h"
#include "entropy.h"
#include "format.h"
#include "network.h"
#include "panic.h"
#include "port.h"
#include "wake.h"
#include "wall_clock.h"
#include "xenstore.h"

#define READY "ready "
#define WAKE "wake "
#define STOP "stop"
#define LENGTH(text) (sizeof(text) - 1)

static const char *name; /* NULL until the guest serves */
static uint64_t reached;
static struct wake woken; /* the last wake; its clock is 0 if there was none */

/* "ready NAME MICROSECONDS [CLOCK]\n".  Without its first word and its end this is also
 * the value of the node. */
static char line[LENGTH(READY) + GUEST_NAME_MAX + 64];

/* What the host has said of a line that has not ended yet. */
static char heard[LENGTH(WAKE) + WAKE_MAX + 1];
static size_t heard_length;

static struct port ready_port;

static void ready_answered(struct xenstore_node *node, const char *value, size_t length)
{
    (void)length;
    if (value == NULL)
        console_print("%s: the store does not take %s\n", name, node->path);
}

static struct xenstore_node ready_node = {.path = "data/jitsu/ready", .told = ready_answered};

static size_t compose(void)
{
    size_t length = format(line, sizeof line, READY "%s %llu", name, (unsigned long long)(reached / CLOCK_US));

    if (woken.clock != 0)
        length += format(line + length, sizeof line - length, " %llu", (unsigned long long)woken.clock);
    line[length++] = '\n';
    return length;
}

static void say_ready_on_port(struct port *port)
{
    if (name != NULL)
        port_write(port, line, compose());
}

static void say_ready(void)
{
    if (name == NULL)
        return;
    const size_t length = compose();
    port_write(&ready_port, line, length);
    xenstore_write(&ready_node, line + LENGTH(READY), length - LENGTH(READY) - 1);
}

static void wake_up(const struct wake *wake)
{
    woken = *wake;
    entropy_stir(wake->seed, WAKE_SEED_WORDS);
    network_rekey();
    wall_clock_set(wake->clock);
    say_ready();
}

static _Noreturn void stop(void)
{
    console_print("%s: stopping, as asked\n", name != NULL ? name : "guest");
    machine_off();
}

static void take_line(void)
{
    struct wake wake;

    if (heard_length == LENGTH(STOP) && memcmp(heard, STOP, LENGTH(STOP)) == 0)
        stop();
    if (heard_length > LENGTH(WAKE) && memcmp(heard, WAKE, LENGTH(WAKE)) == 0 &&
        wake_parse(heard + LENGTH(WAKE), heard_length - LENGTH(WAKE), &wake)) {
        wake_up(&wake);
        /* What a copy has of a session with the store was its original's. */
        xenstore_restart();
    }
}

/* Lines of the host.  One that is too long to be a wake cannot become one: it is
 * kept at a length that none has. */
static void hear(struct port *port, const void *data, size_t length)
{
    const char *bytes = data;

    (void)port;
    for (size_t i = 0; i < length; i++) {
        if (bytes[i] != '\n') {
            if (heard_length < sizeof heard)
                heard[heard_length++] = bytes[i];
            continue;
        }
        if (heard_length < sizeof heard)
            take_line();
        heard_length = 0;
    }
}

static void start_anew(struct port *port)
{
    heard_length = 0;
    say_ready_on_port(port);
}

static struct port ready_port = {.name = "org.jitsu.ready", .opened = start_anew, .received = hear};

/* The node stays, and is read again in every session: one wake is one wake. */
static void told_wake(struct xenstore_node *node, const char *value, size_t length)
{
    struct wake wake;

    (void)node;
    if (value != NULL && wake_parse(value, length, &wake) && memcmp(&wake, &woken, sizeof wake) != 0)
        wake_up(&wake);
}

static void told_stop(struct xenstore_node *node, const char *value, size_t length)
{
    (void)node;
    (void)length;
    if (value != NULL)
        stop();
}

static struct xenstore_node wake_node = {.path = "data/jitsu/control/wake", .told = told_wake};
static struct xenstore_node stop_node = {.path = "data/jitsu/control/stop", .told = told_stop};

void readiness_register(void)
{
    port_register(&ready_port);
    xenstore_register();
    xenstore_follow(&wake_node);
    xenstore_follow(&stop_node);
}

void readiness_reached(const struct guest_config *config, uint64_t ready)
{
    name = config->name;
    reached = ready;
    say_ready();
}
