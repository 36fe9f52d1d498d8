/* Label and configuration of an SHFS volume, format 2.01 (shfs(5)): read, and believed only where they fit together. */
#ifndef LABEL_H
#define LABEL_H

#include <stdbool.h>
#include <stdint.h>

#define SHFS_LABEL_BYTES 4096 /* at the start of each member */
#define SHFS_MEMBERS 16
#define SHFS_UUID 16
#define SHFS_SLOT 256
#define SHFS_DIGEST 64 /* bytes at most */

struct shfs_label {
    uint8_t volume[SHFS_UUID];
    uint64_t chunks; /* of the volume, numbered from 0 */
    bool combined;   /* a chunk is a stripe of each member; else it is one stripe */
    uint32_t stripe; /* bytes */
    uint8_t member[SHFS_UUID];
    uint32_t member_count;
    uint8_t members[SHFS_MEMBERS][SHFS_UUID]; /* in their order */
};

enum shfs_function { SHFS_MANUAL = 1, SHFS_SHA, SHFS_CRC, SHFS_MD5, SHFS_HAVAL };

struct shfs_configuration {
    uint64_t table; /* its first chunk */
    enum shfs_function function;
    uint32_t digest_length;
    uint64_t slots;
};

/* Reads the first SHFS_LABEL_BYTES of a member.  Returns NULL, or what is wrong in words. */
const char *shfs_read_label(struct shfs_label *label, const uint8_t *bytes);

/* Are these labels of the same volume? */
bool shfs_same_volume(const struct shfs_label *one, const struct shfs_label *other);

/* Reads the start of chunk 1.  Returns NULL, or what is wrong in words. */
const char *shfs_read_configuration(struct shfs_configuration *configuration, const uint8_t *bytes,
                                    const struct shfs_label *label);

/* Bytes of a chunk. */
uint32_t shfs_chunk_size(const struct shfs_label *label);

/* Bytes that each member has to have for the last chunk to be there; 0 if there cannot be so many. */
uint64_t shfs_member_size(const struct shfs_label *label);

/* A part of a chunk lies on one member. */
struct shfs_part {
    uint32_t member;
    uint64_t offset; /* on the member, in bytes */
};

/* How many parts a chunk has, a stripe each. */
uint32_t shfs_part_count(const struct shfs_label *label);

/* Part `number` of a chunk, which is 1 or more. */
struct shfs_part shfs_part_of(const struct shfs_label *label, uint64_t chunk, uint32_t number);

#endif
