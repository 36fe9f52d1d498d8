/* The virtio transport as the drivers see it (Virtual I/O Device 1.1, sections
 * 2 and 3), and its split virtqueues.  virtio_mmio.c implements the transport;
 * another one (PCI) would be a file beside it. */
#ifndef VIRTIO_H
#define VIRTIO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Device types (section 5). */
#define VIRTIO_ID_NET 1
#define VIRTIO_ID_BLOCK 2
#define VIRTIO_ID_CONSOLE 3
#define VIRTIO_ID_ENTROPY 4

/* Feature bits of every device (section 6). */
#define VIRTIO_F_ANY_LAYOUT (1ULL << 27) /* legacy: headers need no descriptor of their own */
#define VIRTIO_F_VERSION_1 (1ULL << 32)

struct virtio_device {
    uintptr_t base;
    unsigned int line; /* interrupt */
    bool legacy;       /* the interface from before version 1.0 */
};

/* Descriptor flags (section 2.6.5). */
#define VIRTQ_NEXT 1
#define VIRTQ_DEVICE_WRITES 2

#define VIRTQUEUE_MAX 64 /* entries; a power of two */

struct virtqueue {
    struct virtio_device *device;
    struct virtqueue_memory *memory; /* one page, zeroed */
    uint16_t index;
    uint16_t size;
    uint16_t offered; /* next free place in the available ring */
    uint16_t taken;   /* next unread place in the used ring */
};

/* One page holds a queue of VIRTQUEUE_MAX entries in the legacy layout, where
 * all three parts are contiguous (section 2.6.2), with the used ring aligned to
 * VIRTQUEUE_ALIGN. */
#define VIRTQUEUE_PAGE 4096
#define VIRTQUEUE_ALIGN 64

struct virtqueue_memory {
    struct {
        uint64_t address;
        uint32_t length;
        uint16_t flags;
        uint16_t next;
    } descriptors[VIRTQUEUE_MAX];
    uint8_t rings[VIRTQUEUE_PAGE - VIRTQUEUE_MAX * 16];
} __attribute__((aligned(VIRTQUEUE_PAGE)));

/* --- transport ----------------------------------------------------------- */

/* Whether there is a slot at this address, with or without a device in it. */
bool virtio_slot_exists(uintptr_t base);

/* Looks at one slot; returns the device type there, or 0 for none. */
uint32_t virtio_probe(struct virtio_device *device, uintptr_t base, unsigned int line);

/* Resets the device and agrees on those of the wanted features that it offers
 * (VIRTIO_F_VERSION_1 is added where it applies).  Returns what was agreed. */
uint64_t virtio_negotiate(struct virtio_device *device, uint64_t wanted);

/* Gives the device a queue; false if the device has no such queue or it is too
 * short. */
bool virtio_add_queue(struct virtio_device *device, struct virtqueue *queue, uint16_t index, uint16_t size,
                      struct virtqueue_memory *memory);

/* The device may start; its interrupts are taken and acknowledged. */
void virtio_start(struct virtio_device *device);

uint8_t virtio_config8(const struct virtio_device *device, unsigned int offset);
uint32_t virtio_config32(const struct virtio_device *device, unsigned int offset);

/* Tells the device that there is something new in a queue. */
void virtio_notify(const struct virtio_device *device, uint16_t queue);

/* --- virtqueue ----------------------------------------------------------- */

/* Where the rings lie, for the transport. */
uintptr_t virtqueue_available(const struct virtqueue *queue);
uintptr_t virtqueue_used(const struct virtqueue *queue);

/* Descriptor id stands for this buffer from now on. */
void virtqueue_describe(struct virtqueue *queue, uint16_t id, void *buffer, uint32_t length, uint16_t flags);

/* Descriptor id goes on in descriptor `next`: only the first of a chain is offered and taken. */
void virtqueue_chain(struct virtqueue *queue, uint16_t id, uint16_t next);

/* The length of descriptor id's buffer, where it is not always the same. */
void virtqueue_set_length(struct virtqueue *queue, uint16_t id, uint32_t length);

/* Makes a buffer available to the device; it hears of it by virtqueue_kick(). */
void virtqueue_offer(struct virtqueue *queue, uint16_t id);

/* Notifies the device unless it has said that it is looking anyway. */
void virtqueue_kick(struct virtqueue *queue);

/* Takes one buffer back that the device has used; *length is what it wrote. */
bool virtqueue_take(struct virtqueue *queue, uint16_t *id, uint32_t *length);

/* Asks the device not to interrupt for this queue. */
void virtqueue_silence(struct virtqueue *queue);

#endif
