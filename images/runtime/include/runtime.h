/* What the runtime gives an application and what it asks of it. */
#ifndef RUNTIME_H
#define RUNTIME_H

#include <stdbool.h>
#include <stdint.h>

#include "guest_config.h"

/* When each step of the start was done, in nanoseconds since entry. */
struct boot_times {
    uint64_t entry;   /* first C statement; the zero of clock_now() lies a few instructions before */
    uint64_t devices; /* all drivers have started their devices */
    uint64_t network; /* the IP stack has its interface, and the store has told the configuration if it had to */
    uint64_t ready;   /* the application listens */
};

/* What a boot path found out, in terms of no particular boot protocol. */
struct boot_info {
    const char *cmdline;
    uint64_t ram_end; /* end of the RAM that holds this image; 0 if the boot path does not say */
};

/* First code of the runtime after the boot path. */
_Noreturn void runtime_start(const struct boot_info *boot);

const struct guest_config *runtime_config(void);
const struct boot_times *runtime_boot_times(void);

/* Implemented by the application: runs once the network is up, begins to
 * listen, and returns.  From then on it lives in callbacks of the IP stack. */
void app_start(void);

#endif
