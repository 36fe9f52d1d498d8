#ifndef ARM_H
#define ARM_H

/* Looks in the device tree where this image runs. */
void platform_choose(const void *fdt);

#endif
