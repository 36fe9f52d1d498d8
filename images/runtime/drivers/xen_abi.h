/* The interface between Xen and its guests, as far as it is used here (xen/include/public:
 * xen.h, memory.h, sched.h, event_channel.h, grant_table.h, hvm/hvm_op.h, hvm/params.h).
 * Addresses and frame numbers have 64 bits in all of it, on 32-bit ARM as well. */
#ifndef XEN_ABI_H
#define XEN_ABI_H

#include <stdint.h>

#define XEN_MEMORY_OP 12
#define XEN_GRANT_TABLE_OP 20
#define XEN_SCHED_OP 29
#define XEN_EVENT_CHANNEL_OP 32
#define XEN_HVM_OP 34

#define XEN_SELF 0x7ff0 /* the domain that calls */

/* --- memory.h -------------------------------------------------------------- */
#define XENMEM_ADD_TO_PHYSMAP 7
#define XENMAPSPACE_SHARED_INFO 0
#define XENMAPSPACE_GRANT_TABLE 1

struct xen_add_to_physmap {
    uint16_t domain;
    uint16_t size;
    uint32_t space;
    uint64_t index;
    uint64_t frame;
};

/* --- hvm/hvm_op.h, hvm/params.h -------------------------------------------- */
#define HVMOP_GET_PARAM 1
#define HVM_PARAM_STORE_FRAME 1
#define HVM_PARAM_STORE_PORT 2
#define HVM_PARAM_CONSOLE_FRAME 17
#define HVM_PARAM_CONSOLE_PORT 18

struct xen_hvm_param {
    uint16_t domain;
    uint16_t padding;
    uint32_t index;
    uint64_t value;
};

/* --- sched.h --------------------------------------------------------------- */
#define SCHEDOP_SHUTDOWN 2
#define SCHEDOP_POLL 3
#define SHUTDOWN_POWEROFF 0
#define SHUTDOWN_CRASH 3

struct xen_sched_shutdown {
    uint32_t reason;
};

struct xen_sched_poll {
    uint64_t ports; /* address of an array of uint32_t */
    uint32_t count;
    uint64_t timeout; /* system time in ns; 0: none */
};

/* --- event_channel.h -------------------------------------------------------- */
#define EVTCHNOP_SEND 4
#define EVTCHNOP_ALLOC_UNBOUND 6

struct xen_evtchn_send {
    uint32_t port;
};

struct xen_evtchn_alloc_unbound {
    uint16_t domain;
    uint16_t remote;
    uint32_t port;
};

/* --- xen.h: the page that Xen and the domain share -------------------------- */
struct xen_time_info {
    uint32_t version; /* odd while Xen writes */
    uint32_t padding;
    uint64_t tsc;         /* at system_time */
    uint64_t system_time; /* ns since Xen's start */
    uint32_t multiplier;  /* ns per tick, 32 bits of fraction, once ticks are shifted by: */
    int8_t shift;
    uint8_t flags;
    uint8_t reserved[2];
};

struct xen_vcpu_info {
    uint8_t upcall_pending;
    uint8_t upcall_mask;
    uint64_t pending_words;
#ifdef __x86_64__
    uint64_t cr2, reserved;
#endif
    struct xen_time_info time;
};

#ifdef __x86_64__
#define XEN_SHARED_VCPUS 32
#else
#define XEN_SHARED_VCPUS 1
#endif
#define XEN_EVENT_WORDS 64 /* of 64 ports */

struct xen_shared_info {
    struct xen_vcpu_info vcpu[XEN_SHARED_VCPUS];
    uint64_t pending[XEN_EVENT_WORDS];
    uint64_t mask[XEN_EVENT_WORDS];
};

/* --- grant_table.h, version 1 ------------------------------------------------ */
#define GRANTS_RESERVED 8 /* the first of them are the console's and the store's */
#define GRANT_PERMIT_ACCESS 1
#define GRANT_READ_ONLY 4

struct xen_grant_entry {
    uint16_t flags;
    uint16_t domain;
    uint32_t frame;
};

#endif
