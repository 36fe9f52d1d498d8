/* The driver of virtio disks and its queue, against a device that is made up here. */
#include "virtio_block.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "blockdev.h"
#include "heap.h"
#include "panic.h"

#define SECTORS 5000
#define MOST 128
#define SLOTS 8
#define ENTRIES 32
#define READS 40
#define PANICKED 7
#define ANSWER_ERROR 1 /* VIRTIO_BLK_S_IOERR */

/* --- what the driver stands on ------------------------------------------------ */
static struct virtqueue *queues[2]; /* by the device's `line` */
static unsigned int started, kicks;
static bool small; /* its queue has too few entries */

uint64_t virtio_negotiate(struct virtio_device *device, uint64_t wanted)
{
    (void)device;
    assert(wanted == 0);
    return 0;
}

uint32_t virtio_config32(const struct virtio_device *device, unsigned int offset)
{
    return offset == 0 ? SECTORS + device->line : device->line;
}

bool virtio_add_queue(struct virtio_device *device, struct virtqueue *queue, uint16_t index, uint16_t size,
                      struct virtqueue_memory *memory)
{
    assert(index == 0 && size == ENTRIES);
    *queue = (struct virtqueue){.device = device, .memory = memory, .index = index, .size = size};
    queues[device->line] = queue;
    return !small;
}

void virtio_start(struct virtio_device *device)
{
    (void)device;
    started++;
}

void virtio_notify(const struct virtio_device *device, uint16_t queue)
{
    assert(queue == 0 && queues[device->line]->device == device);
    kicks++;
}

void panic(const char *message, ...)
{
    (void)message;
    exit(PANICKED);
}

void *heap_take_pages(size_t count)
{
    void *pages = aligned_alloc(4096, count * 4096);

    memset(pages, 0xa5, count * 4096);
    return pages;
}

/* --- the device ------------------------------------------------------------------ */
static uint16_t taken[64]; /* heads of the requests that it has */
static unsigned int taken_count;

static void take_requests(void)
{
    static uint16_t seen;
    const uint16_t *available = (const uint16_t *)virtqueue_available(queues[0]);

    for (; seen != available[1]; seen++)
        taken[taken_count++] = available[2 + seen % ENTRIES];
}

static uint8_t content(uint64_t sector, unsigned int at)
{
    return (uint8_t)(sector * 31 + sector / 256 + at);
}

static void use(uint16_t id, uint32_t length)
{
    uint16_t *used = (uint16_t *)virtqueue_used(queues[0]);
    uint32_t *place = (uint32_t *)(used + 2) + 2 * (used[1] % ENTRIES);

    place[0] = id;
    place[1] = length;
    used[1]++;
}

/* The sectors of a request; what it says is looked at. */
static uint32_t sectors_of(uint16_t head, uint64_t *sector)
{
    const struct virtqueue_memory *memory = queues[0]->memory;
    const uint16_t data = memory->descriptors[head].next, status = memory->descriptors[data].next;

    assert(memory->descriptors[head].flags == 1 && memory->descriptors[head].length == 16);
    assert(memory->descriptors[data].flags == 3 && memory->descriptors[data].length % 512 == 0);
    assert(memory->descriptors[status].flags == 2 && memory->descriptors[status].length == 1);
    assert(*(const uint32_t *)memory->descriptors[head].address == 0);
    *sector = *(const uint64_t *)(memory->descriptors[head].address + 8);
    return memory->descriptors[data].length / 512;
}

static void answer(unsigned int which, uint8_t status)
{
    const uint16_t head = taken[which];
    uint64_t sector;
    const uint32_t count = sectors_of(head, &sector);
    uint8_t *data = (uint8_t *)queues[0]->memory->descriptors[head + 1].address;

    taken[which] = taken[--taken_count];
    for (unsigned int i = 0; status == 0 && i < count * BLOCKDEV_SECTOR; i++)
        data[i] = content(sector + i / BLOCKDEV_SECTOR, i % BLOCKDEV_SECTOR);
    *(uint8_t *)queues[0]->memory->descriptors[head + 2].address = status;
    use(head, count * BLOCKDEV_SECTOR + 1);
}

/* --- who reads ---------------------------------------------------------------------- */
static struct {
    struct blockdev_read read;
    bool under_way;
} reads[READS];
static unsigned int good, bad, again; /* `again`: so many more reads are begun from within done() */

static void begin(unsigned int which, uint64_t sector, uint32_t count);

