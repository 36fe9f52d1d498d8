/* The console that Xen's toolstack gives each domain (xen/include/public/io/console.h).
 * What the host types is ignored. */
#include "xen_console.h"

#include "clock.h"
#include "irq.h"
#include "xen.h"
#include "xen_ring.h"

/* One whose other end has stopped reading must not stop the guest: it waits once for so
 * long, and until there is room again bytes are lost. */
#define PATIENCE (1000 * CLOCK_MS)

struct console_page {
    uint8_t in[1024];
    uint8_t out[2048];
    uint32_t in_consumed, in_produced;
    uint32_t out_consumed, out_produced;
};

static struct byte_ring out;
static uint32_t port;
static bool waited;

void xen_console_start(void)
{
    struct console_page *page = (void *)(uintptr_t)(xen_parameter(HVM_PARAM_CONSOLE_FRAME) * XEN_PAGE);

    port = (uint32_t)xen_parameter(HVM_PARAM_CONSOLE_PORT);
    if (page == NULL || port == 0)
        return;
    out = (struct byte_ring){
        .bytes = page->out, .size = sizeof page->out, .consumed = &page->out_consumed, .produced = &page->out_produced};
    xen_event_watch(port);
}

/* Waits until there is so much room; false if nobody reads. */
static bool wait_for_room(uint32_t room)
{
    static bool deaf;
    const uint64_t end = clock_now() + PATIENCE;

    while (byte_ring_room(&out) < room && !deaf) {
        deaf = clock_now() >= end;
        clock_wake_at(end);
        irq_wait();
        waited = true;
    }
    deaf = deaf && byte_ring_room(&out) < room;
    return !deaf;
}

void xen_console_write(const char *text, size_t length)
{
    if (out.bytes == NULL)
        return;
    while (length > 0 && wait_for_room(1)) {
        const size_t part = byte_ring_put(&out, text, length);

        xen_event_send(port);
        text += part;
        length -= part;
    }
}

bool xen_console_waited(void)
{
    const bool was = waited;

    waited = false;
    return was;
}

void xen_console_flush(void)
{
    if (out.bytes != NULL)
        wait_for_room(out.size);
}
