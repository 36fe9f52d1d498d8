/* virtio console device with named ports (Virtual I/O Device 1.1, section 5.3),
 * as the carrier of the port interface (port.h). */
#include "virtio_serial.h"

#include <string.h>

#include "memory.h"
#include "panic.h"
#include "port.h"

#define FEATURE_MULTIPORT (1ULL << 1)
#define CONFIG_MAX_PORTS 4

/* Control messages (section 5.3.6.2). */
#define DEVICE_READY 0
#define PORT_ADD 1
#define PORT_REMOVE 2
#define PORT_READY 3
#define PORT_OPEN 6
#define PORT_NAME 7

struct control {
    uint32_t id;
    uint16_t event;
    uint16_t value;
};

/* Queues (section 5.3.2): port 0 has the first two, then comes the control
 * pair, then two for each further port.  QEMU keeps port 0 for a console, so
 * named ports begin at 1; it numbers them in the order of its command line. */
#define QUEUE_CONTROL_IN 2
#define QUEUE_CONTROL_OUT 3
#define QUEUE_IN(id) ((uint16_t)(2 + 2 * (id)))
#define QUEUE_OUT(id) ((uint16_t)(3 + 2 * (id)))
#define FIRST_PORT 1
#define PORTS 2 /* org.jitsu.ready, org.jitsu.xenstore; each costs 10 exits at the start */

#define CONTROL_ENTRIES 16
#define CONTROL_SIZE 128 /* a message and a name */
#define DATA_ENTRIES 8
#define DATA_SIZE PORT_PIECE /* QEMU drops whole buffers when a listener goes */

/* The buffers of one queue, and which of them the device does not have. */
struct channel {
    struct virtqueue queue;
    struct virtqueue_memory *memory;
    uint8_t *buffers;
    uint32_t buffer_size;
    uint16_t entries;
    uint16_t idle[CONTROL_ENTRIES];
    unsigned int idle_count;
};

static struct virtio_device serial;
static struct channel control_in, control_out;
static struct {
    struct channel in, out;
    struct port *port; /* NULL while its name is not known, or if no one asked for it */
} ports[PORTS];
static unsigned int port_count;

static struct virtqueue_memory queue_memory[2 + 2 * PORTS];
static uint8_t control_buffers[2][CONTROL_ENTRIES][CONTROL_SIZE] NOINIT;
static uint8_t data_buffers[2 * PORTS][DATA_ENTRIES][DATA_SIZE] NOINIT;

static bool add_channel(struct channel *channel, uint16_t index, struct virtqueue_memory *memory, uint8_t *buffers,
                        uint16_t entries, uint32_t buffer_size, uint16_t flags)
{
    channel->buffers = buffers;
    channel->buffer_size = buffer_size;
    if (!virtio_add_queue(&serial, &channel->queue, index, entries, memory))
        return false;
    for (uint16_t id = 0; id < entries; id++) {
        virtqueue_describe(&channel->queue, id, buffers + id * buffer_size, buffer_size, flags);
        if (flags == VIRTQ_DEVICE_WRITES)
            virtqueue_offer(&channel->queue, id);
        else
            channel->idle[channel->idle_count++] = id;
    }
    if (flags != VIRTQ_DEVICE_WRITES)
        virtqueue_silence(&channel->queue);
    return true;
}

/* Puts data into a channel's idle buffers: all of it or nothing. */
static bool put(struct channel *channel, const void *data, size_t length)
{
    const uint8_t *bytes = data;
    uint16_t id;
    uint32_t written;

    while (virtqueue_take(&channel->queue, &id, &written))
        channel->idle[channel->idle_count++] = id;
    if (length > (size_t)channel->idle_count * channel->buffer_size)
        return false;
    while (length > 0) {
        const uint32_t part = length < channel->buffer_size ? (uint32_t)length : channel->buffer_size;

        id = channel->idle[--channel->idle_count];
        memcpy(channel->buffers + id * channel->buffer_size, bytes, part);
        virtqueue_set_length(&channel->queue, id, part);
        virtqueue_offer(&channel->queue, id);
        bytes += part;
        length -= part;
    }
    virtqueue_kick(&channel->queue);
    return true;
}

static void send_control(uint32_t id, uint16_t event, uint16_t value)
{
    const struct control message = {.id = id, .event = event, .value = value};

    /* QEMU consumes these while the notification lasts, so there is room. */
    put(&control_out, &message, sizeof message);
}

static bool send_data(struct port *port, const void *data, size_t length)
{
    return put(port->carrier, data, length);
}

