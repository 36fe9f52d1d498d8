#ifndef VIRTIO_NET_H
#define VIRTIO_NET_H

#include "virtio.h"

/* Starts the device and registers it as a network device (netdev.h). */
void virtio_net_start(const struct virtio_device *device);

#endif
