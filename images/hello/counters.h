/* What /status counts. */
#ifndef COUNTERS_H
#define COUNTERS_H

#include <stdint.h>

struct counters {
    uint64_t accepted, refused, timed_out;  /* connections */
    uint64_t open;                          /* connections now */
    uint64_t requests;                      /* answered, with any status */
    uint64_t ok, client_errors, server_errors; /* 2xx, 4xx, 5xx */
};

extern struct counters counters;

#endif
