/* The objects of a volume as its table told them at one moment: found by digest, and by name. */
#ifndef TABLE_H
#define TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "label.h"
#include "text.h"

#define OBJECT_NAME 64
#define OBJECT_MIME 32
#define OBJECT_ENCODING 16
#define OBJECT_HOST 32
#define OBJECT_PATH 71

enum object_kind { OBJECT_FILE, OBJECT_REDIRECT, OBJECT_RAW, OBJECT_AUTO };

struct object {
    uint8_t digest[SHFS_DIGEST]; /* zeros behind its end */
    char name[OBJECT_NAME];
    uint64_t created; /* Unix seconds */
    uint8_t name_length, kind;
    union {
        struct {
            uint64_t start; /* a position in the volume, in bytes */
            uint64_t size;
            char mime[OBJECT_MIME], encoding[OBJECT_ENCODING];
            uint8_t mime_length, encoding_length;
        } file;
        struct {
            char host[OBJECT_HOST], path[OBJECT_PATH]; /* the path without its slash; an address is written out */
            uint8_t host_length, path_length;
            uint16_t port;
        } link;
    };
};

struct table {
    uint32_t generation;
    uint32_t holders; /* the volume, and each response that is on its way */
    uint32_t digest_length, chunk_size;
    uint64_t chunks; /* of the volume */
    enum shfs_function function;
    uint64_t seed;
    size_t count, most, misfits;
    struct object **slabs;
    uint32_t *by_digest, *by_name, mask; /* numbers of objects, counted from 1 */
    const struct object *preset;         /* what an empty request gets, or NULL */
};

/* An empty table, or NULL for want of memory. */
struct table *table_new(const struct shfs_label *label, const struct shfs_configuration *configuration, size_t most);

/* Takes in one slot; slots come in their order.  An entry of which a part would lie outside the volume is left out and
 * counted in `misfits`.  Returns NULL, or what is wrong with the volume in words. */
const char *table_add(struct table *table, const uint8_t *slot);

/* All slots are there: makes them findable.  Returns NULL, or what is wrong. */
const char *table_finish(struct table *table);

/* The object, or NULL.  Of several with a name it is the first of the table. */
const struct object *table_by_digest(const struct table *table, const uint8_t *digest, size_t length);
const struct object *table_by_name(const struct table *table, struct text name);

void table_hold(struct table *table);

/* The last one who releases a table frees it. */
void table_release(struct table *table);

#endif
