/* Instructions and system registers that C has no words for: ARMv8-A at EL1. */
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

    __asm__ volatile("isb; mrs %0, cntvct_el0" : "=r"(value) : : "memory");
    return value;
}

static inline uint32_t counter_frequency(void)
{
    uint64_t value;

    __asm__("mrs %0, cntfrq_el0" : "=r"(value));
    return (uint32_t)value;
}

/* The virtual timer: its interrupt is raised from this counter value on. */
static inline void timer_set(uint64_t value)
{
    __asm__ volatile("msr cntv_cval_el0, %0" : : "r"(value));
    __asm__ volatile("msr cntv_ctl_el0, %0; isb" : : "r"(1UL));
}

static inline void timer_stop(void)
{
    __asm__ volatile("msr cntv_ctl_el0, %0; isb" : : "r"(0UL));
}

/* Until there is an interrupt, which is not taken. */
static inline void wait_for_interrupt(void)
{
    __asm__ volatile("dsb sy; wfi" : : : "memory");
}

/* A call of the firmware (SMC Calling Convention), which a hypervisor answers. */
static inline uint64_t firmware_call(uint32_t function)
{
    register uint64_t x0 __asm__("x0") = function;

    __asm__ volatile("hvc #0"
                     : "+r"(x0)
                     :
                     : "x1", "x2", "x3", "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12", "x13", "x14", "x15",
                       "x16", "x17", "memory");
    return x0;
}

#endif
