/* The serial console: a PL011, at the address that QEMU's virt machine has for it. */
#include "pl011.h"

#include <stdbool.h>
#include <stdint.h>

#include "clock.h"
#include "cpu.h"

#define UART 0x09000000UL
#define DATA (UART + 0x00)
#define FLAGS (UART + 0x18)
#define LINE_CONTROL (UART + 0x2c)
#define CONTROL (UART + 0x30)

#define FLAGS_FULL 0x20
#define LINE_8_BITS_FIFO 0x70
#define CONTROL_ENABLE_SEND 0x101
/* One whose other end has stopped reading must not stop the guest: it waits once for so
 * long, and until there is room again bytes are lost. */
#define PATIENCE (1000 * CLOCK_MS)

void pl011_start(void)
{
    mmio_write32(LINE_CONTROL, LINE_8_BITS_FIFO);
    mmio_write32(CONTROL, CONTROL_ENABLE_SEND);
}

static bool has_room(void)
{
    static bool deaf;
    uint64_t begin;

    if ((mmio_read32(FLAGS) & FLAGS_FULL) == 0) {
        deaf = false;
        return true;
    }
    begin = clock_now();
    while (!deaf) {
        if ((mmio_read32(FLAGS) & FLAGS_FULL) == 0)
            return true;
        deaf = clock_now() - begin > PATIENCE;
    }
    return false;
}

void pl011_write(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        if (!has_room())
            return;
        mmio_write32(DATA, (uint8_t)text[i]);
    }
}
