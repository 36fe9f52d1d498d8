/* The frontend's half of the handshake by which a device of Xen's is connected
 * (xen/include/public/io/xenbus.h): both sides have a folder in the store, tell there what
 * the other has to know, and follow each other's state. */
#ifndef XEN_FRONTEND_H
#define XEN_FRONTEND_H

#include <stdbool.h>
#include <stdint.h>

#include "xenstore.h"

#define XEN_FRONTEND_KEYS 8
#define XEN_FRONTEND_PATH 64
#define XEN_FRONTEND_VALUE 12

struct xen_frontend {
    const char *folder; /* such as "device/vif/0", with no slash at its end */

    /* The backend waits: time to make the rings and to say each of the keys. */
    void (*offer)(struct xen_frontend *frontend);

    uint16_t backend; /* its domain */

    /* WAITING for the backend; OFFERED what the driver has said; CONNECTED; or GONE: there is
     * no such device, or not any more. */
    enum { XEN_WAITING, XEN_OFFERED, XEN_CONNECTED, XEN_GONE } state;

    /* Owned by the frontend. */
    struct xenstore_node backend_node, backend_id_node, backend_state_node;
    char backend_path[XEN_FRONTEND_PATH], backend_id_path[XEN_FRONTEND_PATH], backend_state_path[256];
    bool backend_id_known;
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

#endif
