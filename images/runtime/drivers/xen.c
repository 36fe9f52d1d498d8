/* The domain's own side of Xen. */
#include "xen.h"

#include "memory.h"
#include "panic.h"

#define WATCHED_MAX 4
#define GRANTS (XEN_PAGE / sizeof(struct xen_grant_entry)) /* one frame of them is enough */

/* Xen's frames replace these pages.  No loader has put anything there (boot/). */
struct xen_shared_info xen_shared NOINIT __attribute__((aligned(XEN_PAGE)));
static struct xen_grant_entry grants[GRANTS] NOINIT __attribute__((aligned(XEN_PAGE)));
_Static_assert(sizeof xen_shared <= XEN_PAGE, "the shared structure has one page");

static uint32_t watched[WATCHED_MAX];
static uint32_t watched_count;
static uint32_t grant_count;

void xen_map(uint32_t space, uint64_t index, void *page)
{
    struct xen_add_to_physmap map = {
        .domain = XEN_SELF, .space = space, .index = index, .frame = (uintptr_t)page / XEN_PAGE};
    const long result = xen_hypercall(XEN_MEMORY_OP, XENMEM_ADD_TO_PHYSMAP, &map, 0);

    if (result != 0)
        panic("Xen does not map frame %lu of space %u: error %ld", (unsigned long)index, space, -result);
}

uint64_t xen_parameter(uint32_t index)
{
    struct xen_hvm_param param = {.domain = XEN_SELF, .index = index};

    return xen_hypercall(XEN_HVM_OP, HVMOP_GET_PARAM, &param, 0) == 0 ? param.value : 0;
}

void xen_shutdown(uint32_t reason)
{
    struct xen_sched_shutdown shutdown = {.reason = reason};

    for (;;)
        xen_hypercall(XEN_SCHED_OP, SCHEDOP_SHUTDOWN, &shutdown, 0);
}

void xen_start(void)
{
    xen_map(XENMAPSPACE_SHARED_INFO, 0, &xen_shared);
    for (unsigned int i = 0; i < XEN_EVENT_WORDS; i++)
        xen_shared.mask[i] = UINT64_MAX;
}

uint32_t xen_event_open(uint16_t remote)
{
    struct xen_evtchn_alloc_unbound open = {.domain = XEN_SELF, .remote = remote};
    const long result = xen_hypercall(XEN_EVENT_CHANNEL_OP, EVTCHNOP_ALLOC_UNBOUND, &open, 0);

    if (result != 0)
        panic("Xen gives no event channel: error %ld", -result);
    return open.port;
}

void xen_event_watch(uint32_t port)
{
    if (watched_count == WATCHED_MAX)
        panic("event channel %u is one too many", port);
    watched[watched_count++] = port;
    __atomic_fetch_and(&xen_shared.mask[port / 64], ~(1ULL << port % 64), __ATOMIC_SEQ_CST);
    /* One that was pending while masked raised nothing, and none behind it would. */
    __atomic_fetch_and(&xen_shared.pending[port / 64], ~(1ULL << port % 64), __ATOMIC_SEQ_CST);
}

void xen_event_send(uint32_t port)
{
    struct xen_evtchn_send send = {.port = port};

    xen_hypercall(XEN_EVENT_CHANNEL_OP, EVTCHNOP_SEND, &send, 0);
}

/* Cleared from above, as Xen sets them: what comes meanwhile is told again. */
void xen_event_take(void *context)
{
    (void)context;
    __atomic_store_n(&xen_shared.vcpu[0].upcall_pending, 0, __ATOMIC_SEQ_CST);
    __atomic_exchange_n(&xen_shared.vcpu[0].pending_words, 0, __ATOMIC_SEQ_CST);
    for (uint32_t i = 0; i < watched_count; i++)
        __atomic_fetch_and(&xen_shared.pending[watched[i] / 64], ~(1ULL << watched[i] % 64), __ATOMIC_SEQ_CST);
}

void xen_event_wait(uint64_t until)
{
    struct xen_sched_poll poll = {.ports = (uintptr_t)watched, .count = watched_count, .timeout = until};

    xen_hypercall(XEN_SCHED_OP, SCHEDOP_POLL, &poll, 0);
    xen_event_take(NULL);
}

uint32_t xen_grant(uint16_t domain, const void *page, bool read_only)
{
    if (grant_count == 0) {
        xen_map(XENMAPSPACE_GRANT_TABLE, 0, grants);
        grant_count = GRANTS_RESERVED;
    }
    if (grant_count == GRANTS)
        panic("there are no more than %zu grants", GRANTS);
    grants[grant_count].domain = domain;
    grants[grant_count].frame = (uint32_t)((uintptr_t)page / XEN_PAGE);
    __atomic_store_n(&grants[grant_count].flags, (uint16_t)(GRANT_PERMIT_ACCESS | (read_only ? GRANT_READ_ONLY : 0)),
                     __ATOMIC_RELEASE);
    return grant_count++;
}
