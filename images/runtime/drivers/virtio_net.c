/* virtio network device (Virtual I/O Device 1.1, section 5.1): one queue each
 * way, no offloads, every buffer a header and a frame in one piece. */
#include "virtio_net.h"

#include "memory.h"
#include "netdev.h"
#include "panic.h"

#define FEATURE_MAC (1ULL << 5)
#define CONFIG_MAC 0

#define QUEUE_RECEIVE 0
#define QUEUE_TRANSMIT 1
#define BUFFERS VIRTQUEUE_MAX

/* struct virtio_net_hdr (section 5.1.6): all zero in both directions, since no
 * offload is agreed.  Legacy devices leave its last field, num_buffers, out. */
#define HEADER_SIZE 12
#define HEADER_SIZE_LEGACY 10
#define BUFFER_SIZE 1536
_Static_assert(HEADER_SIZE + NETDEV_FRAME_MAX <= BUFFER_SIZE, "a frame fits its buffer");

static struct {
    struct netdev netdev;
    struct virtio_device device;
    struct virtqueue receive, transmit;
    size_t header_size;
    uint16_t idle[BUFFERS]; /* transmit buffers that the device does not have */
    unsigned int idle_count;
} net;

static struct virtqueue_memory receive_memory, transmit_memory;
static uint8_t receive_buffers[BUFFERS][BUFFER_SIZE] NOINIT;
static uint8_t transmit_buffers[BUFFERS][BUFFER_SIZE] NOINIT;

static void *transmit_buffer(struct netdev *netdev)
{
    uint16_t id;
    uint32_t length;

    (void)netdev;
    /* Sent buffers are collected when the next one is wanted, so there is no
     * need for an interrupt to tell of them. */
    while (virtqueue_take(&net.transmit, &id, &length))
        net.idle[net.idle_count++] = id;
    if (net.idle_count == 0)
        return NULL;
    return transmit_buffers[net.idle[net.idle_count - 1]] + net.header_size;
}

static void transmit(struct netdev *netdev, size_t length)
{
    (void)netdev;
    const uint16_t id = net.idle[--net.idle_count];

    for (size_t i = 0; i < net.header_size; i++)
        transmit_buffers[id][i] = 0;
    virtqueue_set_length(&net.transmit, id, (uint32_t)(net.header_size + length));
    virtqueue_offer(&net.transmit, id);
    virtqueue_kick(&net.transmit);
}

static bool poll(struct netdev *netdev, netdev_receive receive)
{
    uint16_t id;
    uint32_t length;
    unsigned int count = 0;

    (void)netdev;
    /* At most one ring's worth: a flood must not starve the timers. */
    while (count < BUFFERS && virtqueue_take(&net.receive, &id, &length)) {
        if (length > net.header_size && length <= BUFFER_SIZE)
            receive(receive_buffers[id] + net.header_size, length - net.header_size, false);
        virtqueue_offer(&net.receive, id);
        count++;
    }
    if (count > 0)
        virtqueue_kick(&net.receive);
    return count > 0;
}

void virtio_net_start(const struct virtio_device *device)
{
    if (net.netdev.poll != NULL)
        return; /* the guest has one interface; further devices stay unused */
    net.device = *device;
    const uint64_t features = virtio_negotiate(&net.device, FEATURE_MAC | VIRTIO_F_ANY_LAYOUT);
    if (device->legacy && (features & VIRTIO_F_ANY_LAYOUT) == 0)
        panic("virtio-net: the legacy device has no VIRTIO_F_ANY_LAYOUT");
    net.header_size = device->legacy ? HEADER_SIZE_LEGACY : HEADER_SIZE;
    if ((features & FEATURE_MAC) != 0)
        for (unsigned int i = 0; i < NETDEV_MAC_LENGTH; i++)
            net.netdev.mac[i] = virtio_config8(&net.device, CONFIG_MAC + i);

    if (!virtio_add_queue(&net.device, &net.receive, QUEUE_RECEIVE, BUFFERS, &receive_memory) ||
        !virtio_add_queue(&net.device, &net.transmit, QUEUE_TRANSMIT, BUFFERS, &transmit_memory))
        panic("virtio-net: queues of %u entries are needed", BUFFERS);
    for (uint16_t id = 0; id < BUFFERS; id++) {
        virtqueue_describe(&net.receive, id, receive_buffers[id], BUFFER_SIZE, VIRTQ_DEVICE_WRITES);
        virtqueue_offer(&net.receive, id);
        virtqueue_describe(&net.transmit, id, transmit_buffers[id], 0, 0);
        net.idle[net.idle_count++] = id;
    }
    virtqueue_silence(&net.transmit);
    virtio_start(&net.device);
    virtqueue_kick(&net.receive);

    net.netdev.transmit_buffer = transmit_buffer;
    net.netdev.transmit = transmit;
    net.netdev.poll = poll;
    netdev_register(&net.netdev);
}
