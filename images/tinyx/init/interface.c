/* The network interface, as network.h has it. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/ipv6.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <net/route.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "clock.h"
#include "irq.h"
#include "network.h"
#include "panic.h"
#include "platform.h"

#define INTERFACE "eth0"
#define PREFIX6 64
#define PATIENCE (10000 * CLOCK_MS) /* a frontend of Xen's is there once its backend is */
#define TURN (10 * CLOCK_MS)

/* The ioctl, or the end. */
static void ask(int file, unsigned long what, void *how, const char *in_words)
{
    if (ioctl(file, what, how) != 0)
        panic("%s: %s: %s", INTERFACE, in_words, strerror(errno));
}

static void set(const char *path, const char *value)
{
    const int file = open(path, O_WRONLY | O_CLOEXEC);

    if (file < 0 || write(file, value, strlen(value)) < 0)
        panic("cannot set %s: %s", path, strerror(errno));
    close(file);
}

static int open_socket(int family)
{
    const int file = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    if (file < 0)
        panic("cannot open a socket: %s", strerror(errno));
    return file;
}

static struct ifreq request(void)
{
    return (struct ifreq){.ifr_name = INTERFACE};
}

static struct sockaddr inet(uint32_t address)
{
    const struct sockaddr_in inet = {.sin_family = AF_INET, .sin_addr.s_addr = address};
    struct sockaddr generic;

    memcpy(&generic, &inet, sizeof generic);
    return generic;
}

static void set_address(int file, const struct guest_config *config)
{
    struct ifreq wanted = request();

    wanted.ifr_addr = inet(config->address);
    ask(file, SIOCSIFADDR, &wanted, "address");
    wanted.ifr_netmask = inet(config->netmask);
    ask(file, SIOCSIFNETMASK, &wanted, "netmask");
}

static void set_address6(int file, unsigned int index, const struct guest_config *config)
{
    struct in6_ifreq wanted = {.ifr6_prefixlen = PREFIX6, .ifr6_ifindex = (int)index};

    memcpy(&wanted.ifr6_addr, config->address6, sizeof config->address6);
    ask(file, SIOCSIFADDR, &wanted, "IPv6 address");
}

static void set_gateway(int file, const struct guest_config *config)
{
    struct rtentry route = {.rt_flags = RTF_UP | RTF_GATEWAY};

    route.rt_dst = inet(0);
    route.rt_genmask = inet(0);
    route.rt_gateway = inet(config->gateway);
    ask(file, SIOCADDRT, &route, "gateway");
}

static void set_gateway6(int file, unsigned int index, const struct guest_config *config)
{
    struct in6_rtmsg route = {.rtmsg_flags = RTF_UP | RTF_GATEWAY, .rtmsg_metric = 1, .rtmsg_ifindex = (int)index};

    memcpy(&route.rtmsg_gateway, config->gateway6, sizeof config->gateway6);
    ask(file, SIOCADDRT, &route, "IPv6 gateway");
}

static void set_mac(int file, const struct guest_config *config)
{
    struct ifreq wanted = request();

    wanted.ifr_hwaddr.sa_family = ARPHRD_ETHER;
    memcpy(wanted.ifr_hwaddr.sa_data, config->mac, sizeof config->mac);
    ask(file, SIOCSIFHWADDR, &wanted, "MAC address");
}

static void bring_up(int file, const char *name)
{
    struct ifreq wanted = request();

    strcpy(wanted.ifr_name, name);
    ask(file, SIOCGIFFLAGS, &wanted, "flags");
    wanted.ifr_flags |= IFF_UP;
    ask(file, SIOCSIFFLAGS, &wanted, "up");
}

static unsigned int await_interface(void)
{
    const uint64_t patience = clock_now() + PATIENCE;
    unsigned int index;

    while ((index = if_nametoindex(INTERFACE)) == 0) {
        if (clock_now() >= patience)
            panic("there is no network device");
        if (platform->poll())
            continue;
        clock_wake_at(clock_now() + TURN);
        irq_wait();
    }
    return index;
}

void network_start(const struct guest_config *config)
{
    const unsigned int index = await_interface();
    const int file = open_socket(AF_INET), file6 = open_socket(AF_INET6);

    bring_up(file, "lo");
    /* Coming up, it tells its neighbours of its IPv4 address. */
    set("/proc/sys/net/ipv4/conf/" INTERFACE "/arp_notify", "1");
    /* The host has answered for its IPv6 address: a search for others that have it would take a second. */
    set("/proc/sys/net/ipv6/conf/" INTERFACE "/accept_dad", "0");
    if (config->has_mac)
        set_mac(file, config);
    if (config->netmask != 0)
        set_address(file, config);
    if (config->has_address6)
        set_address6(file6, index, config);
    bring_up(file, INTERFACE);
    if (config->gateway != 0)
        set_gateway(file, config);
    if (config->gateway6[0] != 0) /* no router's address begins with 0 */
        set_gateway6(file6, index, config);
    close(file);
    close(file6);
}

/* Linux keeps the key of its TCP sequence numbers for as long as it runs.  They also move on with the time of the
 * world (net/core/secure_seq.c), which a copy was told anew. */
void network_rekey(void)
{
}
