/* ARM Generic Interrupt Controller, architecture version 2. */
#include "cpu.h"
#include "fdt.h"
#include "gic.h"

/* Registers of the CPU's interface. */
#define CONTROL 0x00
#define PRIORITY_MASK 0x04
#define ACKNOWLEDGE 0x0c
#define END 0x10

static uintptr_t distributor, interface;

static bool find(const void *fdt)
{
    const fdt_node node = fdt_compatible(fdt, "arm,cortex-a15-gic");
    uint64_t at[2], size;

    if (!fdt_reg(fdt, node, 0, &at[0], &size) || !fdt_reg(fdt, node, 1, &at[1], &size))
        return false;
    distributor = (uintptr_t)at[0];
    interface = (uintptr_t)at[1];
    return true;
}

static void start(void)
{
    mmio_write32(distributor + GICD_CONTROL, 1);
    mmio_write32(interface + PRIORITY_MASK, GIC_PRIORITY_LOWEST);
    mmio_write32(interface + CONTROL, 1);
}

static void enable(unsigned int line)
{
    const unsigned int shift = line % 4 * 8;

    if (line >= GIC_FIRST_SHARED) {
        const uint32_t targets = mmio_read32(distributor + GICD_TARGET(line));

        mmio_write32(distributor + GICD_TARGET(line), (targets & ~(0xffU << shift)) | 1U << shift);
    }
    const uint32_t priorities = mmio_read32(distributor + GICD_PRIORITY(line));
    mmio_write32(distributor + GICD_PRIORITY(line), priorities & ~(0xffU << shift));
    mmio_write32(distributor + GICD_ENABLE(line), 1U << line % 32);
}

static uint32_t acknowledge(void)
{
    return mmio_read32(interface + ACKNOWLEDGE);
}

static void end(uint32_t taken)
{
    mmio_write32(interface + END, taken);
}

const struct gic gic_v2 = {
    .find = find, .start = start, .enable = enable, .acknowledge = acknowledge, .end = end};
