/* virtio block devices (Virtual I/O Device 1.1, section 5.2), for reading.  A request is three
 * descriptors, as legacy devices want it: its header, the data, and the status. */
#include "virtio_block.h"

#include <stddef.h>
#include <string.h>

#include "blockdev.h"
#include "heap.h"
#include "panic.h"

#define CONFIG_CAPACITY 0 /* in sectors of BLOCKDEV_SECTOR bytes, whatever the disk's own are */

#define QUEUE_REQUEST 0
#define SLOTS 8 /* requests under way at the same time */
#define PARTS 3
#define ENTRIES 32 /* of the queue */
_Static_assert(PARTS * SLOTS <= ENTRIES && ENTRIES <= VIRTQUEUE_MAX, "every slot has its descriptors");

#define SECTORS_MAX 128 /* of one request */

#define TYPE_IN 0 /* a read */
#define STATUS_OK 0
#define STATUS_NONE 0xff /* the device has not said anything */

struct slot {
    uint8_t data[SECTORS_MAX * BLOCKDEV_SECTOR];
    struct {
        uint32_t type, reserved;
        uint64_t sector;
    } header;
    uint8_t status;
    struct blockdev_read *read; /* under way, or being told; NULL: idle */
};

/* What a device has in memory, taken for those devices that there are. */
struct disk {
    struct virtqueue_memory queue_memory;
    struct blockdev blockdev;
    struct virtio_device device;
    struct virtqueue queue;
    struct slot slots[SLOTS];
    struct blockdev_read *waiting, **waiting_end; /* those that there is no slot for */
    struct disk *next;
};

static struct disk *disks;

static void put(struct disk *disk, unsigned int id)
{
    struct slot *slot = &disk->slots[id];
    const uint16_t head = (uint16_t)(PARTS * id);

    slot->header.sector = slot->read->sector;
    slot->status = STATUS_NONE;
    virtqueue_set_length(&disk->queue, head + 1, slot->read->count * BLOCKDEV_SECTOR);
    virtqueue_offer(&disk->queue, head);
}

static void send_waiting(struct disk *disk)
{
    bool any = false;

    for (unsigned int id = 0; id < SLOTS && disk->waiting != NULL; id++)
        if (disk->slots[id].read == NULL) {
            disk->slots[id].read = disk->waiting;
            disk->waiting = disk->waiting->next;
            put(disk, id);
            any = true;
        }
    if (disk->waiting == NULL)
        disk->waiting_end = &disk->waiting;
    if (any)
        virtqueue_kick(&disk->queue);
}

static void read(struct blockdev *device, struct blockdev_read *read)
{
    struct disk *disk = (struct disk *)((uint8_t *)device - offsetof(struct disk, blockdev));

    read->next = NULL;
    *disk->waiting_end = read;
    disk->waiting_end = &read->next;
    send_waiting(disk);
}

/* The slot is busy until its data was looked at. */
static void finish(struct slot *slot)
{
    slot->read->done(slot->read, slot->status == STATUS_OK ? slot->data : NULL);
    slot->read = NULL;
}

static bool poll_disk(struct disk *disk)
{
    uint16_t id;
    uint32_t length;
    unsigned int count = 0;

    /* No more than all slots: who reads on and on must not starve the timers. */
    for (; count < SLOTS && virtqueue_take(&disk->queue, &id, &length); count++) {
        if (id % PARTS != 0 || id >= PARTS * SLOTS || disk->slots[id / PARTS].read == NULL)
            panic("virtio-block: the device answered request %u", id);
        finish(&disk->slots[id / PARTS]);
    }
    if (count > 0)
        send_waiting(disk);
    return count > 0;
}

bool virtio_block_poll(void)
{
    bool any = false;

    for (struct disk *disk = disks; disk != NULL; disk = disk->next)
        any |= poll_disk(disk);
    return any;
}

static void describe_slots(struct disk *disk)
{
    for (unsigned int id = 0; id < SLOTS; id++) {
        struct slot *slot = &disk->slots[id];
        const uint16_t head = (uint16_t)(PARTS * id);

        slot->header.type = TYPE_IN;
        virtqueue_describe(&disk->queue, head, &slot->header, sizeof slot->header, 0);
        virtqueue_describe(&disk->queue, head + 1, slot->data, 0, VIRTQ_DEVICE_WRITES);
        virtqueue_describe(&disk->queue, head + 2, &slot->status, sizeof slot->status, VIRTQ_DEVICE_WRITES);
        virtqueue_chain(&disk->queue, head, head + 1);
        virtqueue_chain(&disk->queue, head + 1, head + 2);
    }
}

void virtio_block_start(const struct virtio_device *device)
{
    struct disk *disk = heap_take_pages((sizeof *disk + VIRTQUEUE_PAGE - 1) / VIRTQUEUE_PAGE);

    if (disk == NULL)
        panic("virtio-block: no memory for %u requests", SLOTS);
    memset(disk, 0, sizeof *disk);
    disk->device = *device;
    virtio_negotiate(&disk->device, 0);
    disk->blockdev.sectors = virtio_config32(&disk->device, CONFIG_CAPACITY) |
                             (uint64_t)virtio_config32(&disk->device, CONFIG_CAPACITY + 4) << 32;
    if (!virtio_add_queue(&disk->device, &disk->queue, QUEUE_REQUEST, ENTRIES, &disk->queue_memory))
        panic("virtio-block: a queue of %u entries is needed", ENTRIES);
    describe_slots(disk);
    virtio_start(&disk->device);

    disk->waiting_end = &disk->waiting;
    disk->next = disks;
    disks = disk;
    disk->blockdev.most = SECTORS_MAX;
    disk->blockdev.read = read;
    blockdev_register(&disk->blockdev);
}
