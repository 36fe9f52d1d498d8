/* virtio over memory-mapped registers (Virtual I/O Device 1.1, section 4.2):
 * version 2, and version 1, which QEMU offers by default (section 4.2.4). */
#include "cpu.h"
#include "irq.h"
#include "virtio.h"

#define MAGIC 0x000
#define VERSION 0x004
#define DEVICE_ID 0x008
#define DEVICE_FEATURES 0x010
#define DEVICE_FEATURES_SELECT 0x014
#define DRIVER_FEATURES 0x020
#define DRIVER_FEATURES_SELECT 0x024
#define LEGACY_PAGE_SIZE 0x028
#define QUEUE_SELECT 0x030
#define QUEUE_SIZE_MAX 0x034
#define QUEUE_SIZE 0x038
#define LEGACY_QUEUE_ALIGN 0x03c
#define LEGACY_QUEUE_PAGE 0x040
#define QUEUE_READY 0x044
#define QUEUE_NOTIFY 0x050
#define INTERRUPT_STATUS 0x060
#define INTERRUPT_ACKNOWLEDGE 0x064
#define STATUS 0x070
#define QUEUE_DESCRIPTORS 0x080 /* low word; the high one follows */
#define QUEUE_AVAILABLE 0x090
#define QUEUE_USED 0x0a0
#define CONFIG 0x100

#define MAGIC_VALUE 0x74726976 /* "virt" */
#define VERSION_LEGACY 1
#define VERSION_MODERN 2

#define STATUS_ACKNOWLEDGE 1
#define STATUS_DRIVER 2
#define STATUS_DRIVER_OK 4
#define STATUS_FEATURES_OK 8

static uint32_t get(const struct virtio_device *device, unsigned int reg)
{
    return mmio_read32(device->base + reg);
}

static void set(const struct virtio_device *device, unsigned int reg, uint32_t value)
{
    mmio_write32(device->base + reg, value);
}

static void set_address(const struct virtio_device *device, unsigned int reg, uintptr_t address)
{
    set(device, reg, (uint32_t)address);
    set(device, reg + 4, (uint32_t)((uint64_t)address >> 32));
}

bool virtio_slot_exists(uintptr_t base)
{
    return mmio_read32(base + MAGIC) == MAGIC_VALUE;
}

uint32_t virtio_probe(struct virtio_device *device, uintptr_t base, unsigned int line)
{
    *device = (struct virtio_device){.base = base, .line = line};
    if (!virtio_slot_exists(base))
        return 0;
    const uint32_t id = get(device, DEVICE_ID);
    if (id == 0)
        return 0;
    const uint32_t version = get(device, VERSION);
    device->legacy = version == VERSION_LEGACY;
    return version == VERSION_LEGACY || version == VERSION_MODERN ? id : 0;
}

uint64_t virtio_negotiate(struct virtio_device *device, uint64_t wanted)
{
    uint64_t agreed;

    set(device, STATUS, 0);
    set(device, STATUS, STATUS_ACKNOWLEDGE | STATUS_DRIVER);
    set(device, DEVICE_FEATURES_SELECT, 0);
    agreed = get(device, DEVICE_FEATURES);
    if (device->legacy) {
        agreed &= wanted;
        set(device, DRIVER_FEATURES_SELECT, 0);
        set(device, DRIVER_FEATURES, (uint32_t)agreed);
        set(device, LEGACY_PAGE_SIZE, VIRTQUEUE_PAGE);
        return agreed;
    }
    set(device, DEVICE_FEATURES_SELECT, 1);
    agreed |= (uint64_t)get(device, DEVICE_FEATURES) << 32;
    agreed &= wanted | VIRTIO_F_VERSION_1;
    set(device, DRIVER_FEATURES_SELECT, 0);
    set(device, DRIVER_FEATURES, (uint32_t)agreed);
    set(device, DRIVER_FEATURES_SELECT, 1);
    set(device, DRIVER_FEATURES, (uint32_t)(agreed >> 32));
    set(device, STATUS, STATUS_ACKNOWLEDGE | STATUS_DRIVER | STATUS_FEATURES_OK);
    return agreed;
}

bool virtio_add_queue(struct virtio_device *device, struct virtqueue *queue, uint16_t index, uint16_t size,
                      struct virtqueue_memory *memory)
{
    *queue = (struct virtqueue){.device = device, .memory = memory, .index = index, .size = size};
    set(device, QUEUE_SELECT, index);
    if (get(device, QUEUE_SIZE_MAX) < size)
        return false;
    set(device, QUEUE_SIZE, size);
    if (device->legacy) {
        set(device, LEGACY_QUEUE_ALIGN, VIRTQUEUE_ALIGN);
        set(device, LEGACY_QUEUE_PAGE, (uint32_t)((uintptr_t)memory / VIRTQUEUE_PAGE));
    } else {
        set_address(device, QUEUE_DESCRIPTORS, (uintptr_t)memory);
        set_address(device, QUEUE_AVAILABLE, virtqueue_available(queue));
        set_address(device, QUEUE_USED, virtqueue_used(queue));
        set(device, QUEUE_READY, 1);
    }
    return true;
}

/* The main loop looks at the queues after each wait, so the interrupt has only
 * to be quietened.  That comes first: what the device adds afterwards raises
 * the line again. */
static void acknowledge(void *context)
{
    const struct virtio_device *device = context;

    set(device, INTERRUPT_ACKNOWLEDGE, get(device, INTERRUPT_STATUS));
}

void virtio_start(struct virtio_device *device)
{
    uint32_t status = STATUS_ACKNOWLEDGE | STATUS_DRIVER | STATUS_DRIVER_OK;

    if (!device->legacy)
        status |= STATUS_FEATURES_OK;
    irq_attach(device->line, acknowledge, device);
    set(device, STATUS, status);
}

uint8_t virtio_config8(const struct virtio_device *device, unsigned int offset)
{
    return *(const volatile uint8_t *)(device->base + CONFIG + offset);
}

uint32_t virtio_config32(const struct virtio_device *device, unsigned int offset)
{
    return get(device, CONFIG + offset);
}

void virtio_notify(const struct virtio_device *device, uint16_t queue)
{
    set(device, QUEUE_NOTIFY, queue);
}
