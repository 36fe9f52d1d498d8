#ifndef VIRTIO_RNG_H
#define VIRTIO_RNG_H

#include "virtio.h"

/* Starts the device and offers it as a source of entropy (entropy.h). */
void virtio_rng_start(const struct virtio_device *device);

#endif
