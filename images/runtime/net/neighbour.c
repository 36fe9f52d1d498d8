/* Learning the neighbour from a TCP SYN.
 *
 * The SYN that summoned this guest was sent before it existed, and so was the
 * client's ARP exchange: the answer would have to wait for an ARP round trip.
 * The SYN's own Ethernet source says where to send it.  That is believed only
 * while ARP knows nothing of that neighbour, and is worth no less than an ARP
 * reply, which anyone on the link could send as well. */
#include "neighbour.h"

#include "lwip/etharp.h"
#include "lwip/prot/ethernet.h"
#include "lwip/prot/iana.h"
#include "lwip/prot/ip.h"
#include "lwip/prot/ip4.h"
#include "lwip/prot/tcp.h"
#include "netif/ethernet.h"

#include <string.h>

/* The neighbour through which this source is reached: itself or the gateway. */
static bool next_hop(const struct netif *netif, const ip4_addr_t *source, ip4_addr_t *hop)
{
    if (ip4_addr_isany(source) || ip4_addr_ismulticast(source) || ip4_addr_isbroadcast(source, netif))
        return false;
    ip4_addr_copy(*hop, *source);
    if (!ip4_addr_netcmp(source, netif_ip4_addr(netif), netif_ip4_netmask(netif)))
        ip4_addr_copy(*hop, *netif_ip4_gw(netif));
    return !ip4_addr_isany(hop) && !ip4_addr_cmp(hop, netif_ip4_addr(netif));
}

/* Hands lwIP the ARP reply that the neighbour would have sent (RFC 826). */
static void believe(struct netif *netif, const ip4_addr_t *hop, const struct eth_addr *mac)
{
    struct pbuf *packet = pbuf_alloc(PBUF_RAW, SIZEOF_ETHARP_HDR, PBUF_RAM);

    if (packet == NULL)
        return;
    struct etharp_hdr *reply = packet->payload;
    reply->hwtype = PP_HTONS(LWIP_IANA_HWTYPE_ETHERNET);
    reply->proto = PP_HTONS(ETHTYPE_IP);
    reply->hwlen = ETH_HWADDR_LEN;
    reply->protolen = sizeof(ip4_addr_t);
    reply->opcode = PP_HTONS(ARP_REPLY);
    reply->shwaddr = *mac;
    memcpy(&reply->sipaddr, hop, sizeof(ip4_addr_t));
    memcpy(&reply->dhwaddr, netif->hwaddr, ETH_HWADDR_LEN);
    memcpy(&reply->dipaddr, netif_ip4_addr(netif), sizeof(ip4_addr_t));
    etharp_input(packet, netif); /* frees it */
}

void neighbour_learn(struct netif *netif, const struct pbuf *frame)
{
    const struct eth_hdr *ethernet = frame->payload;
    const struct ip_hdr *ip = (const void *)(ethernet + 1);
    struct eth_addr *known_mac;
    const ip4_addr_t *known_address;
    ip4_addr_t source, hop;

    if (frame->len < SIZEOF_ETH_HDR + IP_HLEN + TCP_HLEN || ethernet->type != PP_HTONS(ETHTYPE_IP) ||
        memcmp(&ethernet->dest, netif->hwaddr, ETH_HWADDR_LEN) != 0 || (ethernet->src.addr[0] & 1) != 0)
        return;
    if (IPH_V(ip) != 4 || IPH_HL(ip) != IP_HLEN / 4 || IPH_PROTO(ip) != IP_PROTO_TCP ||
        ip->dest.addr != netif_ip4_addr(netif)->addr)
        return;
    const struct tcp_hdr *tcp = (const void *)(ip + 1);
    if ((TCPH_FLAGS(tcp) & (TCP_SYN | TCP_ACK)) != TCP_SYN)
        return;
    ip4_addr_copy(source, ip->src);
    if (next_hop(netif, &source, &hop) && etharp_find_addr(netif, &hop, &known_mac, &known_address) < 0)
        believe(netif, &hop, &ethernet->src);
}
