/* The kernel command line: words separated by spaces, each key=value. */
#ifndef CMDLINE_H
#define CMDLINE_H

#include "guest_config.h"

/* Takes every word over whose key guest_config_set() knows.  Returns NULL, or what
 * is wrong in words. */
const char *cmdline_parse(const char *cmdline, struct guest_config *config);

#endif
