/* virtio entropy device (Virtual I/O Device 1.1, section 5.4), for CPUs without
 * a random number instruction. */
#include "virtio_rng.h"

#include <string.h>

#include "entropy.h"
#include "irq.h"

#define QUEUE_REQUEST 0
#define BUFFER_SIZE 64

static struct virtio_device rng;
static struct virtqueue requests;
static struct virtqueue_memory memory;
static uint8_t buffer[BUFFER_SIZE];

static bool fill(void *out, size_t length)
{
    uint8_t *bytes = out;

    while (length > 0) {
        uint16_t id;
        uint32_t got;

        virtqueue_describe(&requests, 0, buffer, sizeof buffer, VIRTQ_DEVICE_WRITES);
        virtqueue_offer(&requests, 0);
        virtqueue_kick(&requests);
        while (!virtqueue_take(&requests, &id, &got))
            irq_wait();
        if (got > sizeof buffer)
            return false;
        if (got > length)
            got = (uint32_t)length;
        memcpy(bytes, buffer, got);
        bytes += got;
        length -= got;
    }
    return true;
}

void virtio_rng_start(const struct virtio_device *device)
{
    if (rng.base != 0)
        return;
    rng = *device;
    virtio_negotiate(&rng, 0);
    if (!virtio_add_queue(&rng, &requests, QUEUE_REQUEST, 1, &memory))
        return;
    virtio_start(&rng);
    entropy_offer(fill);
}
