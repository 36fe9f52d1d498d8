# x86-64 on QEMU's microvm machine, started by its PVH entry.
CC := gcc
STRIP := strip
PLATFORM_SOURCES := \
	boot/x86_pvh.S boot/x86_pvh.c \
	arch/x86_64/vectors.S arch/x86_64/interrupts.c arch/x86_64/clock.c arch/x86_64/rdrand.c \
	platform/qemu_microvm.c \
	drivers/uart16550.c drivers/virtio_mmio.c drivers/virtqueue.c drivers/virtio_net.c \
	drivers/virtio_serial.c drivers/virtio_rng.c
PLATFORM_INCLUDES := arch/x86_64 drivers
PLATFORM_CFLAGS := -m64 -mno-red-zone -mgeneral-regs-only -mcmodel=small -fcf-protection=none
PLATFORM_LINK_SCRIPT := boot/x86_pvh.ld
