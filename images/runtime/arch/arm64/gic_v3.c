/* ARM Generic Interrupt Controller, architecture version 3: lines of the CPU are in its
 * redistributor, and its interface is in system registers. */
#include "cpu.h"
#include "fdt.h"
#include "gic.h"

#define CONTROL_GROUP1_AFFINITY 0x12 /* interrupts of group 1, routed by affinity: to CPU 0 from the start */

/* Registers of the redistributor; those of its lines are in its second half. */
#define WAKER 0x0014
#define WAKER_SLEEP 2
#define WAKER_ASLEEP 4
#define LINES 0x10000

static uintptr_t distributor, redistributor;

static bool find(const void *fdt)
{
    const fdt_node node = fdt_compatible(fdt, "arm,gic-v3");
    uint64_t at[2], size;

    if (!fdt_reg(fdt, node, 0, &at[0], &size) || !fdt_reg(fdt, node, 1, &at[1], &size))
        return false;
    distributor = at[0];
    redistributor = at[1];
    return true;
}

static void start(void)
{
    mmio_write32(distributor + GICD_CONTROL, CONTROL_GROUP1_AFFINITY);
    mmio_write32(redistributor + WAKER, mmio_read32(redistributor + WAKER) & ~(uint32_t)WAKER_SLEEP);
    while ((mmio_read32(redistributor + WAKER) & WAKER_ASLEEP) != 0)
        ;
    __asm__ volatile("msr s3_0_c12_c12_5, %0; isb" : : "r"(1UL)); /* ICC_SRE_EL1: the interface is in registers */
    __asm__ volatile("msr s3_0_c4_c6_0, %0" : : "r"((uint64_t)GIC_PRIORITY_LOWEST)); /* ICC_PMR_EL1 */
    __asm__ volatile("msr s3_0_c12_c12_7, %0; isb" : : "r"(1UL));                     /* ICC_IGRPEN1_EL1 */
}

static void enable(unsigned int line)
{
    const uintptr_t base = line < GIC_FIRST_SHARED ? redistributor + LINES : distributor;
    const unsigned int shift = line % 4 * 8;

    mmio_write32(base + GICD_GROUP(line), mmio_read32(base + GICD_GROUP(line)) | 1U << line % 32);
    mmio_write32(base + GICD_PRIORITY(line), mmio_read32(base + GICD_PRIORITY(line)) & ~(0xffU << shift));
    mmio_write32(base + GICD_ENABLE(line), 1U << line % 32);
}

static uint32_t acknowledge(void)
{
    uint64_t taken;

    __asm__ volatile("mrs %0, s3_0_c12_c12_0; dsb sy" : "=r"(taken) : : "memory"); /* ICC_IAR1_EL1 */
    return (uint32_t)taken;
}

static void end(uint32_t taken)
{
    __asm__ volatile("msr s3_0_c12_c12_1, %0; isb" : : "r"((uint64_t)taken) : "memory"); /* ICC_EOIR1_EL1 */
}

const struct gic gic_v3 = {
    .find = find, .start = start, .enable = enable, .acknowledge = acknowledge, .end = end};
