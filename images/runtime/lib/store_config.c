#include "store_config.h"

#include <string.h>

#include "clock.h"
#include "irq.h"
#include "platform.h"
#include "xenstore.h"

#define FOLDER "data/jitsu/config/"
#define PORT_PATIENCE (500 * CLOCK_MS) /* the host tells all its ports in one go */
#define TURN (1000 * CLOCK_MS)

static struct guest_config *target;
static const char *fault;
static unsigned int expected;

static void told(struct xenstore_node *node, const char *value, size_t length)
{
    const char *key = node->path + strlen(FOLDER);

    expected--;
    if (value != NULL && fault == NULL)
        fault = guest_config_set(target, key, strlen(key), value, length);
}

static struct xenstore_node nodes[] = {
    {.path = FOLDER "name", .told = told}, {.path = FOLDER "ip", .told = told},
    {.path = FOLDER "gw", .told = told},   {.path = FOLDER "ip6", .told = told},
    {.path = FOLDER "gw6", .told = told},  {.path = FOLDER "mac", .told = told},
};

static void ask(void)
{
    for (size_t i = 0; i < sizeof nodes / sizeof nodes[0]; i++)
        if (!guest_config_has(target, nodes[i].path + strlen(FOLDER))) {
            expected++;
            xenstore_read(&nodes[i]);
        }
}

const char *store_config_get(struct guest_config *config)
{
    target = config;
    ask();
    const uint64_t patience = clock_now() + PORT_PATIENCE;
    while (expected > 0 && (xenstore_offered() || clock_now() < patience)) {
        if (platform->poll())
            continue;
        clock_wake_at(clock_now() + (xenstore_offered() ? TURN : PORT_PATIENCE));
        irq_wait();
    }
    return fault;
}
