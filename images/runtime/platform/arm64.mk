# 64-bit ARM, started as Linux's Image: QEMU's virt machine, and Xen.
include $(RUNTIME)/platform/arm_sources.mk
CC := aarch64-linux-gnu-gcc
PLATFORM_SOURCES := \
	boot/arm64.S arch/arm64/vectors.S arch/arm64/exceptions.c arch/arm64/hypercall.c arch/arm64/gic_v3.c \
	$(ARM_SOURCES)
PLATFORM_INCLUDES := arch/arm64 arch/arm drivers platform
PLATFORM_CFLAGS := -mgeneral-regs-only -mno-outline-atomics -mcmodel=small -fno-pic -fno-pie
PLATFORM_LDFLAGS := -Wl,--no-warn-rwx-segments -static -no-pie
PLATFORM_LINK_SCRIPT := boot/arm64.ld
PLATFORM_IMAGE := bin
PLATFORM_FINISH := aarch64-linux-gnu-objcopy --output-target=binary
