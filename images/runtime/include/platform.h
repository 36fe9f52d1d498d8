/* The machine under one image.  An image knows several, and its boot path chooses one
 * of them before anything else runs. */
#ifndef PLATFORM_H
#define PLATFORM_H

#include <stdbool.h>
#include <stddef.h>

struct platform {
    void (*console_start)(void);
    void (*console_write)(const char *text, size_t length);

    /* Finds the devices and starts their drivers. */
    void (*start_devices)(void);

    /* Gives the drivers a chance to look at their devices outside the network; called in
     * every turn of the main loop.  Returns false if there was nothing. */
    bool (*poll)(void);

    /* Ends the VM: as a crash, or because its work is done. */
    void (*end)(bool crashed) __attribute__((noreturn));
};

/* The machine that this is; implemented under platform/. */
extern const struct platform *platform;

#endif
