# 32-bit ARM with the virtualization extensions, started as a zImage: QEMU's virt machine, and Xen.
include $(RUNTIME)/platform/arm_sources.mk
CC := arm-linux-gnueabihf-gcc
PLATFORM_SOURCES := \
	boot/armv7.S arch/armv7/vectors.S arch/armv7/exceptions.c arch/armv7/division.S arch/armv7/hypercall.c \
	$(ARM_SOURCES)
PLATFORM_INCLUDES := arch/armv7 arch/arm drivers platform
# No floating point, and addresses that do not depend on where the image is.
PLATFORM_CFLAGS := -marm -mcpu=cortex-a7 -mfloat-abi=soft -fpie -fvisibility=hidden
PLATFORM_LDFLAGS := -Wl,--no-warn-rwx-segments -pie -Wl,--no-dynamic-linker -Wl,-Bsymbolic -Wl,-z,norelro
PLATFORM_LINK_SCRIPT := boot/armv7.ld
PLATFORM_IMAGE := bin
PLATFORM_FINISH := arm-linux-gnueabihf-objcopy --output-target=binary
