#include "readiness.h"

#include <stdbool.h>

#include "clock.h"
#include "format.h"
#include "port.h"

static char line[GUEST_NAME_MAX + 32];
static size_t line_length; /* 0 until the guest serves */

static void say_ready(struct port *port)
{
    if (line_length > 0)
        port_write(port, line, line_length);
}

static struct port ready_port = {.name = "org.jitsu.ready", .opened = say_ready};

void readiness_register(void)
{
    port_register(&ready_port);
}

void readiness_reached(const struct guest_config *config, uint64_t ready)
{
    line_length = format(line, sizeof line, "ready %s %lu\n", config->name, (unsigned long)(ready / CLOCK_US));
    say_ready(&ready_port);
}
