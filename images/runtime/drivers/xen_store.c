/* The ring to the XenStore that each domain has (xen/include/public/io/xs_wire.h,
 * docs/misc/xenstore-ring.txt), as a carrier of the store's port. */
#include "xen_store.h"

#include <string.h>

#include "port.h"
#include "xen.h"
#include "xen_ring.h"

#define PORT_NAME "org.jitsu.xenstore"

struct store_page {
    uint8_t requests[1024];
    uint8_t responses[1024];
    uint32_t requests_consumed, requests_produced;
    uint32_t responses_consumed, responses_produced;
};

static struct byte_ring requests, responses;
static uint32_t event;
static struct port *port;

static bool send(struct port *of, const void *data, size_t length)
{
    (void)of;
    if (byte_ring_room(&requests) < length)
        return false;
    byte_ring_put(&requests, data, length);
    xen_event_send(event);
    return true;
}

void xen_store_start(void)
{
    struct store_page *page = (void *)(uintptr_t)(xen_parameter(HVM_PARAM_STORE_FRAME) * XEN_PAGE);

    event = (uint32_t)xen_parameter(HVM_PARAM_STORE_PORT);
    port = port_find(PORT_NAME, strlen(PORT_NAME));
    if (page == NULL || event == 0 || port == NULL)
        return;
    requests = (struct byte_ring){.bytes = page->requests,
                                  .size = sizeof page->requests,
                                  .consumed = &page->requests_consumed,
                                  .produced = &page->requests_produced};
    responses = (struct byte_ring){.bytes = page->responses,
                                   .size = sizeof page->responses,
                                   .consumed = &page->responses_consumed,
                                   .produced = &page->responses_produced};
    xen_event_watch(event);
    port->carrier = &requests;
    port->send = send;
    port->host_open = true;
    if (port->opened != NULL)
        port->opened(port);
}

bool xen_store_poll(void)
{
    uint8_t said[sizeof((struct store_page *)0)->responses];

    if (port == NULL || !port->host_open)
        return false;
    const size_t length = byte_ring_take(&responses, said, sizeof said);
    if (length == 0)
        return false;
    xen_event_send(event); /* there is room again */
    if (port->received != NULL)
        port->received(port, said, length);
    return true;
}
