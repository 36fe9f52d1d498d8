/* A domain of Xen: what devices it has is said in the XenStore. */
#include "xen_domain.h"

#include "irq.h"
#include "xen.h"
#include "xen_block.h"
#include "xen_console.h"
#include "xen_net.h"
#include "xen_store.h"

/* The console is asked last: what the others print may have made it wait. */
static bool poll(void)
{
    const bool store = xen_store_poll(), block = xen_block_poll(), console = xen_console_waited();

    return store || block || console;
}

static void start_devices(void)
{
    xen_store_start();
    xen_block_start();
    xen_net_start();
    while (!xen_block_settled() || !xen_net_settled())
        if (!poll())
            irq_wait();
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
    .poll = poll,
    .end = end,
};
