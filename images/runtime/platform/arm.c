/* One image for QEMU's virt machine and for Xen: the device tree says which it is. */
#include "arm.h"

#include <stddef.h>

#include "fdt.h"
#include "irq.h"
#include "qemu_virt.h"
#include "xen.h"
#include "xen_domain.h"

/* The interrupt by which Xen tells of events, of all domains (GUEST_EVTCHN_PPI in Xen's
 * xen/include/public/arch-arm.h). */
#define EVENT_LINE 31

const struct platform *platform = &qemu_virt;

static struct platform domain;

static void start_devices(void)
{
    irq_attach(EVENT_LINE, xen_event_take, NULL);
    xen_domain.start_devices();
}

void platform_choose(const void *fdt)
{
    if (fdt_compatible(fdt, "xen,xen") == NULL)
        return;
    domain = xen_domain;
    domain.start_devices = start_devices;
    platform = &domain;
    xen_start();
}
