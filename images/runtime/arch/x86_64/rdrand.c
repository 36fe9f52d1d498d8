/* RDRAND: the hardware's generator, or on an emulated CPU the host's. */
#include <stdint.h>

#include "cpu.h"
#include "entropy.h"

#define CPUID_1_ECX_RDRAND (1U << 30)
#define ATTEMPTS 10 /* Intel's guide: ten failures in a row mean a broken generator */

static bool rdrand(uint64_t *value)
{
    for (unsigned int i = 0; i < ATTEMPTS; i++) {
        uint8_t valid;

        __asm__ volatile("rdrand %0; setc %1" : "=r"(*value), "=qm"(valid) : : "cc");
        if (valid)
            return true;
    }
    return false;
}

bool entropy_from_cpu(void *out, size_t length)
{
    uint8_t *bytes = out;

    if ((cpuid(1).ecx & CPUID_1_ECX_RDRAND) == 0)
        return false;
    while (length > 0) {
        uint64_t value;

        if (!rdrand(&value))
            return false;
        for (unsigned int i = 0; i < sizeof value && length > 0; i++, length--) {
            *bytes++ = (uint8_t)value;
            value >>= 8;
        }
    }
    return true;
}
