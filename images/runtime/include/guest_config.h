/* What a guest is told at its start: who it is and where on the network. */
#ifndef GUEST_CONFIG_H
#define GUEST_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GUEST_NAME_MAX 63

/* Addresses are in network byte order; there is one of IPv4, of IPv6, or of each. */
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
    uint32_t given; /* a bit for each key that was set */
};

/* Sets what one of the keys name, ip, gw, ip6, gw6 and mac stands for; other keys are
 * for others and ignored.  Returns NULL, or what is wrong in words. */
const char *guest_config_set(struct guest_config *config, const char *key, size_t key_length, const char *value,
                             size_t length);

/* Has this key been set? */
bool guest_config_has(const struct guest_config *config, const char *key);

/* Returns NULL if there are a name and an address, or what is missing. */
const char *guest_config_missing(const struct guest_config *config);

/* Returns NULL if this is enough and fits together, or what is wrong. */
const char *guest_config_check(const struct guest_config *config);

#endif
