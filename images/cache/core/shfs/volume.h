/* A mounted volume: its members, its chunks in memory, and its table. */
#ifndef VOLUME_H
#define VOLUME_H

#include "chunks.h"
#include "label.h"
#include "table.h"

struct volume {
    struct shfs_label label;
    struct host_disk *members[SHFS_MEMBERS]; /* in the label's order */
    struct chunks chunks;
    struct table *table; /* NULL until it is mounted */
    size_t most_objects;

    /* A mount or a remount under way. */
    void (*done)(struct volume *volume, const char *wrong);
    struct host_disk *const *disks;
    size_t disk_count, disk; /* of disks[] that is being looked at */
    size_t cache_bytes;
    uint32_t generation;
    struct shfs_configuration configuration;
    struct table *next;
    uint64_t chunk, slots_read;
    uint8_t *label_bytes;
    struct host_read label_read;
    struct chunk_waiter waiter;
};

/* Begins to mount the volume that these disks are the members of, in any order; they stay the caller's.  done() is
 * called once, from the main loop, with NULL or what is wrong in words. */
void volume_mount(struct volume *volume, struct host_disk *const *disks, size_t count, size_t cache_bytes,
                  size_t most_objects, void (*done)(struct volume *volume, const char *wrong));

/* Reads the table again; the old one stays in use until done() is called with NULL.  Returns false, and nothing
 * happens, while one is under way. */
bool volume_remount(struct volume *volume, void (*done)(struct volume *volume, const char *wrong));

/* Gives all memory back; nothing may be under way. */
void volume_unmount(struct volume *volume);

#endif
