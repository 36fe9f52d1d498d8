/* lwIP's view of the compiler and of this runtime. */
#ifndef LWIP_ARCH_CC_H
#define LWIP_ARCH_CC_H

#include <stdint.h>

#include "entropy.h"
#include "heap.h"
#include "memory.h"
#include "panic.h"

#define LWIP_NO_INTTYPES_H 1
#define LWIP_NO_LIMITS_H 1
#define LWIP_NO_CTYPE_H 1
#define LWIP_NO_UNISTD_H 1

/* Formats that lwIP would take from inttypes.h. */
#define X8_F "02x"
#define U16_F "u"
#define S16_F "d"
#define X16_F "x"
#define U32_F "u"
#define S32_F "d"
#define X32_F "x"
#define SZT_F "zu"

#define INT_MAX 0x7fffffff

/* ssize_t is in stddef.h of no freestanding compiler. */
#define SSIZE_MAX INT64_MAX
typedef int64_t ssize_t;

#define LWIP_PLATFORM_DIAG(message)
#define LWIP_PLATFORM_ASSERT(message) panic("lwIP: %s", message)
#define LWIP_RAND() ((uint32_t)random_u64())

#endif
