/* The runtime's block devices as disks. */
#ifndef DISK_H
#define DISK_H

#include "blockdev.h"
#include "host.h"

/* Panics for want of memory. */
struct host_disk *disk_of(struct blockdev *device);

#endif
