#include "guest_config.h"

#include <string.h>

/* Reads a decimal number of at most limit; returns the characters used, or 0. */
static size_t parse_number(const char *text, size_t length, unsigned int limit, unsigned int *value)
{
    size_t used = 0;

    *value = 0;
    while (used < length && used < 3 && text[used] >= '0' && text[used] <= '9')
        *value = *value * 10 + (unsigned int)(text[used++] - '0');
    return *value <= limit ? used : 0;
}

/* Reads a dotted quad into network byte order; returns the characters used, or 0. */
static size_t parse_quad(const char *text, size_t length, uint32_t *address)
{
    size_t used = 0;

    *address = 0;
    for (unsigned int i = 0; i < 4; i++) {
        unsigned int byte;

        if (i > 0 && (used == length || text[used++] != '.'))
            return 0;
        size_t digits = parse_number(text + used, length - used, 255, &byte);
        if (digits == 0)
            return 0;
        used += digits;
        *address |= (uint32_t)byte << (8 * i);
    }
    return used;
}

static bool parse_interface(const char *text, size_t length, struct guest_config *config)
{
    unsigned int prefix;
    size_t used = parse_quad(text, length, &config->address);

    if (used == 0 || used == length || text[used] != '/')
        return false;
    used++;
    size_t digits = parse_number(text + used, length - used, 32, &prefix);
    if (digits == 0 || used + digits != length || prefix == 0)
        return false;
    config->netmask = __builtin_bswap32(~0U << (32 - prefix));
    return true;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

static bool is_zero(const uint8_t address[16])
{
    for (size_t i = 0; i < 16; i++)
        if (address[i] != 0)
            return false;
    return true;
}

static bool is_link_local(const uint8_t address[16])
{
    return address[0] == 0xfe && (address[1] & 0xc0) == 0x80;
}

/* Reads an IPv6 address (RFC 4291 section 2.2, forms 1 and 2); returns the
 * characters used, or 0. */
static size_t parse_groups(const char *text, size_t length, uint8_t address[16])
{
    size_t used = 0, written = 0, gap = 0;
    bool gapped = false;

    memset(address, 0, 16);
    while (written < 16) {
        unsigned int group = 0, digits = 0;

        if (!gapped && length - used >= 2 && text[used] == ':' && text[used + 1] == ':') {
            gapped = true;
            gap = written;
            used += 2;
            if (used == length || hex_digit(text[used]) < 0)
                break;
        } else if (written > 0) {
            if (used == length || text[used] != ':')
                break;
            used++;
        }
        for (; digits < 4 && used < length && hex_digit(text[used]) >= 0; digits++)
            group = group << 4 | (unsigned int)hex_digit(text[used++]);
        if (digits == 0)
            return 0;
        address[written++] = (uint8_t)(group >> 8);
        address[written++] = (uint8_t)group;
    }
    if (gapped == (written == 16)) /* a :: stands for one group at least */
        return 0;
    memmove(address + 16 - (written - gap), address + gap, written - gap);
    memset(address + gap, 0, 16 - written);
    return used;
}

static bool parse_interface6(const char *text, size_t length, struct guest_config *config)
{
    const size_t used = parse_groups(text, length, config->address6);

    config->has_address6 = true;
    /* A host takes every IPv6 network for a /64, and so does lwIP. */
    return used != 0 && length - used == 3 && strncmp(text + used, "/64", 3) == 0;
}

static bool parse_gateway6(const char *text, size_t length, struct guest_config *config)
{
    return parse_groups(text, length, config->gateway6) == length && !is_zero(config->gateway6);
}

static bool parse_mac(const char *text, size_t length, struct guest_config *config)
{
    uint8_t *mac = config->mac;

    if (length != 17)
        return false;
    for (unsigned int i = 0; i < 6; i++) {
        int high = hex_digit(text[3 * i]), low = hex_digit(text[3 * i + 1]);

        if (high < 0 || low < 0 || (i < 5 && text[3 * i + 2] != ':'))
            return false;
        mac[i] = (uint8_t)(high << 4 | low);
    }
    config->has_mac = true;
    return (mac[0] & 1) == 0; /* a station's own address is never a group's */
}

static bool parse_gateway(const char *text, size_t length, struct guest_config *config)
{
    return parse_quad(text, length, &config->gateway) == length && config->gateway != 0;
}

static bool parse_name(const char *text, size_t length, struct guest_config *config)
{
    if (length == 0 || length > GUEST_NAME_MAX)
        return false;
    for (size_t i = 0; i < length; i++) {
        char c = text[i];

        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-'))
            return false;
        config->name[i] = c;
    }
    config->name[length] = '\0';
    return true;
}

static const struct {
    const char *name;
    bool (*parse)(const char *text, size_t length, struct guest_config *config);
    const char *fault;
} keys[] = {
    {"name", parse_name, "name= is not of the form [a-z0-9-]{1,63}"},
    {"ip", parse_interface, "ip= is not of the form a.b.c.d/prefix"},
    {"gw", parse_gateway, "gw= is not of the form a.b.c.d"},
    {"ip6", parse_interface6, "ip6= is not of the form x:x::x/64"},
    {"gw6", parse_gateway6, "gw6= is not of the form x:x::x"},
    {"mac", parse_mac, "mac= is not a unicast address of the form xx:xx:xx:xx:xx:xx"},
};

#define KEYS (sizeof keys / sizeof keys[0])

static size_t key_index(const char *key, size_t length)
{
    size_t i = 0;

    while (i < KEYS && (strlen(keys[i].name) != length || memcmp(keys[i].name, key, length) != 0))
        i++;
    return i;
}

const char *guest_config_set(struct guest_config *config, const char *key, size_t key_length, const char *value,
                             size_t length)
{
    const size_t i = key_index(key, key_length);

    if (i == KEYS)
        return NULL;
    config->given |= 1U << i;
    return keys[i].parse(value, length, config) ? NULL : keys[i].fault;
}

bool guest_config_has(const struct guest_config *config, const char *key)
{
    return (config->given & 1U << key_index(key, strlen(key))) != 0;
}

const char *guest_config_missing(const struct guest_config *config)
{
    if (config->name[0] == '\0')
        return "name= is missing";
    if (config->netmask == 0 && !config->has_address6)
        return "ip= is missing, and so is ip6=";
    return NULL;
}

const char *guest_config_check(const struct guest_config *config)
{
    const char *missing = guest_config_missing(config);

    if (missing != NULL)
        return missing;
    if (config->gateway != 0 && ((config->gateway ^ config->address) & config->netmask) != 0)
        return "gw= is not inside the network of ip=";
    if (!is_zero(config->gateway6) && !is_link_local(config->gateway6) &&
        memcmp(config->gateway6, config->address6, 8) != 0)
        return "gw6= is not inside the network of ip6=";
    return NULL;
}
