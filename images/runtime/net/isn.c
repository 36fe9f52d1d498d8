/* Initial sequence numbers after RFC 6528 and RFC 9293 section 3.4.1:
 * ISN = M + F(local address and port, remote address and port, key), where M
 * counts 4-microsecond steps and F is a keyed hash. */
#include "isn.h"

#include "clock.h"
#include "entropy.h"
#include "lwip_hooks.h"
#include "siphash.h"

#define ISN_STEP (4 * CLOCK_US)

static struct siphash_key key;

void isn_init(void)
{
    key.k0 = random_u64();
    key.k1 = random_u64();
}

u32_t isn_choose(const ip_addr_t *local_ip, u16_t local_port, const ip_addr_t *remote_ip, u16_t remote_port)
{
    uint64_t tuple[5];
    size_t words = 0;

    if (IP_IS_V6(local_ip)) {
        for (size_t i = 0; i < 4; i++)
            tuple[words++] = (uint64_t)ip_2_ip6(local_ip)->addr[i] << 32 | ip_2_ip6(remote_ip)->addr[i];
    } else {
        tuple[words++] = (uint64_t)ip_2_ip4(local_ip)->addr << 32 | ip_2_ip4(remote_ip)->addr;
    }
    tuple[words++] = (uint64_t)local_port << 16 | remote_port;
    return (u32_t)(clock_now() / ISN_STEP) + (u32_t)siphash(&key, tuple, words);
}
