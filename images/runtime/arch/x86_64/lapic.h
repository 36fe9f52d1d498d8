/* Registers of the local APIC (Intel SDM volume 3, chapter 11). */
#ifndef LAPIC_H
#define LAPIC_H

#include "cpu.h"

#define LAPIC_BASE 0xfee00000UL
#define LAPIC_EOI 0x0b0
#define LAPIC_SPURIOUS 0x0f0
#define LAPIC_LVT_TIMER 0x320
#define LAPIC_LVT_LINT0 0x350
#define LAPIC_TIMER_INITIAL 0x380
#define LAPIC_TIMER_CURRENT 0x390
#define LAPIC_TIMER_DIVIDE 0x3e0

#define LAPIC_ENABLE 0x100
#define LAPIC_LVT_MASKED 0x10000
#define LAPIC_LVT_PERIODIC 0x20000
#define LAPIC_DIVIDE_BY_1 0xb

static inline void lapic_write(unsigned int reg, uint32_t value)
{
    mmio_write32(LAPIC_BASE + reg, value);
}

static inline uint32_t lapic_read(unsigned int reg)
{
    return mmio_read32(LAPIC_BASE + reg);
}

#endif
