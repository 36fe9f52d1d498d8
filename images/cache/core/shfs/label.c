#include "label.h"

#include <string.h>

#include "little_endian.h"

#define HEADER 1024 /* where it begins in the label */
#define STRIPE_MIN 4096
#define STRIPE_MAX 32768

const char *shfs_read_label(struct shfs_label *label, const uint8_t *bytes)
{
    const uint8_t *header = bytes + HEADER;

    if (memcmp(header, "SHFS", 4) != 0)
        return "there is no SHFS label";
    if (header[4] != 2 || header[5] != 1)
        return "it is not of SHFS version 2.01";
    if (header[38] != 0)
        return "it is big-endian";
    memcpy(label->volume, header + 6, SHFS_UUID);
    label->chunks = read_64(header + 40);
    label->combined = header[56] == 1;
    label->stripe = read_32(header + 57);
    memcpy(label->member, header + 61, SHFS_UUID);
    label->member_count = header[77];
    memcpy(label->members, header + 78, sizeof label->members);
    if (label->member_count < 1 || label->member_count > SHFS_MEMBERS)
        return "the number of members is not 1 to 16";
    if (header[56] > 1)
        return "the stripe mode is unknown";
    if (label->stripe < STRIPE_MIN || label->stripe > STRIPE_MAX || (label->stripe & (label->stripe - 1)) != 0)
        return "the stripe size is not a power of two from 4096 to 32768";
    if (label->chunks < 3)
        return "it has no room for a table";
    if (shfs_member_size(label) == 0)
        return "the number of chunks is too large";
    return NULL;
}

bool shfs_same_volume(const struct shfs_label *one, const struct shfs_label *other)
{
    return memcmp(one->volume, other->volume, SHFS_UUID) == 0 && one->chunks == other->chunks &&
           one->combined == other->combined && one->stripe == other->stripe &&
           one->member_count == other->member_count &&
           memcmp(one->members, other->members, one->member_count * sizeof one->members[0]) == 0;
}

const char *shfs_read_configuration(struct shfs_configuration *configuration, const uint8_t *bytes,
                                    const struct shfs_label *label)
{
    const uint64_t in_a_chunk = shfs_chunk_size(label) / SHFS_SLOT;
    uint64_t chunks;

    configuration->table = read_64(bytes);
    configuration->digest_length = bytes[17];
    configuration->slots = (uint64_t)read_32(bytes + 18) * read_32(bytes + 22);
    if (bytes[16] < SHFS_MANUAL || bytes[16] > SHFS_HAVAL)
        return "the hash function is unknown";
    configuration->function = (enum shfs_function)bytes[16];
    if (configuration->digest_length < 1 || configuration->digest_length > SHFS_DIGEST)
        return "the digests are not of 1 to 64 bytes";
    if (configuration->slots == 0 || configuration->slots > UINT32_MAX)
        return "the table has no slots, or too many";
    chunks = (configuration->slots + in_a_chunk - 1) / in_a_chunk;
    if (configuration->table < 2 || configuration->table > label->chunks ||
        chunks > label->chunks - configuration->table)
        return "the table does not lie in the volume";
    return NULL;
}

uint32_t shfs_chunk_size(const struct shfs_label *label)
{
    return label->combined ? label->stripe * label->member_count : label->stripe;
}

uint64_t shfs_member_size(const struct shfs_label *label)
{
    /* Stripes on a member: those of the chunks from 1 on, and the one that the label is in. */
    const uint64_t others = label->chunks - 1;
    const uint64_t stripes = 1 + (label->combined ? others : (others + label->member_count - 1) / label->member_count);

    /* A position in the volume has to fit into 64 bits too. */
    return label->chunks > UINT64_MAX / STRIPE_MAX / SHFS_MEMBERS / 2 ? 0 : stripes * label->stripe;
}

uint32_t shfs_part_count(const struct shfs_label *label)
{
    return label->combined ? label->member_count : 1;
}

struct shfs_part shfs_part_of(const struct shfs_label *label, uint64_t chunk, uint32_t number)
{
    if (label->combined)
        return (struct shfs_part){number, chunk * label->stripe};
    return (struct shfs_part){(uint32_t)((chunk - 1) % label->member_count),
                              (1 + (chunk - 1) / label->member_count) * label->stripe};
}
