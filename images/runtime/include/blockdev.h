/* The block device interface, between a driver (drivers/, one file each) and whoever reads
 * a disk.  Guests of ours only read: what they serve was put there by the host. */
#ifndef BLOCKDEV_H
#define BLOCKDEV_H

#include <stdint.h>

#define BLOCKDEV_SECTOR 512 /* bytes */

/* One read.  It is its owner's until it is given to the device, and again when done() is
 * called; there is no taking it back meanwhile. */
struct blockdev_read {
    uint64_t sector;
    uint32_t count; /* of sectors: from 1 to the device's `most` */

    /* The bytes, or NULL if they cannot be read.  The memory is the driver's again when this
     * returns.  Called from the main loop, and never before blockdev.read() has returned. */
    void (*done)(struct blockdev_read *read, const void *data);

    struct blockdev_read *next; /* owned by the device */
};

struct blockdev {
    uint64_t sectors; /* its size */
    uint32_t most;    /* sectors that one read may be long */

    /* Any number of reads may be given; they may be done in any order. */
    void (*read)(struct blockdev *device, struct blockdev_read *read);

    struct blockdev *next; /* owned by the list of devices */
};

/* A driver that has found a device announces it, in the order in which the host has them. */
void blockdev_register(struct blockdev *device);

/* One of the guest's devices, from 0 on, or NULL: there are not so many. */
struct blockdev *blockdev_get(unsigned int index);

#endif
