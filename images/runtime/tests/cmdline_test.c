#include "cmdline.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

static struct guest_config config;

/* A guest that is told by its command line alone. */
static const char *read_all(const char *cmdline)
{
    config = (struct guest_config){0};
    const char *fault = cmdline_parse(cmdline, &config);

    return fault != NULL ? fault : guest_config_check(&config);
}

static void good(const char *cmdline)
{
    const char *fault = read_all(cmdline);

    if (fault != NULL)
        fprintf(stderr, "\"%s\": %s\n", cmdline, fault);
    assert(fault == NULL);
}

static void bad(const char *cmdline, const char *key)
{
    const char *fault = read_all(cmdline);

    if (fault == NULL || strncmp(fault, key, strlen(key)) != 0)
        fprintf(stderr, "\"%s\": %s\n", cmdline, fault == NULL ? "accepted" : fault);
    assert(fault != NULL && strncmp(fault, key, strlen(key)) == 0);
}

int main(void)
{
    good("name=hello ip=10.77.0.10/24 gw=10.77.0.1 mac=52:54:00:aA:bb:cc");
    assert(strcmp(config.name, "hello") == 0);
    assert(config.address == __builtin_bswap32(0x0a4d000a) && config.netmask == __builtin_bswap32(0xffffff00));
    assert(config.gateway == __builtin_bswap32(0x0a4d0001));
    assert(config.has_mac && memcmp(config.mac, "\x52\x54\x00\xaa\xbb\xcc", 6) == 0);
    good("  quiet ip=1.2.3.4/32   xname=x name=a-9  names=x gateway=y ");
    assert(config.netmask == 0xffffffff && config.gateway == 0 && !config.has_mac);
    good("name=a ip=255.0.0.1/1");
    assert(config.netmask == __builtin_bswap32(0x80000000));

    static const uint8_t hello6[16] = {0xfd, 0x77, [15] = 0x10}, all6[16] = {0, 1, 0, 2, 0, 3, 0, 4, 0, 5, 0, 6, 0, 7, 0, 8};
    static const uint8_t router6[16] = {0xfe, 0x80, [15] = 1}, gap6[16] = {0xfd, 0x77, [11] = 5, [13] = 6, [14] = 0xab, [15] = 0xcd};
    good("name=hello ip=10.77.0.10/24 ip6=fd77::10/64 gw6=fe80::1");
    assert(config.has_address6 && memcmp(config.address6, hello6, 16) == 0 && memcmp(config.gateway6, router6, 16) == 0);
    good("name=a ip6=FD77:0000:0:0::10/64 gw6=fd77::1");
    assert(config.netmask == 0 && memcmp(config.address6, hello6, 16) == 0);
    good("name=a ip6=1:2:3:4:5:6:7:8/64");
    assert(memcmp(config.address6, all6, 16) == 0 && config.gateway6[0] == 0);
    good("name=a ip6=fd77::5:6:abcd/64");
    assert(memcmp(config.address6, gap6, 16) == 0);
    good("name=a ip6=1:2:3:4:5:6:7::/64");
    assert(config.address6[13] == 7 && config.address6[15] == 0);
    good("name=a ip6=::8/64");
    assert(config.address6[15] == 8);
    good("name=a ip=10.0.0.1/8");
    assert(!config.has_address6);

    bad("", "name=");
    bad("ip=10.0.0.1/8", "name=");
    bad("name= ip=10.0.0.1/8", "name=");
    bad("name=A ip=10.0.0.1/8", "name=");
    bad("name=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa ip=10.0.0.1/8", "name=");
    bad("name=a", "ip=");
    static const char *const addresses[] = {
        "",          "10.0.0.1",     "10.0.0.1/",     "10.0.0.1/0",    "10.0.0.1/33", "10.0.0.1/8x", "10.0.0/8",
        "10.0.0.256/8", "10.0.0.0001/8", "10..0.1/8", ".10.0.0.1/8", "10.0.0.1.1/8", "-1.0.0.1/8", "10.0.0.1/ 8",
    };
    for (size_t i = 0; i < sizeof addresses / sizeof addresses[0]; i++) {
        char cmdline[64];

        snprintf(cmdline, sizeof cmdline, "name=a ip=%s", addresses[i]);
        bad(cmdline, "ip=");
    }
    static const char *const addresses6[] = {
        "",          "fd77::1",       "fd77::1/",          "fd77::1/63",        "fd77::1/64x",  "fd77::1/6",
        "fd77:1/64", "fd77:::1/64",   "fd77::1::2/64",     "1:2:3:4:5:6:7/64",  ":1:2:3:4:5:6:7:8/64",
        "12345::/64", "fd77::1:/64",  "1:2:3:4:5:6:7:8:9/64", "1:2:3:4::5:6:7:8/64", "fd77::g/64", "::ffff:1.2.3.4/64",
        ":/64",      "1:2:3:4:5:6:7:8:/64", "::1:2:3:4:5:6:7:8/64", "1:2:3:4:5:6:7:8::/64",
    };
    for (size_t i = 0; i < sizeof addresses6 / sizeof addresses6[0]; i++) {
        char cmdline[64];

        snprintf(cmdline, sizeof cmdline, "name=a ip6=%s", addresses6[i]);
        bad(cmdline, "ip6=");
    }
    bad("name=a ip6=fd77::10/64 gw6=", "gw6=");
    bad("name=a ip6=fd77::10/64 gw6=::", "gw6=");
    bad("name=a ip6=fd77::10/64 gw6=fd78::1", "gw6=");
    bad("name=a ip6=fd77::10/64 gw6=fd77::1x", "gw6=");
    bad("name=a ip=10.0.0.1/8 gw=", "gw=");
    bad("name=a ip=10.0.0.1/8 gw=0.0.0.0", "gw=");
    bad("name=a ip=10.0.0.1/8 gw=11.0.0.1", "gw=");
    bad("name=a ip=10.0.0.1/8 gw=10.0.0.1x", "gw=");
    bad("name=a ip=10.0.0.1/8 mac=", "mac=");
    bad("name=a ip=10.0.0.1/8 mac=52:54:00:aa:bb:c", "mac=");
    bad("name=a ip=10.0.0.1/8 mac=52-54-00-aa-bb-cc", "mac=");
    bad("name=a ip=10.0.0.1/8 mac=53:54:00:aa:bb:cc", "mac=");

    assert(read_all("ip=10.0.0.1/8 gw=10.0.0.2 name") != NULL && guest_config_missing(&config) != NULL);
    assert(guest_config_has(&config, "ip") && guest_config_has(&config, "gw"));
    assert(!guest_config_has(&config, "name") && !guest_config_has(&config, "ip6") && !guest_config_has(&config, "x"));
    assert(guest_config_set(&config, "name", 4, "later+", 5) == NULL && strcmp(config.name, "later") == 0);
    assert(guest_config_set(&config, "namely", 6, "+", 1) == NULL && guest_config_check(&config) == NULL);
    assert(strncmp(guest_config_set(&config, "ip6", 3, "fd77::1/6", 9), "ip6=", 4) == 0);
    puts("cmdline_test: ok");
    return 0;
}
