#ifndef QEMU_MICROVM_H
#define QEMU_MICROVM_H

#include "platform.h"

extern const struct platform qemu_microvm;

#endif
