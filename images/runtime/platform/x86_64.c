/* One image for QEMU's microvm machine and for Xen: the CPU says which it is. */
#include "x86_64.h"

#include "hypercall.h"
#include "qemu_microvm.h"
#include "timer.h"
#include "xen.h"
#include "xen_domain.h"

const struct platform *platform = &qemu_microvm;

void platform_choose(void)
{
    timer = &lapic_timer;
    if (!hypercall_start())
        return;
    platform = &xen_domain;
    timer = &xen_timer;
    xen_start();
}
