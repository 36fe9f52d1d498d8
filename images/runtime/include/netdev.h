/* The network device interface, between a driver (drivers/, one file each) and
 * the IP stack (net/).  Frames are Ethernet II without the frame check
 * sequence.  Those that are sent have complete checksums. */
#ifndef NETDEV_H
#define NETDEV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NETDEV_MAC_LENGTH 6
#define NETDEV_FRAME_MAX 1514 /* 14 bytes of header and 1500 of payload */

/* `vouched`: the host answers for TCP and UDP checksums of this frame.  They may not even be
 * there, if it has come from the host itself or from a neighbour on it. */
typedef void (*netdev_receive)(const void *frame, size_t length, bool vouched);

struct netdev {
    uint8_t mac[NETDEV_MAC_LENGTH];

    /* Room for one outgoing frame of up to NETDEV_FRAME_MAX bytes, or NULL
     * while the device has all it can hold (the frame is then lost, as on any
     * Ethernet). */
    void *(*transmit_buffer)(struct netdev *device);

    /* Sends what was written into the room last given out. */
    void (*transmit)(struct netdev *device, size_t length);

    /* Hands every frame that has arrived to receive(); the memory is the
     * driver's again when that returns.  Returns false if there was none. */
    bool (*poll)(struct netdev *device, netdev_receive receive);
};

/* A driver that has found its device announces it; the first one is used. */
void netdev_register(struct netdev *device);

/* The device in use, or NULL. */
struct netdev *netdev_get(void);

#endif
