/* Instructions and system registers that C has no words for: ARMv7-A with the
 * virtualization and timer extensions. */
#ifndef CPU_H
#define CPU_H

#include <stdint.h>

static inline uint32_t mmio_read32(uintptr_t address)
{
    return *(const volatile uint32_t *)address;
}

/* What was written to memory before is there before the device hears of it. */
static inline void mmio_write32(uintptr_t address, uint32_t value)
{
    __asm__ volatile("dsb st" : : : "memory");
    *(volatile uint32_t *)address = value;
}

static inline uint64_t counter_read(void)
{
    uint64_t value;

    __asm__ volatile("isb; mrrc p15, 1, %Q0, %R0, c14" : "=r"(value) : : "memory");
    return value;
}

static inline uint32_t counter_frequency(void)
{
    uint32_t value;

    __asm__("mrc p15, 0, %0, c14, c0, 0" : "=r"(value));
    return value;
}

/* The virtual timer: its interrupt is raised from this counter value on. */
static inline void timer_set(uint64_t value)
{
    __asm__ volatile("mcrr p15, 3, %Q0, %R0, c14" : : "r"(value));
    __asm__ volatile("mcr p15, 0, %0, c14, c3, 1; isb" : : "r"(1));
}

static inline void timer_stop(void)
{
    __asm__ volatile("mcr p15, 0, %0, c14, c3, 1; isb" : : "r"(0));
}

/* Until there is an interrupt, which is not taken. */
static inline void wait_for_interrupt(void)
{
    __asm__ volatile("dsb; wfi" : : : "memory");
}

/* A call of the firmware (SMC Calling Convention), which a hypervisor answers. */
static inline uint32_t firmware_call(uint32_t function)
{
    register uint32_t r0 __asm__("r0") = function;

    __asm__ volatile("hvc #0" : "+r"(r0) : : "r1", "r2", "r3", "r12", "memory");
    return r0;
}

#endif
