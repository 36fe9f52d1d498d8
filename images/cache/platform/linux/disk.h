/* Files and block devices as disks.  What the kernel has in memory is read at once; the rest by a thread, so that a
 * slow disk holds nobody up who wants something else. */
#ifndef DISK_H
#define DISK_H

#include <stdbool.h>

#include "host.h"

/* Starts the thread, and watches for what it has read. */
void disks_init(void);

/* Opens a volume's member for reading.  NULL, with errno set, if it cannot be opened. */
struct host_disk *disk_open(const char *path);

/* Tells the owners of the reads that were done in this turn, and those whom these led to. */
void disks_settle(void);

/* Waits for the thread's last read and ends it.  What was asked for is forgotten. */
void disks_end(void);

#endif
