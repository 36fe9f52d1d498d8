/* The kernel command line: words separated by spaces, each key=value. */
#ifndef CMDLINE_H
#define CMDLINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GUEST_NAME_MAX 63

/* What every guest is told.  Addresses are in network byte order; there is one
 * of IPv4, of IPv6, or of each. */
struct guest_config {
    char name[GUEST_NAME_MAX + 1]; /* [a-z0-9-]{1,63} */
    uint32_t address;
    uint32_t netmask; /* 0: no address */
    uint32_t gateway; /* 0: none */
    bool has_address6;
    uint8_t address6[16]; /* its network is a /64 */
    uint8_t gateway6[16]; /* all 0: none */
    bool has_mac;
    uint8_t mac[6];
};

/* Reads name, ip, gw, ip6, gw6 and mac; words with other keys are for others and ignored.
 * Returns NULL, or what is wrong in words. */
const char *cmdline_parse(const char *cmdline, struct guest_config *config);

#endif
