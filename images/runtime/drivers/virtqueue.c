/* Split virtqueues (Virtual I/O Device 1.1, section 2.6). */
#include "panic.h"
#include "virtio.h"

#define AVAILABLE_NO_INTERRUPT 1
#define USED_NO_NOTIFY 1

struct available {
    uint16_t flags;
    uint16_t index;
    uint16_t ring[];
};

struct used {
    uint16_t flags;
    uint16_t index;
    struct {
        uint32_t id;
        uint32_t length;
    } ring[];
};

/* The legacy layout depends on the queue's size: 16 bytes for each descriptor,
 * then the available ring, then, aligned, the used ring.  The modern interface
 * is told all three addresses and takes this layout as well. */
static struct available *available(const struct virtqueue *queue)
{
    return (void *)&queue->memory->descriptors[queue->size];
}

static struct used *used(const struct virtqueue *queue)
{
    const uintptr_t end = (uintptr_t)&available(queue)->ring[queue->size] + sizeof(uint16_t);

    return (void *)((end + VIRTQUEUE_ALIGN - 1) & ~(uintptr_t)(VIRTQUEUE_ALIGN - 1));
}

uintptr_t virtqueue_available(const struct virtqueue *queue)
{
    return (uintptr_t)available(queue);
}

uintptr_t virtqueue_used(const struct virtqueue *queue)
{
    return (uintptr_t)used(queue);
}

void virtqueue_describe(struct virtqueue *queue, uint16_t id, void *buffer, uint32_t length, uint16_t flags)
{
    queue->memory->descriptors[id].address = (uintptr_t)buffer;
    queue->memory->descriptors[id].length = length;
    queue->memory->descriptors[id].flags = flags;
}

void virtqueue_chain(struct virtqueue *queue, uint16_t id, uint16_t next)
{
    queue->memory->descriptors[id].flags |= VIRTQ_NEXT;
    queue->memory->descriptors[id].next = next;
}

void virtqueue_set_length(struct virtqueue *queue, uint16_t id, uint32_t length)
{
    queue->memory->descriptors[id].length = length;
}

void virtqueue_offer(struct virtqueue *queue, uint16_t id)
{
    struct available *ring = available(queue);

    ring->ring[queue->offered % queue->size] = id;
    queue->offered++;
    /* The device must not see the index before the entry. */
    __atomic_store_n(&ring->index, queue->offered, __ATOMIC_RELEASE);
}

void virtqueue_kick(struct virtqueue *queue)
{
    /* The index must be out before the flag is read, or both sides could wait
     * for each other. */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    if ((__atomic_load_n(&used(queue)->flags, __ATOMIC_RELAXED) & USED_NO_NOTIFY) == 0)
        virtio_notify(queue->device, queue->index);
}

bool virtqueue_take(struct virtqueue *queue, uint16_t *id, uint32_t *length)
{
    const struct used *ring = used(queue);

    if (__atomic_load_n(&ring->index, __ATOMIC_ACQUIRE) == queue->taken)
        return false;
    const unsigned int place = queue->taken % queue->size;
    if (ring->ring[place].id >= queue->size)
        panic("virtio: the device returned descriptor %u of queue %u", ring->ring[place].id, queue->index);
    *id = (uint16_t)ring->ring[place].id;
    *length = ring->ring[place].length;
    queue->taken++;
    return true;
}

void virtqueue_silence(struct virtqueue *queue)
{
    available(queue)->flags = AVAILABLE_NO_INTERRUPT;
}
