/* The kernel command line: words separated by spaces, each key=value. */
#ifndef CMDLINE_H
#define CMDLINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GUEST_NAME_MAX 63

/* What every guest is told.  Addresses are in network byte order. */
struct guest_config {
    char name[GUEST_NAME_MAX + 1]; /* [a-z0-9-]{1,63} */
    uint32_t address;
    uint32_t netmask;
    uint32_t gateway; /* 0: none */
    bool has_mac;
    uint8_t mac[6];
};

/* Reads name, ip, gw and mac; words with other keys are for others and ignored.
 * Returns NULL, or what is wrong in words. */
const char *cmdline_parse(const char *cmdline, struct guest_config *config);

#endif
