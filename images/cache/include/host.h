/* What the core asks of the platform under it: a Linux process, or the runtime of a unikernel.
 *
 * There is one thread.  The platform calls the core from its main loop only: through core.h, and through the
 * callbacks below.  A function of this file never calls back before it returns, so what the core is in the
 * middle of doing stays as it is. */
#ifndef HOST_H
#define HOST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* --- time, in nanoseconds ------------------------------------------------------------------------------ */
#define HOST_SECOND 1000000000ULL
#define HOST_NEVER UINT64_MAX

/* Monotonic, from any zero. */
uint64_t host_now(void);

/* Seconds since 1970, or 0 if nobody has told us. */
uint64_t host_wall_clock(void);

/* The one alarm: core_alarm() is called at this time of host_now(), or a little later.  A new time takes the
 * place of the last one. */
void host_alarm(uint64_t at);

/* --- memory, chance, words ----------------------------------------------------------------------------- */

/* Aligned for anything, not initialised; NULL if there is none.  The core takes memory when it starts and when
 * it mounts, never for a request. */
void *host_allocate(size_t size);
void host_free(void *memory);

/* Cannot be guessed. */
uint64_t host_random(void);

/* A line for the operator, without its end. */
void host_log(const char *line, size_t length);

/* --- disks --------------------------------------------------------------------------------------------- */
#define HOST_SECTOR 512

struct host_disk;

/* One read.  It is its owner's until it is given to a disk, and again when done() is called. */
struct host_read {
    uint64_t offset; /* of the disk, in bytes; like the length a multiple of HOST_SECTOR */
    uint32_t length;
    void *buffer;
    void (*done)(struct host_read *read, bool ok);
    void *owner;
    struct host_disk *disk; /* these two are the platform's, while it has the read */
    struct host_read *next;
};

struct host_disk {
    uint64_t size; /* in bytes */

    /* Any number of reads may be under way; they may be done in any order. */
    void (*read)(struct host_disk *disk, struct host_read *read);
};

/* --- TCP ----------------------------------------------------------------------------------------------- */
struct host_tcp; /* one connection, the platform's */

struct host_tcp_events {
    void (*readable)(void *owner); /* there may be something to read */
    void (*writable)(void *owner); /* more may be sent, or fewer bytes are lent out than before */
    void (*gone)(void *owner);     /* reset by the client or by the network: there is no connection any more */
};

/* Whom the events of a connection are told; the core says so in core_accepted(). */
void host_tcp_attach(struct host_tcp *tcp, const struct host_tcp_events *events, void *owner);

#define HOST_TCP_ENDED (-1)

/* Returns how many bytes were read, 0 if there are none yet (readable() will say when), or HOST_TCP_ENDED when
 * the client has sent all that it will.  What is not read is held back: the window closes. */
ptrdiff_t host_tcp_read(struct host_tcp *tcp, void *buffer, size_t room);

struct host_span {
    const void *data;
    size_t length;
    bool lent; /* not copied: the bytes have to stay as they are until they are acknowledged */
};

/* Sends the spans in their order as far as there is room, and returns how many bytes that was; writable() says
 * when to go on after fewer than all.  `more` promises that the rest of the response follows at once. */
size_t host_tcp_send(struct host_tcp *tcp, const struct host_span *spans, size_t count, bool more);

/* How many of the bytes sent last are still lent out. */
size_t host_tcp_lent(const struct host_tcp *tcp);

/* Nothing more will be sent; reading goes on. */
void host_tcp_shutdown(struct host_tcp *tcp);

/* Ends the connection: in order, with nothing lent out, or by a reset.  No event follows. */
void host_tcp_close(struct host_tcp *tcp);
void host_tcp_abort(struct host_tcp *tcp);

#endif
