/* A client of the XenStore: the store's own wire format (xen/include/public/io/xs_wire.h)
 * on the port org.jitsu.xenstore.
 *
 * What a guest has to do with the store are nodes: it reads some, follows some, and
 * writes some.  Each begins anew when the host's side of the port is opened: of what was
 * said before, either side may have lost any part.  So requests that were not answered
 * are made again, followed nodes are watched again, and written ones are written again.
 *
 * What the host says is bounded and checked; once it makes no sense, the client is deaf
 * until the port is opened again. */
#ifndef XENSTORE_H
#define XENSTORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct xenstore_node {
    /* Relative paths are below /local/domain/<own domid>/.  At most 255 characters. */
    const char *path;

    /* What the store has answered: the value of a node that was read, or NULL if there is
     * none to be had; of one that was written an empty text, or NULL if it was refused.
     * May be NULL. */
    void (*told)(struct xenstore_node *node, const char *value, size_t length);

    /* Owned by the client. */
    struct xenstore_node *next;
    const void *value; /* to write; NULL: to read */
    size_t value_length;
    bool added, followed, settled, due, watch_due;
    uint32_t request; /* its request that is under way; 0: none is */
};

/* Makes the port known; call before the drivers start. */
void xenstore_register(void);

/* Has the host such a port? */
bool xenstore_offered(void);

/* Asks for the value of a node, once. */
void xenstore_read(struct xenstore_node *node);

/* Asks for the value of a node, and again each time that it changes. */
void xenstore_follow(struct xenstore_node *node);

/* Writes a node.  The value stays the caller's, who keeps it: it is written again when
 * the port is opened again.  At most 512 bytes. */
void xenstore_write(struct xenstore_node *node, const void *value, size_t length);

/* Begins anew, as if the port had been opened: this guest is a copy, or slept. */
void xenstore_restart(void);

#endif
