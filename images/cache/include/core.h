/* The core of the MiniCache node as its platform sees it: it mounts a volume and serves what is on it. */
#ifndef CORE_H
#define CORE_H

#include "host.h"

struct core_options {
    struct host_disk *const *disks; /* the volume's members, in any order */
    size_t disk_count;
    size_t connections;      /* open at a time; the next one is answered 503 */
    size_t cache_bytes;      /* for the chunks of the volume */
    size_t most_objects;     /* of a volume; one with more is not mounted */
    size_t read_ahead;       /* chunks */
    bool proxy_protocol;     /* each connection begins with a PROXY header, version 1 or 2 */
    uint64_t idle_timeout;   /* ns between requests */
    uint64_t header_timeout; /* ns from a request's first byte to its last */
    uint64_t send_timeout;   /* ns without a byte that the client takes */
};

/* What is right for a machine of some size; the platform changes what its user says. */
struct core_options core_defaults(void);

/* Begins to mount.  mounted() is called once, with NULL or with what is wrong in words; from then on
 * connections may be accepted. */
void core_start(const struct core_options *options, void (*mounted)(const char *wrong));

/* Reads the volume's table again.  Whoever is being sent an object goes on with the old one; the log says how
 * it went. */
void core_remount(void);

/* A client has connected.  The core attaches itself, or ends the connection. */
void core_accepted(struct host_tcp *tcp);

/* The time of host_alarm() has come. */
void core_alarm(void);

/* Ends all connections and gives all memory back; no disk may be reading. */
void core_stop(void);

#endif
