/* A device tree that is written here, read back; and the same with bytes changed, which must
 * be read without a step out of it. */
#include "fdt.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint8_t tree[1024];
static size_t length;
static const char strings[] = "compatible\0reg\0bootargs";

static void put(uint32_t word)
{
    for (unsigned int shift = 32; shift > 0; shift -= 8)
        tree[length++] = (uint8_t)(word >> (shift - 8));
}

static void put_bytes(const void *bytes, size_t count)
{
    memcpy(tree + length, bytes, count);
    length = (length + count + 3) & ~(size_t)3;
}

static void begin(const char *name)
{
    put(1);
    put_bytes(name, strlen(name) + 1);
}

static void property(const char *name, const void *value, size_t count)
{
    size_t at = 0;

    while (strcmp(strings + at, name) != 0)
        at += strlen(strings + at) + 1;
    put(3);
    put((uint32_t)count);
    put((uint32_t)at);
    put_bytes(value, count);
}

static void write_tree(void)
{
    static const uint8_t memory[32] = {0, 0, 0, 0, 0x40, 0, 0, 0, 0, 0, 0, 0, 0x01, 0, 0, 0, 0, 0, 0, 2};

    length = 40;
    begin("");
    property("compatible", "xen,xenvm-4.17\0xen,xenvm", 25);
    put(4);
    begin("memoryless");
    put(2);
    begin("memory@40000000");
    property("reg", memory, sizeof memory);
    put(2);
    begin("chosen");
    property("bootargs", "name=x", 7);
    begin("module");
    property("compatible", "xen,xen", 8);
    property("reg", memory, sizeof memory);
    put(2);
    put(2);
    put(2);
    put(9);
    const size_t structure_end = length, total = length + sizeof strings;
    memcpy(tree + length, strings, sizeof strings);
    const uint32_t header[10] = {
        0xd00dfeed, (uint32_t)total, 40, (uint32_t)structure_end, 40, 17, 16, 0, sizeof strings,
        (uint32_t)(structure_end - 40)};
    length = 0;
    for (size_t i = 0; i < 10; i++)
        put(header[i]);
    length = total;
}

static void check_reading(void)
{
    uint64_t address, size;
    size_t count;

    const fdt_node memory = fdt_named(tree, "memory");
    assert(fdt_reg(tree, memory, 0, &address, &size) && address == 0x40000000 && size == 0x1000000);
    assert(fdt_reg(tree, memory, 1, &address, &size) && address == 0x200000000 && size == 0);
    assert(!fdt_reg(tree, memory, 2, &address, &size));
    const char *arguments = fdt_property(tree, fdt_named(tree, "chosen"), "bootargs", &count);
    assert(count == 7 && strcmp(arguments, "name=x") == 0);
    /* A property of a child is not one of the node. */
    assert(fdt_property(tree, fdt_named(tree, "chosen"), "reg", &count) == NULL);
    assert(fdt_property(tree, fdt_named(tree, "chosen"), "boot", &count) == NULL);
    assert(fdt_reg(tree, fdt_compatible(tree, "xen,xen"), 0, &address, &size));
    assert(fdt_compatible(tree, "xen,xenvm") != NULL && fdt_compatible(tree, "xen") == NULL);
    assert(fdt_named(tree, "nosuch") == NULL && fdt_named("\0\0\0", "memory") == NULL);
    assert(fdt_property(tree, NULL, "reg", &count) == NULL);
}

/* The address sanitizer looks on: the tree ends where its memory ends. */
static void check_damage(void)
{
    for (size_t at = 40; at < length; at++)
        for (unsigned int bit = 0; bit < 8; bit++) {
            uint8_t *damaged = malloc(length);
            uint64_t address, size;
            size_t count;

            memcpy(damaged, tree, length);
            damaged[at] ^= (uint8_t)(1 << bit);
            damaged[length - 1] = '\0'; /* the loader's strings end */
            fdt_reg(damaged, fdt_named(damaged, "memory"), 1, &address, &size);
            fdt_property(damaged, fdt_compatible(damaged, "xen,xen"), "bootargs", &count);
            free(damaged);
        }
}

int main(void)
{
    write_tree();
    check_reading();
    check_damage();
    puts("fdt_test: ok");
}
