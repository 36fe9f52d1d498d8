# x86-64, started by its PVH entry: QEMU's microvm machine, and Xen.
CC := gcc
PLATFORM_SOURCES := \
	boot/x86_pvh.S boot/x86_pvh.c \
	arch/x86_64/vectors.S arch/x86_64/interrupts.c arch/x86_64/clock.c arch/x86_64/lapic_timer.c \
	arch/x86_64/xen_timer.c arch/x86_64/hypercall.c arch/x86_64/rdrand.c \
	platform/x86_64.c platform/qemu_microvm.c platform/xen_domain.c \
	drivers/uart16550.c drivers/virtio_mmio.c drivers/virtqueue.c drivers/virtio_net.c \
	drivers/virtio_serial.c drivers/virtio_rng.c drivers/virtio_block.c \
	drivers/xen.c drivers/xen_ring.c drivers/xen_console.c drivers/xen_store.c drivers/xen_frontend.c \
	drivers/xen_net.c drivers/xen_block.c
PLATFORM_INCLUDES := arch/x86_64 drivers platform
PLATFORM_CFLAGS := -m64 -mno-red-zone -mgeneral-regs-only -mcmodel=small -fcf-protection=none -fno-pic -fno-pie
PLATFORM_LINK_SCRIPT := boot/x86_pvh.ld
PLATFORM_LDFLAGS := -static -no-pie
PLATFORM_IMAGE := elf
PLATFORM_FINISH := objcopy --strip-all
