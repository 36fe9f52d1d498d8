/* What a request asks for: its target (RFC 9112, 3.2), read as MiniCache reads it.
 *
 * Leading slashes are taken off, and a query behind a name is cut off.  What is left is a name; `?HEX` asks for a
 * digest, nothing for the default object. */
#ifndef TARGET_H
#define TARGET_H

#include "label.h"
#include "table.h"
#include "text.h"

enum target_kind { TARGET_DEFAULT, TARGET_NAME, TARGET_DIGEST, TARGET_SERVER, TARGET_NOTHING };

#define TARGET_HOST 255 /* bytes of a host's name at most */

struct target {
    enum target_kind kind; /* TARGET_NOTHING: a name or a digest that no object can have */
    bool has_host;         /* the target is absolute; its host counts, and not the field Host */
    struct text host;
    size_t length;
    union {
        char name[OBJECT_NAME];
        uint8_t digest[SHFS_DIGEST];
    };
};

/* False for what is no target of HTTP. */
bool target_read(struct target *target, struct text text);

/* Is this a host, with or without a port, as Host has it? */
bool target_is_host(struct text text);

/* The object that is meant, or NULL.  A host may have objects of its own: `HOST/NAME` goes before `NAME`, and `HOST/`
 * before the default object. */
const struct object *target_find(const struct target *target, struct text host, const struct table *table);

#endif
