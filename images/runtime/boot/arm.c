/* What an ARM loader tells: a device tree. */
#include <stddef.h>
#include <stdint.h>

#include "arm.h"
#include "fdt.h"
#include "gic.h"
#include "runtime.h"
#include "seed.h"

/* First byte of the image (linker script). */
extern const char image_start[];

extern uint64_t clock_entry_ticks;

_Noreturn void arm_start(const void *fdt, uint64_t ticks);

static uint64_t end_of_image_ram(const void *fdt)
{
    const fdt_node memory = fdt_named(fdt, "memory");
    const uint64_t image = (uintptr_t)image_start;
    uint64_t address, size;

    for (unsigned int i = 0; fdt_reg(fdt, memory, i, &address, &size); i++)
        if (address <= image && image - address < size)
            return address + size;
    return 0;
}

void arm_start(const void *fdt, uint64_t ticks)
{
    const fdt_node chosen = fdt_named(fdt, "chosen");
    size_t length;
    const char *arguments = fdt_property(fdt, chosen, "bootargs", &length);
    struct boot_info boot = {.cmdline = "", .ram_end = end_of_image_ram(fdt)};

    clock_entry_ticks = ticks;
    if (arguments != NULL && length > 0 && arguments[length - 1] == '\0')
        boot.cmdline = arguments;
    seed_take(fdt_property(fdt, chosen, "rng-seed", &length), length);
    gic_find(fdt);
    platform_choose(fdt);
    runtime_start(&boot);
}
