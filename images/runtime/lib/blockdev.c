#include "blockdev.h"

#include <stddef.h>

static struct blockdev *first;

void blockdev_register(struct blockdev *device)
{
    if (first == NULL)
        first = device;
}

struct blockdev *blockdev_get(void)
{
    return first;
}
