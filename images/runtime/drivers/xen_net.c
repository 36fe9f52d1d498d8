/* The frontend of Xen's network device (xen/include/public/io/netif.h): one queue,
 * every frame in one page; checksums of arriving frames are left to the host.  The backend copies frames into pages that it was
 * granted, and the same pages serve as long as the guest lives. */
#include "xen_net.h"

#include <string.h>

#include "guest_config.h"
#include "heap.h"
#include "netdev.h"
#include "panic.h"
#include "xen.h"
#include "xen_frontend.h"
#include "xen_ring.h"

#define BUFFERS 64 /* each way; at most as many as a ring has entries */
#define SEND_SIZE 2048
_Static_assert(NETDEV_FRAME_MAX <= SEND_SIZE, "a frame fits its buffer");
#define SEND_PER_PAGE (XEN_PAGE / SEND_SIZE)

struct send_request {
    uint32_t grant;
    uint16_t offset;
    uint16_t flags;
    uint16_t id;
    uint16_t size;
};

struct send_response {
    uint16_t id;
    int16_t status;
};

struct receive_request {
    uint16_t id;
    uint16_t padding;
    uint32_t grant;
};

struct receive_response {
    uint16_t id;
    uint16_t offset;
    uint16_t flags;
    int16_t status; /* bytes, or below 0 an error */
};

/* The backend has looked at the checksum, or there is none: the frame has never been on a wire. */
#define RECEIVE_VALIDATED 1
#define RECEIVE_BLANK 2
/* The frame goes on in the next entry, or the next entry is no frame: neither was agreed to. */
#define RECEIVE_MORE 4
#define RECEIVE_EXTRA 8

static struct {
    struct netdev netdev;
    struct xen_frontend frontend;
    struct xenstore_node mac_node;
    struct xen_backend_key split;
    bool mac_told;
    uint32_t send_event, receive_event;
    struct request_ring send, receive;
    uint8_t *send_pages, *receive_pages;
    uint32_t send_grants[BUFFERS / SEND_PER_PAGE], receive_grants[BUFFERS];
    uint16_t idle[BUFFERS]; /* send buffers that the backend does not have */
    unsigned int idle_count;
} net;

static uint8_t *send_buffer(uint16_t id)
{
    return net.send_pages + (size_t)id * SEND_SIZE;
}

static void *transmit_buffer(struct netdev *netdev)
{
    const struct send_response *response;

    (void)netdev;
    if (net.frontend.state == XEN_GONE)
        return NULL;
    /* Sent buffers are collected when the next one is wanted, so there is no need for an
     * event to tell of them. */
    while ((response = request_ring_response(&net.send)) != NULL) {
        if (response->id >= BUFFERS || net.idle_count == BUFFERS)
            panic("netfront: the backend returned send buffer %u", response->id);
        net.idle[net.idle_count++] = response->id;
    }
    return net.idle_count == 0 ? NULL : send_buffer(net.idle[net.idle_count - 1]);
}

static void transmit(struct netdev *netdev, size_t length)
{
    (void)netdev;
    const uint16_t id = net.idle[--net.idle_count];
    struct send_request *request = request_ring_next(&net.send);

    *request = (struct send_request){.grant = net.send_grants[id / SEND_PER_PAGE],
                                     .offset = (uint16_t)(id % SEND_PER_PAGE * SEND_SIZE),
                                     .id = id,
                                     .size = (uint16_t)length};
    if (request_ring_show(&net.send))
        xen_event_send(net.send_event);
}

static void offer_buffer(uint16_t id)
{
    struct receive_request *request = request_ring_next(&net.receive);

    *request = (struct receive_request){.id = id, .grant = net.receive_grants[id]};
}

static bool poll(struct netdev *netdev, netdev_receive receive)
{
    unsigned int count = 0;

    (void)netdev;
    /* At most one ring's worth: a flood must not starve the timers. */
    while (count < BUFFERS) {
        const struct receive_response *place = request_ring_response(&net.receive);
        if (place == NULL)
            break;
        const struct receive_response response = *place;
        if (response.id >= BUFFERS)
            panic("netfront: the backend returned receive buffer %u", response.id);
        if (response.status > 0 && response.offset + response.status <= XEN_PAGE &&
            (response.flags & (RECEIVE_MORE | RECEIVE_EXTRA)) == 0)
            receive(net.receive_pages + (size_t)response.id * XEN_PAGE + response.offset, (size_t)response.status,
                    (response.flags & (RECEIVE_VALIDATED | RECEIVE_BLANK)) != 0);
        offer_buffer(response.id);
        count++;
    }
    if (count > 0 && request_ring_show(&net.receive))
        xen_event_send(net.receive_event);
    return request_ring_expect(&net.receive) || count > 0;
}

