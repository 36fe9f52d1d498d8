#include "disk.h"

#include <stdbool.h>
#include <string.h>

#include "blockdev.h"
#include "heap.h"

/* Reads at the same time, answers under way included: they must not take the memory that
 * everything else needs. */
#define READS_MAX 16

struct disk_read {
    struct blockdev_read read;
    bool ended;
    void (*told)(void *context, const void *bytes); /* NULL: nobody waits any more */
    void *context;
    uint8_t bytes[];
};

static unsigned int reads;

static void done(struct blockdev_read *of, const void *data)
{
    struct disk_read *read = (struct disk_read *)of;

    read->ended = true;
    if (read->told == NULL) {
        disk_release(read);
        return;
    }
    if (data != NULL)
        memcpy(read->bytes, data, (size_t)read->read.count * BLOCKDEV_SECTOR);
    read->told(read->context, data == NULL ? NULL : read->bytes);
}

struct disk_read *disk_read(struct blockdev *disk, uint64_t sector, uint32_t count,
                            void (*told)(void *context, const void *bytes), void *context)
{
    struct disk_read *read =
        reads == READS_MAX ? NULL : heap_allocate(sizeof *read + (size_t)count * BLOCKDEV_SECTOR);

    if (read == NULL)
        return NULL;
    reads++;
    read->read = (struct blockdev_read){.sector = sector, .count = count, .done = done};
    read->ended = false;
    read->told = told;
    read->context = context;
    disk->read(disk, &read->read);
    return read;
}

void disk_release(struct disk_read *read)
{
    if (read == NULL)
        return;
    read->told = NULL;
    if (!read->ended) /* the device has it */
        return;
    reads--;
    heap_free(read);
}
