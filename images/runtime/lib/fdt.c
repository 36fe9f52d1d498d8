#include "fdt.h"

#include <string.h>

#define MAGIC 0xd00dfeed
#define BEGIN_NODE 1
#define END_NODE 2
#define PROPERTY 3
#define NOP 4

/* Words of the header. */
enum { AT_MAGIC = 0, AT_STRUCTURE = 2, AT_STRINGS = 3, AT_STRINGS_SIZE = 8, AT_STRUCTURE_SIZE = 9 };

static uint32_t word(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static uint32_t header(const uint8_t *fdt, unsigned int field)
{
    return word(fdt + 4 * field);
}

/* One step through the structure. */
struct step {
    const uint8_t *at, *end; /* what comes next */
    uint32_t token;          /* BEGIN_NODE, END_NODE or PROPERTY */
    const char *name;        /* of the node, or of the property */
    const uint8_t *value;
    uint32_t length;
};

static size_t padded(size_t length)
{
    return (length + 3) & ~(size_t)3;
}

/* The length of a text that ends before `end`, or what there is. */
static size_t bounded(const uint8_t *text, const uint8_t *end)
{
    size_t length = 0;

    while (text + length < end && text[length] != '\0')
        length++;
    return length;
}

/* False at the end, and at anything that makes no sense. */
static bool next(const uint8_t *fdt, struct step *step)
{
    do {
        if (step->end - step->at < 4)
            return false;
        step->token = word(step->at);
        step->at += 4;
    } while (step->token == NOP);
    if (step->token == BEGIN_NODE) {
        const size_t length = bounded(step->at, step->end);

        step->name = (const char *)step->at;
        if (padded(length + 1) > (size_t)(step->end - step->at))
            return false;
        step->at += padded(length + 1);
        return true;
    }
    if (step->token != PROPERTY)
        return step->token == END_NODE;
    if (step->end - step->at < 8)
        return false;
    step->length = word(step->at);
    const uint32_t name = word(step->at + 4);
    step->value = step->at + 8;
    if (name >= header(fdt, AT_STRINGS_SIZE) || step->length > (size_t)(step->end - step->value))
        return false;
    step->name = (const char *)fdt + header(fdt, AT_STRINGS) + name;
    step->at = step->value + padded(step->length);
    return true;
}

static struct step first(const uint8_t *fdt)
{
    if (fdt == NULL || header(fdt, AT_MAGIC) != MAGIC)
        return (struct step){0};
    const uint8_t *start = fdt + header(fdt, AT_STRUCTURE);
    return (struct step){.at = start, .end = start + header(fdt, AT_STRUCTURE_SIZE)};
}

fdt_node fdt_named(const void *fdt, const char *name)
{
    const size_t length = strlen(name);

    for (struct step step = first(fdt); next(fdt, &step);)
        if (step.token == BEGIN_NODE && strncmp(step.name, name, length) == 0 &&
            (step.name[length] == '\0' || step.name[length] == '@'))
            return step.at;
    return NULL;
}

/* Is this one of the texts in a list of them? */
static bool lists(const uint8_t *list, size_t length, const char *what)
{
    const uint8_t *end = list + length;
    const size_t wanted = strlen(what);

    while (list < end) {
        const size_t here = bounded(list, end);

        if (here == wanted && memcmp(list, what, wanted) == 0)
            return true;
        list += here + 1;
    }
    return false;
}

fdt_node fdt_compatible(const void *fdt, const char *what)
{
    fdt_node node = NULL;

    for (struct step step = first(fdt); next(fdt, &step);) {
        if (step.token == BEGIN_NODE)
            node = step.at;
        else if (step.token == PROPERTY && strncmp(step.name, "compatible", sizeof "compatible") == 0 &&
                 lists(step.value, step.length, what))
            return node;
    }
    return NULL;
}

const void *fdt_property(const void *fdt, fdt_node node, const char *name, size_t *length)
{
    struct step step = first(fdt);

    step.at = node;
    /* A node's properties come before its children. */
    while (node != NULL && next(fdt, &step) && step.token == PROPERTY)
        if (strncmp(step.name, name, strlen(name) + 1) == 0) {
            *length = step.length;
            return step.value;
        }
    return NULL;
}

bool fdt_reg(const void *fdt, fdt_node node, unsigned int n, uint64_t *address, uint64_t *size)
{
    size_t length;
    const uint8_t *reg = fdt_property(fdt, node, "reg", &length);

    if (reg == NULL || length < 16 * ((size_t)n + 1))
        return false;
    reg += 16 * (size_t)n;
    *address = (uint64_t)word(reg) << 32 | word(reg + 4);
    *size = (uint64_t)word(reg + 8) << 32 | word(reg + 12);
    return true;
}
