#include "ports.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "events.h"
#include "format.h"
#include "panic.h"
#include "port.h"

#define FOLDER "/sys/class/virtio-ports"
#define XENBUS "/dev/xen/xenbus"
#define STORE "org.jitsu.xenstore"
#define PATH_MAX_HERE 128
#define NAME_MAX_HERE 64
#define PORTS 2 /* org.jitsu.ready and org.jitsu.xenstore */

/* xs_wire.h */
#define WATCH_EVENT 15
#define RESET_WATCHES 21

struct header {
    uint32_t type, request, transaction, length;
};

struct carrier {
    struct event_source source; /* the first, so that it is the carrier */
    struct port *port;
    int changes; /* signalfd(2) of virtio-serial's, or -1 */
};

static struct carrier carriers[PORTS];
static size_t carriers_used;

/* The answer to a request that is kept from the kernel. */
static struct {
    struct header header;
    char ok[3];
} put_off = {.ok = "OK"};
static struct port *put_off_for;

/* Takes in what has come; had anything? */
static bool receive(struct port *port, int file)
{
    char data[4096];
    ssize_t length;
    bool any = false;

    while ((length = read(file, data, sizeof data)) > 0) {
        any = true;
        if (port->received != NULL)
            port->received(port, data, (size_t)length);
    }
    return any;
}

static struct carrier *offer(struct port *port, int file, void (*ready)(struct event_source *source, unsigned int events),
                             bool (*send)(struct port *port, const void *data, size_t length))
{
    struct carrier *carrier = &carriers[carriers_used];

    if (carriers_used == PORTS)
        panic("more than %d ports", PORTS);
    carriers_used++;
    *carrier = (struct carrier){.source = {.file = file, .ready = ready}, .port = port, .changes = -1};
    port->carrier = carrier;
    port->send = send;
    return carrier;
}

/* virtio-serial */

/* The driver has no room, or makes one buffer of it (up to 32 KiB): all or nothing. */
static bool virtio_send(struct port *port, const void *data, size_t length)
{
    const struct carrier *carrier = port->carrier;

    return write(carrier->source.file, data, length) == (ssize_t)length;
}

/* The driver signals data, and each time that the host goes or comes.  The signals are queued, where events of epoll(7)
 * are not: a host that has gone and come back before this guest had a moment, or while it was stopped, is open as before,
 * and known by signals without data.  One too many only begins a session anew. */
static bool signalled(const struct carrier *carrier)
{
    struct signalfd_siginfo info;
    bool any = false;

    while (read(carrier->changes, &info, sizeof info) == sizeof info)
        any = true;
    return any;
}

static void virtio_ready(struct event_source *source, unsigned int events)
{
    const struct carrier *carrier = (struct carrier *)source;
    struct port *port = carrier->port;
    const bool came = !port->host_open;

    port->host_open = (events & EVENTS_HUP) == 0;
    if (port->host_open && came)
        port->opened(port);
    bool data = receive(port, source->file);
    const bool told = signalled(carrier);
    data |= receive(port, source->file);
    if (port->host_open && !came && told && !data)
        port->opened(port);
}

static int signals_of(int file, int number)
{
    sigset_t signals;

    sigemptyset(&signals);
    sigaddset(&signals, number);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    const int changes = signalfd(-1, &signals, SFD_NONBLOCK | SFD_CLOEXEC);
    if (changes < 0 || fcntl(file, F_SETSIG, number) != 0 || fcntl(file, F_SETOWN, getpid()) != 0 ||
        fcntl(file, F_SETFL, O_NONBLOCK | O_ASYNC) != 0)
        panic("cannot hear of changes of a port: %s", strerror(errno));
    return changes;
}

static void virtio_found(const char *entry)
{
    char path[PATH_MAX_HERE], name[NAME_MAX_HERE];

    format(path, sizeof path, FOLDER "/%s/name", entry);
    int file = open(path, O_RDONLY | O_CLOEXEC);
    const ssize_t length = file < 0 ? -1 : read(file, name, sizeof name);
    close(file);
    if (length <= 1) /* it has no name yet */
        return;
    struct port *port = port_find(name, (size_t)length - 1);
    if (port == NULL || port->carrier != NULL)
        return;
    format(path, sizeof path, "/dev/%s", entry);
    file = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (file < 0)
        panic("cannot open %s: %s", path, strerror(errno));
    struct carrier *carrier = offer(port, file, virtio_ready, virtio_send);
    carrier->changes = signals_of(file, SIGRTMIN + (int)(carrier - carriers));
    events_from(&carrier->source, EVENTS_IN | EVENTS_OUT | EVENTS_EDGE);
}

