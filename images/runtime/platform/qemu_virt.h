#ifndef QEMU_VIRT_H
#define QEMU_VIRT_H

#include "platform.h"

extern const struct platform qemu_virt;

#endif
