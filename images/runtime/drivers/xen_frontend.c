#include "xen_frontend.h"

#include <stddef.h>
#include <string.h>

#include "format.h"
#include "panic.h"

/* enum xenbus_state */
enum { INITIALISING = 1, INIT_WAIT, INITIALISED, CONNECTED, CLOSING, CLOSED };

#define DIGITS 18
#define STATE "/state"

#define OWNER(pointer, member) \
    ((struct xen_frontend *)((char *)(pointer)-offsetof(struct xen_frontend, member)))

bool xen_number(const char *text, size_t length, uint64_t *number)
{
    if (text == NULL || length == 0 || length > DIGITS)
        return false;
    *number = 0;
    for (size_t i = 0; i < length; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
        *number = *number * 10 + (uint64_t)(text[i] - '0');
    }
    return true;
}

void xen_frontend_say_text(struct xen_frontend *frontend, const char *key, const char *value)
{
    unsigned int i = 0;
    char path[XEN_FRONTEND_PATH];

    format(path, sizeof path, "%s/%s", frontend->folder, key);
    while (i < frontend->key_count && strncmp(frontend->keys[i].path, path, sizeof path) != 0)
        i++;
    if (i == XEN_FRONTEND_KEYS)
        panic("%s: more than %u keys", frontend->folder, XEN_FRONTEND_KEYS);
    if (i == frontend->key_count)
        frontend->key_count++;
    memcpy(frontend->keys[i].path, path, sizeof path);
    frontend->keys[i].node.path = frontend->keys[i].path;
    const size_t length = format(frontend->keys[i].value, XEN_FRONTEND_VALUE, "%s", value);
    xenstore_write(&frontend->keys[i].node, frontend->keys[i].value, length);
}

void xen_frontend_say(struct xen_frontend *frontend, const char *key, uint32_t value)
{
    char text[XEN_FRONTEND_VALUE];

    format(text, sizeof text, "%u", value);
    xen_frontend_say_text(frontend, key, text);
}

void xen_frontend_ask(struct xen_frontend *frontend, struct xen_backend_key *key, const char *name,
                      void (*told)(struct xenstore_node *node, const char *value, size_t length))
{
    const size_t folder = strlen(frontend->backend_state_path) - strlen(STATE);

    memcpy(key->path, frontend->backend_state_path, folder);
    format(key->path + folder, sizeof key->path - folder, "/%s", name);
    key->node = (struct xenstore_node){.path = key->path, .told = told};
    xenstore_read(&key->node);
}

static void end(struct xen_frontend *frontend)
{
    if (frontend->state == XEN_GONE)
        return;
    frontend->state = XEN_GONE;
    xen_frontend_say(frontend, "state", CLOSED);
}

static void check_connected(struct xen_frontend *frontend)
{
    if (frontend->state != XEN_OFFERED || !frontend->backend_connected)
        return;
    frontend->state = XEN_CONNECTED;
    if (frontend->connected != NULL)
        frontend->connected(frontend);
}

void xen_frontend_offered(struct xen_frontend *frontend)
{
    if (frontend->state != XEN_OFFERING)
        return;
    frontend->state = XEN_OFFERED;
    xen_frontend_say(frontend, "state", CONNECTED);
    check_connected(frontend);
}

/* The store takes requests in their order: whoever hears of the state finds all the keys. */
static void backend_state_told(struct xenstore_node *node, const char *value, size_t length)
{
    struct xen_frontend *frontend = OWNER(node, backend_state_node);
    uint64_t state;

    if (!xen_number(value, length, &state))
        return; /* the backend has not said anything yet */
    if (state == CLOSING || state == CLOSED) {
        if (frontend->state != XEN_WAITING)
            end(frontend);
        return;
    }
    frontend->backend_connected = state == CONNECTED;
    if (frontend->state == XEN_WAITING && state >= INIT_WAIT) {
        frontend->state = XEN_OFFERING;
        frontend->offer(frontend);
    } else {
        check_connected(frontend);
    }
}

/* Both of these are known before the backend's state is asked for. */
static void follow_backend(struct xen_frontend *frontend)
{
    if (frontend->backend_id_known && frontend->backend_state_path[0] != '\0')
        xenstore_follow(&frontend->backend_state_node);
}

static void backend_told(struct xenstore_node *node, const char *value, size_t length)
{
    struct xen_frontend *frontend = OWNER(node, backend_node);

    if (value == NULL || length + XEN_FRONTEND_PATH > sizeof frontend->backend_state_path) {
        frontend->state = XEN_GONE;
        return;
    }
    memcpy(frontend->backend_state_path, value, length);
    memcpy(frontend->backend_state_path + length, STATE, sizeof STATE);
    follow_backend(frontend);
}

static void backend_id_told(struct xenstore_node *node, const char *value, size_t length)
{
    struct xen_frontend *frontend = OWNER(node, backend_id_node);
    uint64_t id;

    if (!xen_number(value, length, &id)) {
        frontend->state = XEN_GONE;
        return;
    }
    frontend->backend = (uint16_t)id;
    frontend->backend_id_known = true;
    follow_backend(frontend);
}

void xen_frontend_start(struct xen_frontend *frontend)
{
    format(frontend->backend_path, sizeof frontend->backend_path, "%s/backend", frontend->folder);
    format(frontend->backend_id_path, sizeof frontend->backend_id_path, "%s/backend-id", frontend->folder);
    frontend->backend_node = (struct xenstore_node){.path = frontend->backend_path, .told = backend_told};
    frontend->backend_id_node = (struct xenstore_node){.path = frontend->backend_id_path, .told = backend_id_told};
    frontend->backend_state_node =
        (struct xenstore_node){.path = frontend->backend_state_path, .told = backend_state_told};
    xenstore_read(&frontend->backend_node);
    xenstore_read(&frontend->backend_id_node);
}
