/* A read is made in parts as long as the device takes, one after the other, and several reads at a time. */
#include "disk.h"

#include <string.h>

#include "heap.h"
#include "panic.h"

#define JOBS 32 /* reads under way at a time; the others wait */

struct disk {
    struct host_disk disk;
    struct blockdev *device;
};

struct job {
    struct blockdev_read part;
    struct host_read *read; /* NULL: not in use */
    uint32_t had;           /* bytes */
};

static struct job jobs[JOBS];
static struct host_read *first, **last = &first; /* that wait */

static void read_part(struct job *job)
{
    struct blockdev *device = ((struct disk *)job->read->disk)->device;
    const uint32_t left = (job->read->length - job->had) / BLOCKDEV_SECTOR;

    job->part.sector = (job->read->offset + job->had) / BLOCKDEV_SECTOR;
    job->part.count = left < device->most ? left : device->most;
    device->read(device, &job->part);
}

static void part_done(struct blockdev_read *part, const void *data);

static void begin(struct job *job)
{
    struct host_read *read = first;

    if (read == NULL)
        return;
    first = read->next;
    if (first == NULL)
        last = &first;
    *job = (struct job){.part.done = part_done, .read = read};
    read_part(job);
}

static void part_done(struct blockdev_read *part, const void *data)
{
    struct job *job = (struct job *)part;
    struct host_read *read = job->read;

    if (data != NULL) {
        memcpy((uint8_t *)read->buffer + job->had, data, (size_t)part->count * BLOCKDEV_SECTOR);
        job->had += part->count * BLOCKDEV_SECTOR;
        if (job->had < read->length) {
            read_part(job);
            return;
        }
    }
    job->read = NULL;
    read->done(read, data != NULL);
    if (job->read == NULL) /* it may have led to another one */
        begin(job);
}

static void on_read(struct host_disk *disk, struct host_read *read)
{
    read->disk = disk;
    read->next = NULL;
    *last = read;
    last = &read->next;
    for (int i = 0; i < JOBS; i++)
        if (jobs[i].read == NULL) {
            begin(&jobs[i]);
            return;
        }
}

struct host_disk *disk_of(struct blockdev *device)
{
    struct disk *disk = heap_allocate(sizeof *disk);

    if (disk == NULL)
        panic("no memory for a disk");
    *disk = (struct disk){{.size = device->sectors * BLOCKDEV_SECTOR, .read = on_read}, device};
    return &disk->disk;
}
