/* A volume whose label, configuration and table are the input: it is refused, or all of its objects can be read without
 * a look outside its member. */
#include <assert.h>
#include <string.h>

#include "volume.h"

#define SIZE (4 << 20)
#define LABEL 334
#define CONFIGURATION 27
#define OBJECTS 500

static const uint8_t *input;
static size_t input_size;
static struct host_read *due, **last = &due;
static const char *outcome;
static bool told;

/* The input's bytes, and zeros behind them. */
static void fill(uint8_t *to, size_t from, size_t count)
{
    const size_t there = from < input_size ? input_size - from : 0;

    memset(to, 0, count);
    if (there > 0)
        memcpy(to, input + from, there < count ? there : count);
}

static void on_read(struct host_disk *disk, struct host_read *read)
{
    assert(read->length > 0 && read->length % HOST_SECTOR == 0 && read->offset % HOST_SECTOR == 0);
    assert(read->offset <= disk->size && read->length <= disk->size - read->offset);
    read->next = NULL;
    *last = read;
    last = &read->next;
}

static void do_reads(void)
{
    while (due != NULL) {
        struct host_read *read = due;
        uint8_t *to = read->buffer;

        due = read->next;
        if (due == NULL)
            last = &due;
        if (read->offset == 0 && read->length == SHFS_LABEL_BYTES) {
            memset(to, 0, read->length);
            memcpy(to + 1024, "SHFS\2\1", 6);
            fill(to + 1030, 0, LABEL - 6);
        } else if (read->offset == read->length) { /* chunk 1 of a volume of one member */
            memset(to, 0, read->length);
            fill(to, LABEL - 6, CONFIGURATION);
        } else {
            fill(to, LABEL - 6 + CONFIGURATION, read->length);
        }
        read->done(read, input_size == 0 || input[input_size - 1] != 0xfe || read->offset % 3 != 1);
    }
}

static void on_done(struct volume *volume, const char *wrong)
{
    (void)volume;
    assert(!told);
    told = true;
    outcome = wrong;
}

static struct chunk *got;

static void on_chunk(struct chunk_waiter *waiter, struct chunk *chunk)
{
    (void)waiter;
    got = chunk;
}

static void read_chunk(struct volume *volume, uint64_t number)
{
    struct chunk_waiter waiter = {.ready = on_chunk};
    struct chunk *chunk = NULL;

    got = NULL;
    list_init(&waiter.link);
    switch (chunks_get(&volume->chunks, volume->table->generation, number, &waiter, &chunk)) {
    case CHUNKS_WAIT:
        do_reads();
        chunk = got;
        break;
    case CHUNKS_READY:
        break;
    case CHUNKS_STARVED:
        assert(false);
    }
    if (chunk != NULL)
        chunks_release(&volume->chunks, chunk);
}

static void read_object(struct volume *volume, const struct object *object)
{
    if (object->kind != OBJECT_FILE || object->file.size == 0)
        return;
    assert(object->file.start >= volume->chunks.size);
    read_chunk(volume, object->file.start / volume->chunks.size);
    read_chunk(volume, (object->file.start + object->file.size - 1) / volume->chunks.size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct volume volume;
    static struct host_disk disk = {.size = SIZE, .read = on_read};
    static struct host_disk *disks[] = {&disk};

    input = data;
    input_size = size;
    for (int mount = 0; mount < 2; mount++) {
        told = false;
        if (mount == 0)
            volume_mount(&volume, disks, 1, 0, OBJECTS, on_done);
        else if (!volume_remount(&volume, on_done))
            break;
        do_reads();
        assert(told);
        if (outcome == NULL) {
            for (size_t i = 0; i < volume.table->count; i++) {
                const struct object *object = &volume.table->slabs[i / 256][i % 256];

                assert(table_by_digest(volume.table, object->digest, volume.table->digest_length) != NULL);
                read_object(&volume, object);
            }
        }
    }
    volume_unmount(&volume);
    return 0;
}
