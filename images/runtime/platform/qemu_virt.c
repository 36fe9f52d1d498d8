/* QEMU's virt machine: its virtio-mmio slots lie at fixed addresses (QEMU's hw/arm/virt.c). */
#include "qemu_virt.h"

#include "cpu.h"
#include "pl011.h"
#include "virtio.h"
#include "virtio_block.h"
#include "virtio_net.h"
#include "virtio_rng.h"
#include "virtio_serial.h"

#define SLOTS_BASE 0x0a000000UL
#define SLOT_SIZE 512
#define SLOTS 32
#define FIRST_LINE (32 + 16)

/* Power State Coordination Interface (ARM DEN 0022). */
#define PSCI_SYSTEM_OFF 0x84000008
#define PSCI_SYSTEM_RESET 0x84000009

static void start_devices(void)
{
    /* QEMU fills the slots from the last one on, and disks are to be found in its order. */
    for (unsigned int i = SLOTS; i-- > 0;) {
        struct virtio_device device;

        switch (virtio_probe(&device, SLOTS_BASE + i * SLOT_SIZE, FIRST_LINE + i)) {
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

static _Noreturn void end(bool crashed)
{
    for (;;)
        firmware_call(crashed ? PSCI_SYSTEM_RESET : PSCI_SYSTEM_OFF);
}

const struct platform qemu_virt = {
    .console_start = pl011_start,
    .console_write = pl011_write,
    .start_devices = start_devices,
    .poll = poll,
    .end = end,
};