static void virtio_look(void)
{
    DIR *folder = opendir(FOLDER);
    const struct dirent *entry;

    while (folder != NULL && (entry = readdir(folder)) != NULL)
        if (entry->d_name[0] != '.')
            virtio_found(entry->d_name);
    if (folder != NULL)
        closedir(folder);
}

/* The kernel tells of devices, and again when it has learned a port's name. */
static void device_told(struct event_source *source, unsigned int events)
{
    char message[4096];

    (void)events;
    while (recv(source->file, message, sizeof message, 0) > 0)
        ;
    virtio_look();
}

static struct event_source devices = {.ready = device_told};

static void virtio_start(void)
{
    const struct sockaddr_nl kernel = {.nl_family = AF_NETLINK, .nl_groups = 1};

    devices.file = socket(AF_NETLINK, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, NETLINK_KOBJECT_UEVENT);
    if (devices.file < 0 || bind(devices.file, (const struct sockaddr *)&kernel, sizeof kernel) != 0)
        panic("cannot hear of devices: %s", strerror(errno));
    events_from(&devices, EVENTS_IN);
    virtio_look();
}

/* Xen.  The kernel has a session with the store of its own.  RESET_WATCHES would take its own watches away: a file that
 * was just opened has none, so the answer is made here.  And a request that is written before the last one was answered
 * can wait for ever (the kernel's thread that brings the answer waits for the same lock): they go one by one. */
static struct {
    uint8_t requests[PORT_PIECE]; /* of one piece, those that were not made yet */
    size_t length;
    bool answer_due;

    struct header header; /* of the message that comes in */
    size_t header_length, rest;
} xen;

static void xen_next(struct port *port, int file)
{
    struct header header;

    if (xen.length == 0 || xen.answer_due)
        return;
    memcpy(&header, xen.requests, sizeof header);
    const size_t size = sizeof header + header.length;
    xen.answer_due = true;
    if (header.type == RESET_WATCHES) {
        put_off.header = header;
        put_off.header.length = sizeof put_off.ok;
        put_off_for = port;
    } else if (write(file, xen.requests, size) != (ssize_t)size) {
        panic("the store does not take a request: %s", strerror(errno));
    }
    xen.length -= size;
    memmove(xen.requests, xen.requests + size, xen.length);
}

static bool xen_send(struct port *port, const void *data, size_t length)
{
    const struct carrier *carrier = port->carrier;

    if (xen.length > 0 || xen.answer_due)
        return false;
    memcpy(xen.requests, data, length);
    xen.length = length;
    xen_next(port, carrier->source.file);
    return true;
}

/* Is the answer that is due among what has come in? */
static void xen_look(const uint8_t *bytes, size_t length)
{
    while (length > 0) {
        size_t part = xen.rest > 0 ? xen.rest : sizeof xen.header - xen.header_length;

        part = part < length ? part : length;
        if (xen.rest > 0) {
            xen.rest -= part;
        } else {
            memcpy((uint8_t *)&xen.header + xen.header_length, bytes, part);
            xen.header_length += part;
        }
        bytes += part;
        length -= part;
        if (xen.header_length < sizeof xen.header)
            continue;
        xen.header_length = 0;
        xen.rest = xen.header.length;
        if (xen.header.type != WATCH_EVENT)
            xen.answer_due = false;
    }
}

static void xen_receive(struct port *port, int file, const void *data, size_t length)
{
    xen_look(data, length);
    xen_next(port, file);
    port->received(port, data, length);
}

static void xen_ready(struct event_source *source, unsigned int events)
{
    struct port *port = ((struct carrier *)source)->port;
    char data[4096];
    ssize_t length;

    (void)events;
    while ((length = read(source->file, data, sizeof data)) > 0)
        xen_receive(port, source->file, data, (size_t)length);
}

static void xen_start(void)
{
    struct port *port = port_find(STORE, strlen(STORE));

    if (!ports_xen())
        return;
    const int file = open(XENBUS, O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (file < 0)
        panic("cannot open %s: %s", XENBUS, strerror(errno));
    events_from(&offer(port, file, xen_ready, xen_send)->source, EVENTS_IN);
    port->host_open = true;
    port->opened(port);
}

bool ports_xen(void)
{
    return access(XENBUS, F_OK) == 0;
}

void ports_start(void)
{
    xen_start();
    virtio_start();
}

bool ports_poll(void)
{
    struct port *port = put_off_for;

    if (port == NULL)
        return false;
    put_off_for = NULL;
    const struct carrier *carrier = port->carrier;
    xen_receive(port, carrier->source.file, &put_off, sizeof put_off.header + sizeof put_off.ok);
    return true;
}
