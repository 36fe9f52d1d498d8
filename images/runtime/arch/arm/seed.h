#ifndef SEED_H
#define SEED_H

#include <stddef.h>

/* What the boot path has found; may be NULL. */
void seed_take(const void *bytes, size_t length);

#endif
