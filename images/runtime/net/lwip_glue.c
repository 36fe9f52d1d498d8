/* lwIP between the network device and the main loop. */
#include "clock.h"
#include "isn.h"
#include "lwip/etharp.h"
#include "lwip/ethip6.h"
#include "lwip/init.h"
#include "lwip/netif.h"
#include "lwip/sys.h"
#include "lwip/timeouts.h"
#include "lwip_hooks.h"
#include "neighbour.h"
#include "netdev.h"
#include "network.h"
#include "panic.h"

#include <string.h>

#define CHECKS_IF_VOUCHED (NETIF_CHECKSUM_ENABLE_ALL & ~(NETIF_CHECKSUM_CHECK_TCP | NETIF_CHECKSUM_CHECK_UDP))

static struct netif interface;
static ip6_addr_t gateway6;

u32_t sys_now(void)
{
    return (u32_t)(clock_now() / CLOCK_MS);
}

/* Copies an outgoing packet, whose pbufs TCP keeps for a retransmission and may
 * free at any time, into the device's own buffer. */
static err_t send_frame(struct netif *netif, struct pbuf *packet)
{
    struct netdev *device = netif->state;

    if (packet->tot_len > NETDEV_FRAME_MAX)
        return ERR_BUF;
    void *buffer = device->transmit_buffer(device);
    if (buffer == NULL)
        return ERR_BUF;
    pbuf_copy_partial(packet, buffer, packet->tot_len, 0);
    device->transmit(device, packet->tot_len);
    return ERR_OK;
}

/* Copies an arrived frame, so that the device has its buffer back at once.  An
 * empty pool makes lwIP give up its out-of-order segments. */
static void receive_frame(const void *frame, size_t length, bool vouched)
{
    if (length > NETDEV_FRAME_MAX)
        return;
    struct pbuf *packet = pbuf_alloc(PBUF_RAW, (u16_t)length, PBUF_POOL);
    if (packet == NULL)
        return;
    pbuf_take(packet, frame, (u16_t)length);
    neighbour_learn(&interface, packet);
    NETIF_SET_CHECKSUM_CTRL(&interface, vouched ? CHECKS_IF_VOUCHED : NETIF_CHECKSUM_ENABLE_ALL);
    if (interface.input(packet, &interface) != ERR_OK)
        pbuf_free(packet);
}

static err_t interface_init(struct netif *netif)
{
    const struct netdev *device = netif->state;

    netif->name[0] = 'e';
    netif->name[1] = 'n';
    netif->mtu = NETDEV_FRAME_MAX - SIZEOF_ETH_HDR;
    netif->hwaddr_len = NETDEV_MAC_LENGTH;
    memcpy(netif->hwaddr, device->mac, NETDEV_MAC_LENGTH);
    netif->flags = NETIF_FLAG_BROADCAST | NETIF_FLAG_ETHARP | NETIF_FLAG_ETHERNET;
    netif->output = etharp_output;
    netif->output_ip6 = ethip6_output;
    netif->linkoutput = send_frame;
    return ERR_OK;
}

const ip6_addr_t *ipv6_gateway(struct netif *netif, const ip6_addr_t *destination)
{
    (void)netif;
    (void)destination;
    return ip6_addr_isany_val(gateway6) ? NULL : &gateway6;
}

/* Gives the interface its addresses of IPv6: both are valid at once. */
static void start_ipv6(const struct guest_config *config)
{
    ip6_addr_t address;

    netif_create_ip6_linklocal_address(&interface, 1);
    memcpy(address.addr, config->address6, sizeof address.addr);
    memcpy(gateway6.addr, config->gateway6, sizeof gateway6.addr);
    netif_ip6_addr_set(&interface, 1, &address);
    netif_ip6_addr_set_state(&interface, 1, IP6_ADDR_PREFERRED);
}

void network_start(const struct guest_config *config)
{
    struct netdev *device = netdev_get();
    const ip4_addr_t address = {config->address};
    const ip4_addr_t netmask = {config->netmask};
    const ip4_addr_t gateway = {config->gateway};

    if (device == NULL)
        panic("no network device");
    if (config->has_mac)
        memcpy(device->mac, config->mac, NETDEV_MAC_LENGTH);
    isn_init();
    lwip_init();
    if (netif_add(&interface, &address, &netmask, &gateway, device, interface_init, netif_input) == NULL)
        panic("lwIP refused the interface");
    netif_set_default(&interface);
    /* The link flag comes last and not by netif_set_link_up(): either order of
     * the two would make lwIP announce the interface now (network_announce). */
    netif_set_up(&interface);
    netif_set_flags(&interface, NETIF_FLAG_LINK_UP);
    if (config->has_address6)
        start_ipv6(config);
}

void network_announce(void)
{
    if (!ip4_addr_isany(netif_ip4_addr(&interface)))
        etharp_gratuitous(&interface);
}

void network_rekey(void)
{
    isn_init();
}

bool network_poll(void)
{
    struct netdev *device = interface.state;
    bool any = device->poll(device, receive_frame);

    sys_check_timeouts();
    return any;
}

uint64_t network_next_deadline(void)
{
    const u32_t sleep = sys_timeouts_sleeptime();

    return sleep == SYS_TIMEOUTS_SLEEPTIME_INFINITE ? CLOCK_NEVER : clock_now() + sleep * CLOCK_MS;
}
