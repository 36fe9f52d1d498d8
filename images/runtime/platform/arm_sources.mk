# What both ARM platforms have in common.
ARM_SOURCES := \
	boot/arm.c arch/arm/clock.c arch/arm/gic.c arch/arm/gic_v2.c arch/arm/seed.c lib/fdt.c \
	platform/arm.c platform/qemu_virt.c platform/xen_domain.c \
	drivers/pl011.c drivers/virtio_mmio.c drivers/virtqueue.c drivers/virtio_net.c \
	drivers/virtio_serial.c drivers/virtio_rng.c drivers/virtio_block.c \
	drivers/xen.c drivers/xen_ring.c drivers/xen_console.c drivers/xen_store.c drivers/xen_frontend.c \
	drivers/xen_net.c drivers/xen_block.c
