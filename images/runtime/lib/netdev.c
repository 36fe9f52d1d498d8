#include "netdev.h"

static struct netdev *first;

void netdev_register(struct netdev *device)
{
    if (first == NULL)
        first = device;
}

struct netdev *netdev_get(void)
{
    return first;
}
