#include "volume.h"

#include <string.h>

#define TABLE_AHEAD 8 /* chunks */

static void read_next_label(struct volume *volume);
static void read_next_chunk(struct volume *volume);

static void finish(struct volume *volume, const char *wrong)
{
    void (*done)(struct volume *, const char *) = volume->done;

    host_free(volume->label_bytes);
    volume->label_bytes = NULL;
    if (volume->next != NULL && wrong == NULL) {
        if (volume->table != NULL)
            table_release(volume->table);
        volume->table = volume->next;
    } else if (volume->next != NULL) {
        table_release(volume->next);
    }
    volume->next = NULL;
    volume->done = NULL;
    done(volume, wrong);
}

/* The label of one more member; NULL, or what is wrong. */
static const char *take_label(struct volume *volume)
{
    struct host_disk *disk = volume->disks[volume->disk];
    struct shfs_label label;
    const char *wrong = shfs_read_label(&label, volume->label_bytes);
    uint32_t place = 0;

    if (wrong != NULL)
        return wrong;
    if (volume->disk == 0 && volume->table == NULL)
        volume->label = label;
    if (!shfs_same_volume(&volume->label, &label))
        return volume->table == NULL ? "its members are not of one volume" : "it has been formatted anew";
    if (label.member_count != volume->disk_count)
        return "it does not have as many members as it should";
    while (place < label.member_count && memcmp(label.members[place], label.member, SHFS_UUID) != 0)
        place++;
    if (place == label.member_count)
        return "a member is not in its own list of members";
    if (volume->table == NULL && volume->members[place] != NULL)
        return "a member is there twice";
    if (disk->size < shfs_member_size(&label))
        return "a member is too small";
    volume->members[place] = disk;
    return NULL;
}

static void label_done(struct host_read *read, bool ok)
{
    struct volume *volume = read->owner;
    const char *wrong = ok ? take_label(volume) : "a label cannot be read";

    if (wrong != NULL) {
        finish(volume, wrong);
    } else if (++volume->disk < volume->disk_count) {
        read_next_label(volume);
    } else if (volume->table == NULL &&
               !chunks_init(&volume->chunks, &volume->label, volume->members, volume->cache_bytes)) {
        finish(volume, "there is not enough memory for its chunks");
    } else {
        volume->chunk = 1;
        read_next_chunk(volume);
    }
}

static void read_next_label(struct volume *volume)
{
    struct host_disk *disk = volume->disks[volume->disk];

    volume->label_read = (struct host_read){
        .length = SHFS_LABEL_BYTES, .buffer = volume->label_bytes, .done = label_done, .owner = volume};
    disk->read(disk, &volume->label_read);
}

static const char *take_configuration(struct volume *volume, const uint8_t *bytes)
{
    const char *wrong = shfs_read_configuration(&volume->configuration, bytes, &volume->label);

    if (wrong != NULL)
        return wrong;
    volume->next = table_new(&volume->label, &volume->configuration, volume->most_objects);
    if (volume->next == NULL)
        return "there is not enough memory for its table";
    volume->next->generation = volume->generation;
    return NULL;
}

static const char *take_slots(struct volume *volume, const uint8_t *bytes)
{
    const uint32_t in_a_chunk = volume->chunks.size / SHFS_SLOT;
    const char *wrong = NULL;

    for (uint32_t i = 0; i < in_a_chunk && volume->slots_read < volume->configuration.slots && wrong == NULL; i++) {
        wrong = table_add(volume->next, bytes + (size_t)i * SHFS_SLOT);
        volume->slots_read++;
    }
    return wrong;
}

/* The configuration, or another chunk of the table. */
static void take_chunk(struct volume *volume, struct chunk *chunk)
{
    const char *wrong = volume->chunk == 1 ? take_configuration(volume, chunk->data) : take_slots(volume, chunk->data);
    const bool whole = volume->next != NULL && volume->slots_read == volume->configuration.slots;

    chunks_release(&volume->chunks, chunk);
    volume->chunk = volume->chunk == 1 ? volume->configuration.table : volume->chunk + 1;
    if (wrong == NULL && whole)
        wrong = table_finish(volume->next);
    if (wrong != NULL || whole)
        finish(volume, wrong);
    else
        read_next_chunk(volume);
}

static void chunk_ready(struct chunk_waiter *waiter, struct chunk *chunk)
{
    struct volume *volume = LIST_ELEMENT(waiter, struct volume, waiter);

    if (chunk != NULL)
        take_chunk(volume, chunk);
    else
        finish(volume, "its table cannot be read");
}

/* There was no buffer, and now there is. */
static void chunk_possible(struct chunk_waiter *waiter, struct chunk *chunk)
{
    (void)chunk;
    read_next_chunk(LIST_ELEMENT(waiter, struct volume, waiter));
}

/* A chunk that is there already is taken in the same turn of the main loop, so this calls itself: but only for those
 * that were read ahead. */
static void read_next_chunk(struct volume *volume)
{
    struct chunk *chunk;

    if (volume->chunk > 1)
        for (uint64_t i = 1; i <= TABLE_AHEAD && volume->chunk + i < volume->label.chunks; i++)
            chunks_expect(&volume->chunks, volume->generation, volume->chunk + i);
    volume->waiter.ready = chunk_ready;
    switch (chunks_get(&volume->chunks, volume->generation, volume->chunk, &volume->waiter, &chunk)) {
    case CHUNKS_READY:
        take_chunk(volume, chunk);
        break;
    case CHUNKS_WAIT:
        break;
    case CHUNKS_STARVED:
        volume->waiter.ready = chunk_possible;
        chunks_starve(&volume->chunks, &volume->waiter);
        break;
    }
}

static void begin(struct volume *volume, void (*done)(struct volume *volume, const char *wrong))
{
    volume->done = done;
    volume->disk = 0;
    volume->slots_read = 0;
    volume->generation++;
    volume->label_bytes = host_allocate(SHFS_LABEL_BYTES);
    list_init(&volume->waiter.link);
    if (volume->label_bytes == NULL)
        finish(volume, "there is not enough memory for its label");
    else
        read_next_label(volume);
}

void volume_mount(struct volume *volume, struct host_disk *const *disks, size_t count, size_t cache_bytes,
                  size_t most_objects, void (*done)(struct volume *volume, const char *wrong))
{
    *volume = (struct volume){
        .disks = disks, .disk_count = count, .cache_bytes = cache_bytes, .most_objects = most_objects};
    begin(volume, done);
}

bool volume_remount(struct volume *volume, void (*done)(struct volume *volume, const char *wrong))
{
    if (volume->done != NULL || volume->table == NULL)
        return false;
    begin(volume, done);
    return true;
}

void volume_unmount(struct volume *volume)
{
    if (volume->table != NULL)
        table_release(volume->table);
    chunks_free(&volume->chunks);
    *volume = (struct volume){0};
}
