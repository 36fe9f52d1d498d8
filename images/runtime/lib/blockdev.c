#include "blockdev.h"

#include <stddef.h>

static struct blockdev *first, **end = &first;

void blockdev_register(struct blockdev *device)
{
    *end = device;
    end = &device->next;
}

struct blockdev *blockdev_get(unsigned int index)
{
    struct blockdev *device = first;

    while (device != NULL && index-- > 0)
        device = device->next;
    return device;
}