static uint32_t grant_ring(const struct xen_frontend *frontend, struct request_ring *ring, uint32_t entry_size)
{
    void *page = heap_take_pages(1);

    if (page == NULL)
        panic("netfront: no memory for a ring");
    request_ring_start(ring, page, entry_size);
    return xen_grant(frontend->backend, page, false);
}

/* Events each way of a ring of its own, where the backend knows of that.  Linux's netback, when
 * it binds to one channel for both, may lose the end of the first event, and hears no other: its
 * thread is quicker than the line that tells it which interrupt that was.  For sending alone it
 * has no such thread.  The channel for sending is not watched (transmit_buffer()). */
static void open_events(struct xen_frontend *frontend, bool split)
{
    net.receive_event = net.send_event = xen_event_open(frontend->backend);
    xen_event_watch(net.receive_event);
    if (!split) {
        xen_frontend_say(frontend, "event-channel", net.receive_event);
        return;
    }
    net.send_event = xen_event_open(frontend->backend);
    xen_frontend_say(frontend, "event-channel-tx", net.send_event);
    xen_frontend_say(frontend, "event-channel-rx", net.receive_event);
}

static void split_told(struct xenstore_node *node, const char *value, size_t length)
{
    struct xen_frontend *frontend = &net.frontend;
    uint64_t split = 0;

    (void)node;
    (void)xen_number(value, length, &split);
    const uint32_t send_ring = grant_ring(frontend, &net.send, sizeof(struct send_request));
    const uint32_t receive_ring = grant_ring(frontend, &net.receive, sizeof(struct receive_request));

    net.send_pages = heap_take_pages(BUFFERS / SEND_PER_PAGE);
    net.receive_pages = heap_take_pages(BUFFERS);
    if (net.send_pages == NULL || net.receive_pages == NULL)
        panic("netfront: no memory for %u buffers", BUFFERS);
    for (uint16_t id = 0; id < BUFFERS; id++) {
        if (id % SEND_PER_PAGE == 0)
            net.send_grants[id / SEND_PER_PAGE] = xen_grant(frontend->backend, send_buffer(id), true);
        net.idle[net.idle_count++] = id;
        net.receive_grants[id] = xen_grant(frontend->backend, net.receive_pages + (size_t)id * XEN_PAGE, false);
        offer_buffer(id);
    }
    request_ring_show(&net.receive);

    open_events(frontend, split != 0);
    xen_frontend_say(frontend, "tx-ring-ref", send_ring);
    xen_frontend_say(frontend, "rx-ring-ref", receive_ring);
    xen_frontend_say(frontend, "request-rx-copy", 1);
    xen_frontend_say(frontend, "feature-rx-notify", 1);
    /* Checksums may be missing, over IPv4 unless something else is said, and over IPv6: */
    xen_frontend_say(frontend, "feature-ipv6-csum-offload", 1);
    xen_frontend_offered(frontend);

    net.netdev.transmit_buffer = transmit_buffer;
    net.netdev.transmit = transmit;
    net.netdev.poll = poll;
    netdev_register(&net.netdev);
}

static void offer(struct xen_frontend *frontend)
{
    xen_frontend_ask(frontend, &net.split, "feature-split-event-channels", split_told);
}

static void mac_told(struct xenstore_node *node, const char *value, size_t length)
{
    struct guest_config told = {0};
    const char *fault = value == NULL ? NULL : guest_config_set(&told, "mac", strlen("mac"), value, length);

    if (fault != NULL)
        panic("%s: %s", node->path, fault);
    net.mac_told = true;
    memcpy(net.netdev.mac, told.mac, sizeof net.netdev.mac);
}

void xen_net_start(void)
{
    net.frontend = (struct xen_frontend){.folder = "device/vif/0", .offer = offer};
    net.mac_node = (struct xenstore_node){.path = "device/vif/0/mac", .told = mac_told};
    xen_frontend_start(&net.frontend);
    xenstore_read(&net.mac_node);
}

bool xen_net_settled(void)
{
    return net.mac_told && net.frontend.state > XEN_OFFERING;
}
