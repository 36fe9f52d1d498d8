/* A flattened device tree (Devicetree Specification 0.4, chapter 5): what a loader tells an
 * ARM guest of its machine. */
#ifndef FDT_H
#define FDT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A place in the tree; NULL: there is no such node. */
typedef const uint8_t *fdt_node;

/* The first node of that name, with or without a unit address; NULL if there is none, or
 * this is no tree. */
fdt_node fdt_named(const void *fdt, const char *name);

/* The first node that is compatible with this. */
fdt_node fdt_compatible(const void *fdt, const char *what);

/* A property's value and length, or NULL. */
const void *fdt_property(const void *fdt, fdt_node node, const char *name, size_t *length);

/* The n-th pair of a node's reg, of two cells each; false if there is none. */
bool fdt_reg(const void *fdt, fdt_node node, unsigned int n, uint64_t *address, uint64_t *size);

#endif
