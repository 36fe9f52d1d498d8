/* The interrupt controller, of which there are versions. */
#ifndef GIC_H
#define GIC_H

#include <stdbool.h>
#include <stdint.h>

struct gic {
    /* Is it this one?  Then this is where its registers are. */
    bool (*find)(const void *fdt);

    void (*start)(void);

    /* Lets a line through to this CPU. */
    void (*enable)(unsigned int line);

    /* The pending interrupt, whose low bits are its line, and the end of its handling. */
    uint32_t (*acknowledge)(void);
    void (*end)(uint32_t taken);
};

extern const struct gic gic_v2;
extern const struct gic gic_v3;

/* Chooses what the device tree says. */
void gic_find(const void *fdt);

/* Registers that every distributor has: a bit or a byte for each line. */
#define GICD_CONTROL 0x000
#define GICD_GROUP(line) (0x080 + (line) / 32 * 4)
#define GICD_ENABLE(line) (0x100 + (line) / 32 * 4)
#define GICD_PRIORITY(line) (0x400 + (line) / 4 * 4)
#define GICD_TARGET(line) (0x800 + (line) / 4 * 4)
#define GIC_FIRST_SHARED 32
#define GIC_PRIORITY_LOWEST 0xf0 /* what a CPU's mask has to be to let every other one through */

#endif
