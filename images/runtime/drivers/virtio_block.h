#ifndef VIRTIO_BLOCK_H
#define VIRTIO_BLOCK_H

#include "virtio.h"

void virtio_block_start(const struct virtio_device *device);

/* Takes in what the devices have answered; false if there was nothing. */
bool virtio_block_poll(void);

#endif
