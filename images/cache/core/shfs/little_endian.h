/* Numbers of a volume, which begin at any byte. */
#ifndef LITTLE_ENDIAN_H
#define LITTLE_ENDIAN_H

#include <stdint.h>

static inline uint16_t read_16(const uint8_t *bytes)
{
    return (uint16_t)(bytes[0] | bytes[1] << 8);
}

static inline uint32_t read_32(const uint8_t *bytes)
{
    return read_16(bytes) | (uint32_t)read_16(bytes + 2) << 16;
}

static inline uint64_t read_64(const uint8_t *bytes)
{
    return read_32(bytes) | (uint64_t)read_32(bytes + 4) << 32;
}

#endif
