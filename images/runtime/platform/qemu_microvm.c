/* QEMU's microvm machine: its virtio-mmio slots lie at fixed addresses, so no
 * device tree, ACPI or command line is needed to find them (QEMU's
 * include/hw/i386/microvm.h and hw/i386/microvm.c). */
#include "qemu_microvm.h"

#include "cpu.h"
#include "uart16550.h"
#include "virtio.h"
#include "virtio_block.h"
#include "virtio_net.h"
#include "virtio_rng.h"
#include "virtio_serial.h"

#define SLOTS_BASE 0xfeb00000UL
#define SLOT_SIZE 512

/* With a second I/O APIC (acpi=on) there are 24 slots, whose interrupts are all
 * of that APIC's pins; otherwise there are 8 from pin 5 of the first. */
#define SLOTS_FEW 8
#define SLOTS_MANY 24
#define FIRST_LINE_FEW 5
#define FIRST_LINE_MANY 24

static void start_devices(void)
{
    const bool many = virtio_slot_exists(SLOTS_BASE + SLOTS_FEW * SLOT_SIZE);
    const unsigned int slots = many ? SLOTS_MANY : SLOTS_FEW;
    const unsigned int first_line = many ? FIRST_LINE_MANY : FIRST_LINE_FEW;

    /* QEMU fills the slots from the last one on, and disks are to be found in its order. */
    for (unsigned int i = slots; i-- > 0;) {
        struct virtio_device device;

        switch (virtio_probe(&device, SLOTS_BASE + i * SLOT_SIZE, first_line + i)) {
        case VIRTIO_ID_NET:
            virtio_net_start(&device);
            break;
        case VIRTIO_ID_BLOCK:
            virtio_block_start(&device);
            break;
        case VIRTIO_ID_CONSOLE:
            virtio_serial_start(&device);
            break;
        case VIRTIO_ID_ENTROPY:
            virtio_rng_start(&device);
            break;
        default:
            break;
        }
    }
}

static bool poll(void)
{
    const bool serial = virtio_serial_poll(), block = virtio_block_poll();

    return serial || block;
}

/* There is no power switch: to reset the machine ends the VM. */
static _Noreturn void end(bool crashed)
{
    (void)crashed;
    cpu_shut_down();
}

const struct platform qemu_microvm = {
    .console_start = uart16550_start,
    .console_write = uart16550_write,
    .start_devices = start_devices,
    .poll = poll,
    .end = end,
};
