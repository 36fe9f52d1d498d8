/* What /status counts. */
#ifndef COUNTERS_H
#define COUNTERS_H

struct counters {
    unsigned long long accepted, refused, timed_out;           /* connections */
    unsigned long long open;                                   /* connections now */
    unsigned long long requests, ok, client_errors, server_errors; /* answered: with any status, 2xx, 4xx, 5xx */
};

extern struct counters counters;

#endif
