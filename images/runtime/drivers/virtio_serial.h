#ifndef VIRTIO_SERIAL_H
#define VIRTIO_SERIAL_H

#include "virtio.h"

/* Starts the device and begins the handshake that finds its ports (port.h). */
void virtio_serial_start(const struct virtio_device *device);

/* Goes on with the handshake and takes in what the host has sent; false if
 * there was nothing. */
bool virtio_serial_poll(void);

#endif
