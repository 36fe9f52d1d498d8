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

#define LINE_MAX (GUEST_NAME_MAX + 64)

static const char *name; /* NULL until the guest serves */
static uint64_t reached;
static uint64_t woken; /* the last wake's clock; 0: there was none */

/* What the host has said of a line that has not ended yet. */
static char heard[WAKE_LINE_MAX];
static size_t heard_length;

static void say_ready(struct port *port)
{
    char line[LINE_MAX];
    size_t length;

    if (name == NULL)
        return;
    length = format(line, sizeof line, "ready %s %lu", name, (unsigned long)(reached / CLOCK_US));
    if (woken != 0)
        length += format(line + length, sizeof line - length, " %lu", (unsigned long)woken);
    line[length++] = '\n';
    port_write(port, line, length);
}

static void wake_up(struct port *port, const struct wake *wake)
{
    entropy_stir(wake->seed, WAKE_SEED_WORDS);
    network_rekey();
    wall_clock_set(wake->clock);
    woken = wake->clock;
    say_ready(port);
}

/* This machine has no power switch to turn off; to reset it ends the VM. */
static _Noreturn void stop(void)
{
    console_print("%s: stopping, as asked\n", name != NULL ? name : "guest");
    machine_die();
}

/* Lines of the host.  One that is too long to be a wake cannot become one: it is
 * kept at a length that none has. */
static void hear(struct port *port, const void *data, size_t length)
{
    const char *bytes = data;
    struct wake wake;

    for (size_t i = 0; i < length; i++) {
        if (bytes[i] != '\n') {
            if (heard_length < sizeof heard)
                heard[heard_length++] = bytes[i];
            continue;
        }
        if (heard_length == strlen("stop") && memcmp(heard, "stop", heard_length) == 0)
            stop();
        if (heard_length < sizeof heard && wake_parse(heard, heard_length, &wake))
            wake_up(port, &wake);
        heard_length = 0;
    }
}

static void start_anew(struct port *port)
{
    heard_length = 0;
    say_ready(port);
}

static struct port ready_port = {.name = "org.jitsu.ready", .opened = start_anew, .received = hear};

void readiness_register(void)
{
    port_register(&ready_port);
}

void readiness_reached(const struct guest_config *config, uint64_t ready)
{
    name = config->name;
    reached = ready;
    say_ready(&ready_port);
}
