/* Validators of an object, and the preconditions of a request that speak of them (RFC 9110, 8.8 and 13). */
#ifndef CONDITIONS_H
#define CONDITIONS_H

#include "request.h"
#include "table.h"

#define TAG_ROOM (2 * SHFS_DIGEST + 2 * 17 + 4)

struct validators {
    char tag[TAG_ROOM]; /* as it is sent, with W/ in front of a weak one */
    size_t tag_length;
    uint64_t modified; /* Unix seconds, not later than now */
};

/* The tag of an object is its digest.  Where the digest may stay while the content changes, time and place of the
 * entry are behind it: if digests are given by hand, and then it is weak; and if the size is a multiple of the chunk,
 * since the original leaves out the last chunk of such a file. */
void validators_of(struct validators *validators, const struct object *object, const struct table *table, uint64_t now);

enum condition { CONDITION_HOLDS, CONDITION_NOT_MODIFIED, CONDITION_FAILED };

/* In the order of RFC 9110, 13.2.2. */
enum condition conditions_check(const struct request *request, const struct validators *validators, uint64_t now);

/* Is this the representation that If-Range speaks of?  Only a strong tag or the very time can say so. */
bool range_is_meant(const struct request *request, const struct validators *validators, uint64_t now);

#endif
