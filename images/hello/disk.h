/* Reads of disks that a page waits for. */
#ifndef DISK_H
#define DISK_H

#include <stddef.h>
#include <stdint.h>

struct blockdev;
struct disk_read;

/* Begins to read; NULL if there are too many reads already, or for want of memory.  The end
 * is told later, with the bytes, which last until the release, or NULL if they cannot be read. */
struct disk_read *disk_read(struct blockdev *disk, uint64_t sector, uint32_t count,
                            void (*told)(void *context, const void *bytes), void *context);

/* Frees it.  Of one that has not ended nothing will be told.  NULL is ignored. */
void disk_release(struct disk_read *read);

#endif
