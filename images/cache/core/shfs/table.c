#include "table.h"

#include <string.h>

#include "host.h"
#include "little_endian.h"

#define SLAB 256 /* objects */

/* Of a slot. */
#define AT_ATTRIBUTES 64
#define AT_CREATED 172
#define AT_FLAGS 180
#define AT_NAME 181

#define FLAG_LINK 0x04
#define FLAG_DEFAULT 0x08

enum { HOST_IS_NAME, HOST_IS_IPV4 };

struct table *table_new(const struct shfs_label *label, const struct shfs_configuration *configuration, size_t most)
{
    struct table *table = host_allocate(sizeof *table);
    const size_t slabs = (most + SLAB - 1) / SLAB;

    if (table == NULL)
        return NULL;
    *table = (struct table){.holders = 1,
                            .digest_length = configuration->digest_length,
                            .function = configuration->function,
                            .chunk_size = shfs_chunk_size(label),
                            .chunks = label->chunks,
                            .seed = host_random(),
                            .most = most};
    table->slabs = host_allocate(slabs * sizeof *table->slabs);
    if (table->slabs == NULL) {
        host_free(table);
        return NULL;
    }
    memset(table->slabs, 0, slabs * sizeof *table->slabs);
    return table;
}

static struct object *object_at(const struct table *table, size_t number)
{
    return &table->slabs[number / SLAB][number % SLAB];
}

/* Text of a volume is padded with zeros, and not terminated where it fills its field. */
static uint8_t read_text(char *to, const uint8_t *from, size_t room)
{
    size_t length = 0;

    while (length < room && from[length] != '\0')
        length++;
    memcpy(to, from, length);
    return (uint8_t)length;
}

/* A file lies in the volume from its first byte to its last, or is none. */
static bool read_file(struct object *object, const uint8_t *slot, const struct table *table)
{
    const uint64_t first = read_64(slot), offset = read_64(slot + 8), size = read_64(slot + 16);
    const uint64_t end = table->chunks * table->chunk_size; /* the label is refused where this is too large */

    if (first >= table->chunks && size > 0)
        return false;
    if (size > 0 && (first == 0 || offset > end - first * table->chunk_size ||
                     size > end - first * table->chunk_size - offset))
        return false;
    object->kind = OBJECT_FILE;
    object->file.start = size > 0 ? first * table->chunk_size + offset : 0;
    object->file.size = size;
    object->file.mime_length = read_text(object->file.mime, slot + 24, OBJECT_MIME);
    object->file.encoding_length = read_text(object->file.encoding, slot + 56, OBJECT_ENCODING);
    return true;
}

static bool read_link(struct object *object, const uint8_t *slot)
{
    if (slot[0] == HOST_IS_NAME) {
        object->link.host_length = read_text(object->link.host, slot + 1, OBJECT_HOST);
    } else if (slot[0] == HOST_IS_IPV4) {
        struct writer host = writer_on(object->link.host, OBJECT_HOST);

        for (int i = 0; i < 4; i++) {
            write_string(&host, i > 0 ? "." : "");
            write_number(&host, slot[1 + i]);
        }
        object->link.host_length = (uint8_t)host.length;
    }
    object->link.port = read_16(slot + 34);
    object->link.path_length = read_text(object->link.path, slot + 36, OBJECT_PATH);
    if (object->link.host_length == 0 || object->link.port == 0 || slot[107] > 2)
        return false;
    object->kind = (uint8_t)(OBJECT_REDIRECT + slot[107]);
    return true;
}

static bool is_free(const uint8_t *slot, uint32_t digest_length)
{
    for (uint32_t i = 0; i < digest_length; i++)
        if (slot[i] != 0)
            return false;
    return true;
}