/* That it is open is said only when it was opened: a listener that is told so a second
 * time is another one, and the end of the first was not heard of. */
static void set_host_open(struct port *port, bool open)
{
    port->host_open = open;
    if (open && port->opened != NULL)
        port->opened(port);
}

static void name_port(unsigned int index, const char *name, size_t length)
{
    while (length > 0 && name[length - 1] == '\0') /* QEMU counts the NUL in, the specification does not */
        length--;
    struct port *port = port_find(name, length);
    if (port == NULL)
        return;
    port->carrier = &ports[index].out;
    port->send = send_data;
    ports[index].port = port;
    send_control(FIRST_PORT + index, PORT_OPEN, 1); /* the host may send to us */
}

static void handle_control(const uint8_t *bytes, size_t length)
{
    struct control message;

    if (length < sizeof message)
        return;
    memcpy(&message, bytes, sizeof message);
    const unsigned int index = message.id - FIRST_PORT;
    if (index >= port_count)
        return;
    switch (message.event) {
    case PORT_ADD:
        send_control(message.id, PORT_READY, 1);
        break;
    case PORT_NAME:
        name_port(index, (const char *)bytes + sizeof message, length - sizeof message);
        break;
    case PORT_OPEN:
        if (ports[index].port != NULL)
            set_host_open(ports[index].port, message.value != 0);
        break;
    case PORT_REMOVE:
        if (ports[index].port != NULL)
            set_host_open(ports[index].port, false);
        ports[index].port = NULL;
        break;
    default:
        break;
    }
}

static bool poll_control(void)
{
    uint16_t id;
    uint32_t length;
    bool any = false;

    while (virtqueue_take(&control_in.queue, &id, &length)) {
        any = true;
        handle_control(control_buffers[0][id], length < CONTROL_SIZE ? length : CONTROL_SIZE);
        virtqueue_offer(&control_in.queue, id);
    }
    if (any)
        virtqueue_kick(&control_in.queue);
    return any;
}

static bool poll_data(unsigned int index)
{
    struct channel *in = &ports[index].in;
    struct port *port = ports[index].port;
    uint16_t id;
    uint32_t length;
    bool any = false;

    while (virtqueue_take(&in->queue, &id, &length)) {
        any = true;
        if (port != NULL && port->received != NULL)
            port->received(port, in->buffers + id * in->buffer_size, length < DATA_SIZE ? length : DATA_SIZE);
        virtqueue_offer(&in->queue, id);
    }
    if (any)
        virtqueue_kick(&in->queue);
    return any;
}

bool virtio_serial_poll(void)
{
    if (serial.base == 0)
        return false;
    bool any = poll_control();
    for (unsigned int i = 0; i < port_count; i++)
        any |= poll_data(i);
    return any;
}

void virtio_serial_start(const struct virtio_device *device)
{
    if (serial.base != 0)
        return;
    serial = *device;
    if ((virtio_negotiate(&serial, FEATURE_MULTIPORT) & FEATURE_MULTIPORT) == 0)
        panic("virtio-serial: the device has no named ports");
    bool added = add_channel(&control_in, QUEUE_CONTROL_IN, &queue_memory[0], control_buffers[0][0], CONTROL_ENTRIES,
                             CONTROL_SIZE, VIRTQ_DEVICE_WRITES) &&
                 add_channel(&control_out, QUEUE_CONTROL_OUT, &queue_memory[1], control_buffers[1][0],
                             CONTROL_ENTRIES, CONTROL_SIZE, 0);
    /* A device may be made with fewer ports than are supported here. */
    const uint32_t max_ports = virtio_config32(&serial, CONFIG_MAX_PORTS);
    while (port_count < PORTS && FIRST_PORT + port_count < max_ports)
        port_count++;
    for (unsigned int i = 0; i < port_count; i++)
        added = added &&
                add_channel(&ports[i].in, QUEUE_IN(FIRST_PORT + i), &queue_memory[2 + 2 * i], data_buffers[2 * i][0],
                            DATA_ENTRIES, DATA_SIZE, VIRTQ_DEVICE_WRITES) &&
                add_channel(&ports[i].out, QUEUE_OUT(FIRST_PORT + i), &queue_memory[3 + 2 * i],
                            data_buffers[2 * i + 1][0], DATA_ENTRIES, DATA_SIZE, 0);
    if (!added)
        panic("virtio-serial: queues of %u and %u entries are needed", CONTROL_ENTRIES, DATA_ENTRIES);
    virtio_start(&serial);
    send_control(0, DEVICE_READY, 1);
}
