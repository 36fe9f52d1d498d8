/* The frontend of Xen's block device (xen/include/public/io/blkif.h), for reading.  Its pages
 * are granted once and serve as long as the guest lives: a backend that keeps what it has
 * mapped (feature-persistent) maps each of them once. */
#include "xen_block.h"

#include <string.h>

#include "blockdev.h"
#include "console.h"
#include "heap.h"
#include "panic.h"
#include "xen.h"
#include "xen_frontend.h"
#include "xen_ring.h"

#define FOLDER "device/vbd/51712" /* xvda: major number 202, minor number 0 */

#define SEGMENTS 11 /* pages of one request, without indirect ones */
#define SLOTS 8     /* requests under way at the same time */
#define SECTORS_PER_PAGE (XEN_PAGE / BLOCKDEV_SECTOR)

#define OPERATION_READ 0
#define STATUS_OK 0

/* On x86 a backend takes who says nothing for a guest of 32 bits, whose entries are shorter. */
#ifdef __x86_64__
#define PROTOCOL "x86_64-abi"
#else
#define PROTOCOL "arm-abi"
#endif

/* The layout of both. */
struct request {
    uint8_t operation;
    uint8_t segment_count;
    uint16_t device;
    uint64_t id;
    uint64_t sector;
    struct {
        uint32_t grant;
        uint8_t first, last; /* sectors of the page */
    } segments[SEGMENTS];
};
_Static_assert(sizeof(struct request) == 112, "the entries of the ring are requests");

struct response {
    uint64_t id;
    uint8_t operation;
    int16_t status;
};

struct slot {
    uint8_t *pages;
    uint32_t grants[SEGMENTS];
    struct blockdev_read *read; /* under way, or being told; NULL: idle */
};

static struct {
    struct blockdev blockdev;
    struct xen_frontend frontend;
    struct xen_backend_key sector_size, sectors;
    bool settled;
    uint32_t event;
    struct request_ring ring;
    struct slot slots[SLOTS];
    struct blockdev_read *waiting, **waiting_end; /* those that there is no slot for */
} block;

static void put(unsigned int id)
{
    const struct slot *slot = &block.slots[id];
    struct request *request = request_ring_next(&block.ring);
    uint32_t left = slot->read->count;

    *request = (struct request){.operation = OPERATION_READ, .id = id, .sector = slot->read->sector};
    for (; left > 0; request->segment_count++) {
        const uint32_t part = left < SECTORS_PER_PAGE ? left : SECTORS_PER_PAGE;

        request->segments[request->segment_count].grant = slot->grants[request->segment_count];
        request->segments[request->segment_count].last = (uint8_t)(part - 1);
        left -= part;
    }
}

static struct blockdev_read *take_waiting(void)
{
    struct blockdev_read *read = block.waiting;

    block.waiting = read->next;
    if (block.waiting == NULL)
        block.waiting_end = &block.waiting;
    return read;
}

static void send_waiting(void)
{
    if (block.frontend.state == XEN_GONE)
        return;
    for (unsigned int id = 0; id < SLOTS && block.waiting != NULL; id++)
        if (block.slots[id].read == NULL) {
            block.slots[id].read = take_waiting();
            put(id);
        }
    if (request_ring_show(&block.ring))
        xen_event_send(block.event);
}

static void read(struct blockdev *device, struct blockdev_read *read)
{
    (void)device;
    read->next = NULL;
    *block.waiting_end = read;
    block.waiting_end = &read->next;
    send_waiting();
}

/* The slot is busy until its data was looked at. */
static void finish(struct slot *slot, bool fine)
{
    slot->read->done(slot->read, fine ? slot->pages : NULL);
    slot->read = NULL;
}

/* The backend has gone, with all that it was asked for. */
static bool fail_all(void)
{
    bool any = false;

    for (unsigned int id = 0; id < SLOTS; id++)
        if (block.slots[id].read != NULL) {
            finish(&block.slots[id], false);
            any = true;
        }
    while (block.waiting != NULL) {
        struct blockdev_read *read = take_waiting();

        read->done(read, NULL);
        any = true;
    }
    return any;
}

bool xen_block_poll(void)
{
    const struct response *place;
    bool any = false;

    if (block.ring.shared == NULL)
        return false;
    if (block.frontend.state == XEN_GONE)
        return fail_all();
    while ((place = request_ring_response(&block.ring)) != NULL) {
        const struct response response = *place;

        if (response.id >= SLOTS || block.slots[response.id].read == NULL)
            panic("blkfront: the backend answered request %lu", (unsigned long)response.id);
        finish(&block.slots[response.id], response.status == STATUS_OK);
        any = true;
    }
    send_waiting();
    return request_ring_expect(&block.ring) || any;
}

/* The size is told in units of the other key, which is known by then. */
static void sectors_told(struct xenstore_node *node, const char *value, size_t length)
{
    (void)node;
    block.settled = true;
    if (block.blockdev.most == 0)
        return;
    if (!xen_number(value, length, &block.blockdev.sectors))
        panic("blkfront: the backend does not say how large the disk is");
    block.blockdev.read = read;
    blockdev_register(&block.blockdev);
}

static void sector_size_told(struct xenstore_node *node, const char *value, size_t length)
{
    uint64_t size;

    (void)node;
    if (xen_number(value, length, &size) && size == BLOCKDEV_SECTOR)
        block.blockdev.most = SEGMENTS * SECTORS_PER_PAGE;
    else
        console_print("blkfront: a disk whose sectors do not have %u bytes is not used\n", BLOCKDEV_SECTOR);
}

static void connected(struct xen_frontend *frontend)
{
    xen_frontend_ask(frontend, &block.sector_size, "sector-size", sector_size_told);
    xen_frontend_ask(frontend, &block.sectors, "sectors", sectors_told);
}

static void offer(struct xen_frontend *frontend)
{
    uint8_t *page = heap_take_pages(1 + SLOTS * SEGMENTS);

    if (page == NULL)
        panic("blkfront: no memory for %u requests", SLOTS);
    block.waiting_end = &block.waiting;
    request_ring_start(&block.ring, page, sizeof(struct request));
    xen_frontend_say(frontend, "ring-ref", xen_grant(frontend->backend, page, false));
    for (unsigned int id = 0; id < SLOTS; id++)
        for (unsigned int i = 0; i < SEGMENTS; i++) {
            page += XEN_PAGE;
            if (i == 0)
                block.slots[id].pages = page;
            block.slots[id].grants[i] = xen_grant(frontend->backend, page, false);
        }
    block.event = xen_event_open(frontend->backend);
    xen_event_watch(block.event);
    xen_frontend_say(frontend, "event-channel", block.event);
    xen_frontend_say_text(frontend, "protocol", PROTOCOL);
    xen_frontend_say(frontend, "feature-persistent", 1);
    xen_frontend_offered(frontend);
}

void xen_block_start(void)
{
    block.frontend = (struct xen_frontend){.folder = FOLDER, .offer = offer, .connected = connected};
    xen_frontend_start(&block.frontend);
}

bool xen_block_settled(void)
{
    return block.settled || block.frontend.state == XEN_GONE;
}