static void done(struct blockdev_read *read, const void *data)
{
    const unsigned int which = (unsigned int)((__typeof__(&reads[0]))read - reads);
    const uint64_t sector = read->sector;

    assert(reads[which].under_way);
    reads[which].under_way = false;
    /* The device may be quicker than who looks at the data. */
    if (again > 0 && again--) {
        begin(which, read->sector + 1, read->count);
        take_requests();
        if (taken_count > 0)
            answer(taken_count - 1, 0);
    }
    for (unsigned int i = 0; data != NULL && i < read->count * BLOCKDEV_SECTOR; i++)
        assert(((const uint8_t *)data)[i] == content(sector + i / BLOCKDEV_SECTOR, i % BLOCKDEV_SECTOR));
    good += data != NULL;
    bad += data == NULL;
}

static void begin(unsigned int which, uint64_t sector, uint32_t count)
{
    reads[which].read = (struct blockdev_read){.sector = sector, .count = count, .done = done};
    reads[which].under_way = true;
    blockdev_get(0)->read(blockdev_get(0), &reads[which].read);
}

static void start(unsigned int line, bool legacy)
{
    const struct virtio_device device = {.base = 1, .line = line, .legacy = legacy};

    virtio_block_start(&device);
}

static void check_reads(void)
{
    assert(!virtio_block_poll());
    for (uint32_t count = 1; count <= MOST; count++) {
        uint64_t sector;

        begin(0, count * 13, count);
        take_requests();
        assert(taken_count == 1 && sectors_of(taken[0], &sector) == count && sector == count * 13);
        assert(!virtio_block_poll());
        answer(0, 0);
        assert(virtio_block_poll() && good == count && !virtio_block_poll());
    }
    assert(kicks == MOST);
}

/* More than there is room for, begun from within done() too, and answered in any order. */
static void check_a_crowd(void)
{
    const unsigned int before = good;

    again = 50;
    for (unsigned int i = 0; i < READS; i++)
        begin(i, i * 100 + 3, 1 + i * 3);
    take_requests();
    assert(taken_count == SLOTS);
    for (unsigned int turn = 0; good < before + READS + 50; turn++) {
        take_requests();
        for (unsigned int some = 1 + turn % 3; some > 0 && taken_count > 0; some--)
            answer(turn * 7 % taken_count, 0);
        assert(virtio_block_poll());
    }
    take_requests();
    assert(taken_count == 0 && again == 0 && bad == 0);
}

static void check_failures(void)
{
    const unsigned int before = good;

    begin(0, 17, 2);
    begin(1, 17, 3);
    take_requests();
    answer(0, ANSWER_ERROR);
    answer(0, 0);
    assert(virtio_block_poll() && bad == 1 && good == before + 1);
    begin(0, 18, 1);
    take_requests();
    answer(0, 0);
    assert(virtio_block_poll() && good == before + 2);
    begin(0, 18, 1);
    take_requests();
    /* It says that it has done it, and wrote nothing. */
    use(taken[--taken_count], 0);
    assert(virtio_block_poll() && bad == 2 && good == before + 2);
}

static void in_a_child(void (*check)(void), int status)
{
    const pid_t child = fork();
    int ended;

    if (child == 0) {
        check();
        exit(0);
    }
    assert(waitpid(child, &ended, 0) == child && WIFEXITED(ended) && WEXITSTATUS(ended) == status);
}

static void check_lies(void)
{
    start(0, false);
    begin(0, 1, 1);
    use(3, 513); /* nothing is under way there */
    virtio_block_poll();
}

static void check_parts(void)
{
    start(0, false);
    begin(0, 1, 1);
    use(1, 513); /* the middle of a request */
    virtio_block_poll();
}

static void check_too_small(void)
{
    small = true;
    start(0, true);
}

int main(void)
{
    assert(blockdev_get(0) == NULL && !virtio_block_poll());
    in_a_child(check_lies, PANICKED);
    in_a_child(check_parts, PANICKED);
    in_a_child(check_too_small, PANICKED);
    start(0, true);
    start(1, false);
    assert(started == 2 && blockdev_get(0)->most == MOST && blockdev_get(2) == NULL);
    assert(blockdev_get(0)->sectors == SECTORS && blockdev_get(1)->sectors == (1ULL << 32) + SECTORS + 1);
    check_reads();
    check_a_crowd();
    check_failures();
    puts("virtio_block_test: ok");
}
