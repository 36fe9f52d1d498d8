/* What a proxy puts in front of a connection (HAProxy's PROXY protocol, versions 1 and 2). */
#ifndef PROXY_HEADER_H
#define PROXY_HEADER_H

#include <stddef.h>

enum proxy_header { PROXY_MORE, PROXY_COMPLETE, PROXY_WRONG };

/* Is there a header at the start of these bytes?  *length is its own then.  A header is 4 KiB at most.  Whom it names
 * is checked for its form, and not kept. */
enum proxy_header proxy_header_read(const char *bytes, size_t available, size_t *length);

#endif
