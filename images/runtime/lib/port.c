#include "port.h"

#include <string.h>

static struct port *ports;

void port_register(struct port *port)
{
    port->next = ports;
    ports = port;
}

struct port *port_find(const char *name, size_t length)
{
    for (struct port *port = ports; port != NULL; port = port->next)
        if (strlen(port->name) == length && memcmp(port->name, name, length) == 0)
            return port;
    return NULL;
}

bool port_write(struct port *port, const void *data, size_t length)
{
    return port->host_open && port->send(port, data, length);
}
