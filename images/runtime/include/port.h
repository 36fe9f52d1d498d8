/* The port interface: named byte streams between the guest and the host beside
 * the network (virtio-serial ports here; another platform may have another
 * carrier).  The guest names the ports it knows before the drivers start; one
 * that the host does not offer never opens. */
#ifndef PORT_H
#define PORT_H

#include <stdbool.h>
#include <stddef.h>

/* Bytes that go as one piece: a listener that comes while they are on their way hears all
 * of them or none, never the rest of a piece that began before it came. */
#define PORT_PIECE 1024

struct port {
    const char *name;

    /* The host side was opened; it may have been closed unnoticed.  Whatever was
     * said before is lost to the new listener. */
    void (*opened)(struct port *port);

    /* Bytes from the host.  May be NULL: they are then dropped. */
    void (*received)(struct port *port, const void *data, size_t length);

    /* Owned by the carrier. */
    bool host_open;
    bool (*send)(struct port *port, const void *data, size_t length);
    void *carrier;
    struct port *next;
};

/* Makes a port known by its name. */
void port_register(struct port *port);

/* For carriers: the port of this name (not NUL-terminated), or NULL. */
struct port *port_find(const char *name, size_t length);

/* Sends all of the data or nothing; false if the host side is closed or the
 * carrier has no room now. */
bool port_write(struct port *port, const void *data, size_t length);

#endif