const char *table_add(struct table *table, const uint8_t *slot)
{
    struct object *object;

    if (is_free(slot, table->digest_length))
        return NULL;
    if (table->count == table->most)
        return "it has more objects than there may be";
    if (table->slabs[table->count / SLAB] == NULL &&
        (table->slabs[table->count / SLAB] = host_allocate(SLAB * sizeof *object)) == NULL)
        return "there is not enough memory for its objects";
    object = object_at(table, table->count);
    memset(object, 0, sizeof *object);
    memcpy(object->digest, slot, table->digest_length);
    object->created = read_64(slot + AT_CREATED);
    object->name_length = read_text(object->name, slot + AT_NAME, OBJECT_NAME);
    if (slot[AT_FLAGS] & FLAG_LINK ? !read_link(object, slot + AT_ATTRIBUTES)
                                   : !read_file(object, slot + AT_ATTRIBUTES, table)) {
        table->misfits++;
        return NULL;
    }
    table->count++;
    if (slot[AT_FLAGS] & FLAG_DEFAULT)
        table->preset = object;
    return NULL;
}

/* FNV-1a from a start that nobody knows, so that nobody can make up names that are all alike to it. */
static uint32_t hash(const struct table *table, const void *bytes, size_t length)
{
    const uint8_t *byte = bytes;
    uint64_t value = table->seed ^ 0xcbf29ce484222325ULL;

    for (size_t i = 0; i < length; i++)
        value = (value ^ byte[i]) * 0x100000001b3ULL;
    return (uint32_t)(value >> 32 ^ value);
}

static bool has_name(const struct object *object, struct text name)
{
    return object->name_length == name.length && memcmp(object->name, name.at, name.length) == 0;
}

const struct object *table_by_digest(const struct table *table, const uint8_t *digest, size_t length)
{
    if (length != table->digest_length)
        return NULL;
    for (uint32_t at = hash(table, digest, length) & table->mask; table->by_digest[at] != 0;
         at = (at + 1) & table->mask) {
        const struct object *object = object_at(table, table->by_digest[at] - 1);

        if (memcmp(object->digest, digest, length) == 0)
            return object;
    }
    return NULL;
}

const struct object *table_by_name(const struct table *table, struct text name)
{
    if (name.length == 0 || name.length > OBJECT_NAME)
        return NULL;
    for (uint32_t at = hash(table, name.at, name.length) & table->mask; table->by_name[at] != 0;
         at = (at + 1) & table->mask) {
        const struct object *object = object_at(table, table->by_name[at] - 1);

        if (has_name(object, name))
            return object;
    }
    return NULL;
}

/* What has the same digest or name as one before it is not put in, so a hostile volume makes no long searches. */
static void index_object(struct table *table, uint32_t number)
{
    const struct object *object = object_at(table, number);
    const struct text name = {object->name, object->name_length};
    uint32_t at;

    if (table_by_digest(table, object->digest, table->digest_length) == NULL) {
        for (at = hash(table, object->digest, table->digest_length) & table->mask; table->by_digest[at] != 0;)
            at = (at + 1) & table->mask;
        table->by_digest[at] = number + 1;
    }
    if (name.length > 0 && table_by_name(table, name) == NULL) {
        for (at = hash(table, name.at, name.length) & table->mask; table->by_name[at] != 0;)
            at = (at + 1) & table->mask;
        table->by_name[at] = number + 1;
    }
}

const char *table_finish(struct table *table)
{
    size_t places = 16;

    while (places < 2 * table->count)
        places *= 2;
    table->mask = (uint32_t)places - 1;
    table->by_digest = host_allocate(places * sizeof *table->by_digest);
    table->by_name = host_allocate(places * sizeof *table->by_name);
    if (table->by_digest == NULL || table->by_name == NULL)
        return "there is not enough memory to find its objects";
    memset(table->by_digest, 0, places * sizeof *table->by_digest);
    memset(table->by_name, 0, places * sizeof *table->by_name);
    for (size_t i = 0; i < table->count; i++)
        index_object(table, (uint32_t)i);
    return NULL;
}

void table_hold(struct table *table)
{
    table->holders++;
}

void table_release(struct table *table)
{
    if (--table->holders > 0)
        return;
    for (size_t i = 0; i < (table->most + SLAB - 1) / SLAB && table->slabs[i] != NULL; i++)
        host_free(table->slabs[i]);
    host_free(table->slabs);
    host_free(table->by_digest);
    host_free(table->by_name);
    host_free(table);
}
