/* Interrupts stay masked in the CPU: one that is pending ends a sleep, and is then asked for
 * at the controller. */
#include "gic.h"

#include <stddef.h>

#include "cpu.h"
#include "irq.h"
#include "panic.h"

#define LINES 96 /* those of the CPU (16..31) and the first that are shared */
#define LINE_BITS 0x3ff

static const struct gic *const known[] = {
    &gic_v2,
#ifdef __aarch64__
    &gic_v3,
#endif
};
static const struct gic *gic;

static struct {
    irq_handler handler;
    void *context;
} lines[LINES];

void gic_find(const void *fdt)
{
    for (size_t i = 0; i < sizeof known / sizeof known[0] && gic == NULL; i++)
        if (known[i]->find(fdt))
            gic = known[i];
}

void irq_init(void)
{
    if (gic == NULL)
        panic("the device tree has no interrupt controller that is known here");
    gic->start();
}

void irq_attach(unsigned int line, irq_handler handler, void *context)
{
    lines[line].handler = handler;
    lines[line].context = context;
    gic->enable(line);
}

void irq_wait(void)
{
    uint32_t taken;

    wait_for_interrupt();
    while (((taken = gic->acknowledge()) & LINE_BITS) < LINES) {
        const unsigned int line = taken & LINE_BITS;

        if (lines[line].handler != NULL)
            lines[line].handler(lines[line].context);
        gic->end(taken);
    }
}
