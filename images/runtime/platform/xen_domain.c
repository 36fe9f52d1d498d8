/* A domain of Xen: what devices it has is said in the XenStore. */
#include "xen_domain.h"

#include "xen.h"
#include "xen_console.h"
#include "xen_net.h"
#include "xen_store.h"

static void start_devices(void)
{
    xen_store_start();
    xen_net_start();
}

static _Noreturn void end(bool crashed)
{
    xen_console_flush();
    xen_shutdown(crashed ? SHUTDOWN_CRASH : SHUTDOWN_POWEROFF);
}

const struct platform xen_domain = {
    .console_start = xen_console_start,
    .console_write = xen_console_write,
    .start_devices = start_devices,
    .poll = xen_store_poll,
    .end = end,
};
