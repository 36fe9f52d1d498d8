/* The frontend's half of the handshake by which a device of Xen's is connected
 * (xen/include/public/io/xenbus.h): both sides have a folder in the store, tell there what
 * the other has to know, and follow each other's state. */
#ifndef XEN_FRONTEND_H
#define XEN_FRONTEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "xenstore.h"

#define XEN_FRONTEND_KEYS 8
#define XEN_FRONTEND_PATH 64
#define XEN_FRONTEND_VALUE 12
#define XEN_BACKEND_PATH 256

struct xen_frontend {
    const char *folder; /* such as "device/vif/0", with no slash at its end */

    /* The backend waits: time to ask for its keys, if need be, to make the rings, to say each key
     * of ours, and to end that with xen_frontend_offered(), now or later. */
    void (*offer)(struct xen_frontend *frontend);

    /* The backend serves, and what it says of itself can be asked for.  May be NULL. */
    void (*connected)(struct xen_frontend *frontend);

    uint16_t backend; /* its domain */

    /* WAITING for the backend; OFFERING what the driver has to say; OFFERED; CONNECTED; or GONE:
     * there is no such device, or not any more. */
    enum { XEN_WAITING, XEN_OFFERING, XEN_OFFERED, XEN_CONNECTED, XEN_GONE } state;

    /* Owned by the frontend. */
    struct xenstore_node backend_node, backend_id_node, backend_state_node;
    char backend_path[XEN_FRONTEND_PATH], backend_id_path[XEN_FRONTEND_PATH], backend_state_path[XEN_BACKEND_PATH];
    bool backend_id_known, backend_connected;
    struct {
        struct xenstore_node node;
        char path[XEN_FRONTEND_PATH];
        char value[XEN_FRONTEND_VALUE];
    } keys[XEN_FRONTEND_KEYS];
    unsigned int key_count;
};

/* Looks for the device and begins the handshake. */
void xen_frontend_start(struct xen_frontend *frontend);

/* Says a key in the frontend's folder; for offer(). */
void xen_frontend_say(struct xen_frontend *frontend, const char *key, uint32_t value);

/* The same for a short text. */
void xen_frontend_say_text(struct xen_frontend *frontend, const char *key, const char *value);

/* All keys are said. */
void xen_frontend_offered(struct xen_frontend *frontend);

/* A key in the backend's folder; its memory is the caller's, who keeps it. */
struct xen_backend_key {
    struct xenstore_node node;
    char path[XEN_BACKEND_PATH];
};

/* Asks for a key in the backend's folder, once; told() as in xenstore.h.  For offer() and
 * connected(). */
void xen_frontend_ask(struct xen_frontend *frontend, struct xen_backend_key *key, const char *name,
                      void (*told)(struct xenstore_node *node, const char *value, size_t length));

/* Is this a decimal number of at most 18 digits?  Then it is this one. */
bool xen_number(const char *text, size_t length, uint64_t *number);

#endif
