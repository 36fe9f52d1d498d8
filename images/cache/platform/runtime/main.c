/* The node as a unikernel: all disks of the guest are the members of its volume, and it serves on port 80. */
#include "blockdev.h"
#include "clock.h"
#include "core.h"
#include "disk.h"
#include "irq.h"
#include "label.h"
#include "panic.h"
#include "platform.h"
#include "runtime.h"
#include "tcp.h"

#define HTTP_PORT 80

/* For a guest of 32 MiB: buffers for chunks, connections with what each of them has, and the objects of a table. */
#define CACHE_BYTES (8 << 20)
#define CONNECTIONS 96
#define MOST_OBJECTS 16384

static bool mounted;

static void on_mounted(const char *wrong)
{
    if (wrong != NULL)
        panic("the volume cannot be mounted: %s", wrong);
    mounted = true;
}

/* A guest is ready when it serves, so this returns when the volume is there. */
void app_start(void)
{
    static struct host_disk *disks[SHFS_MEMBERS];
    struct core_options options = core_defaults();

    while (options.disk_count < SHFS_MEMBERS && blockdev_get((unsigned int)options.disk_count) != NULL) {
        disks[options.disk_count] = disk_of(blockdev_get((unsigned int)options.disk_count));
        options.disk_count++;
    }
    if (options.disk_count == 0)
        panic("there is no disk: a volume is wanted");
    options.disks = disks;
    options.cache_bytes = CACHE_BYTES;
    options.connections = CONNECTIONS;
    options.most_objects = MOST_OBJECTS;
    core_start(&options, on_mounted);
    while (!mounted)
        if (!platform->poll()) {
            clock_wake_at(CLOCK_NEVER);
            irq_wait();
        }
    tcp_start(HTTP_PORT);
}
