/* lwIP as a small server: IPv4, IPv6, ICMP, UDP and TCP over one Ethernet interface,
 * called from the main loop only.  Values are bounds for a guest of 8 MiB. */
#ifndef LWIPOPTS_H
#define LWIPOPTS_H

/* --- system -------------------------------------------------------------- */
#define NO_SYS 1
#define SYS_LIGHTWEIGHT_PROT 0 /* interrupts never enter lwIP */
#define LWIP_NETCONN 0
#define LWIP_SOCKET 0
#define LWIP_STATS 0
#define LWIP_HOOK_FILENAME "lwip_hooks.h"

/* --- protocols ----------------------------------------------------------- */
#define LWIP_ARP 1
#define LWIP_ICMP 1
#define LWIP_RAW 0
#define LWIP_UDP 1
#define LWIP_TCP 1
#define IP_FORWARD 0
#define IP_REASSEMBLY 0 /* TCP never needs it, and it is memory for strangers */
#define IP_FRAG 0
#define LWIP_NETIF_LOOPBACK 0
#define LWIP_HAVE_LOOPIF 0

/* --- memory -------------------------------------------------------------- */
#define MEM_ALIGNMENT 8
#define MEM_LIBC_MALLOC 1 /* the runtime's heap */
#define mem_clib_malloc heap_allocate
#define mem_clib_calloc heap_allocate_zeroed
#define mem_clib_free heap_free
/* The pools need no zeros, so they stay out of the loaded image.  lwIP writes to
 * each element at the start: small pools are a quick start. */
#define LWIP_DECLARE_MEMORY_ALIGNED(name, size) \
    u8_t name[size] NOINIT __attribute__((aligned(MEM_ALIGNMENT)))
#define PBUF_POOL_SIZE 64 /* arrived frames; all are used up or copied at once, but out-of-order segments */
#define PBUF_POOL_BUFSIZE 1528 /* a whole frame, so that a packet is one pbuf */

/* --- ARP ----------------------------------------------------------------- */
/* Several answers may have to wait while a neighbour is being resolved: the
 * connections that were held back during the boot all arrive at once. */
#define ARP_QUEUEING 1
#define ARP_QUEUE_LEN 16
#define MEMP_NUM_ARP_QUEUE 64
#define ARP_TABLE_SIZE 64
#define ETHARP_SUPPORT_STATIC_ENTRIES 0

/* --- IPv6 ---------------------------------------------------------------- */
#define LWIP_IPV6 1
#define LWIP_IPV6_NUM_ADDRESSES 2 /* link-local, and the one that we are told */
#define LWIP_IPV6_SCOPES 0        /* there is one interface */
/* The host gives the address, and answers for it while we are not there: it is
 * ours from the beginning, and nobody else is asked. */
#define LWIP_IPV6_DUP_DETECT_ATTEMPTS 0
#define LWIP_IPV6_AUTOCONFIG 0
#define LWIP_IPV6_SEND_ROUTER_SOLICIT 0
#define LWIP_IPV6_MLD 0 /* our port of the bridge gets all multicast */
#define LWIP_IPV6_FRAG 0
#define LWIP_IPV6_REASS 0
#define LWIP_ND6_ALLOW_RA_UPDATES 0
#define LWIP_ND6_NUM_PREFIXES 1
#define LWIP_ND6_NUM_ROUTERS 1
#define LWIP_ND6_NUM_NEIGHBORS 64
#define LWIP_ND6_NUM_DESTINATIONS 64
#define LWIP_ND6_QUEUEING 1
#define MEMP_NUM_ND6_QUEUE 64 /* as for ARP */
#define LWIP_HOOK_ND6_GET_GW ipv6_gateway

/* --- TCP ----------------------------------------------------------------- */
#define TCP_MSS 1460
#define TCP_WND (8 * TCP_MSS)
#define TCP_SND_BUF (12 * TCP_MSS)
#define TCP_SND_QUEUELEN 48
#define MEMP_NUM_TCP_SEG 1024
#define MEMP_NUM_TCP_PCB 160 /* open connections, half-open ones and those in TIME-WAIT */
#define MEMP_NUM_TCP_PCB_LISTEN 4
#define TCP_LISTEN_BACKLOG 1
#define TCP_DEFAULT_LISTEN_BACKLOG 64
#define TCP_MSL 2000 /* ms: TIME-WAIT lasts 4 s; a shortage of PCBs ends it sooner */
#define TCP_QUEUE_OOSEQ 1
#define TCP_OOSEQ_MAX_PBUFS 4
#define LWIP_TCP_KEEPALIVE 0
#define LWIP_HOOK_TCP_ISN isn_choose
#define MEMP_NUM_SYS_TIMEOUT (LWIP_NUM_SYS_TIMEOUT_INTERNAL + 128)

/* --- UDP ----------------------------------------------------------------- */
#define MEMP_NUM_UDP_PCB 2
#define LWIP_UDPLITE 0

/* --- checksums: made and verified in software, unless the host vouches for them ---- */
#define LWIP_CHECKSUM_CTRL_PER_NETIF 1
#define CHECKSUM_GEN_IP 1
#define CHECKSUM_GEN_TCP 1
#define CHECKSUM_GEN_UDP 1
#define CHECKSUM_GEN_ICMP 1
#define CHECKSUM_GEN_ICMP6 1
#define CHECKSUM_CHECK_IP 1
#define CHECKSUM_CHECK_TCP 1
#define CHECKSUM_CHECK_UDP 1
#define CHECKSUM_CHECK_ICMP 1
#define CHECKSUM_CHECK_ICMP6 1
#define LWIP_CHKSUM_ALGORITHM 3 /* in 32-bit steps */

#endif
