#include "cmdline.h"

const char *cmdline_parse(const char *cmdline, struct guest_config *config)
{
    while (*cmdline != '\0') {
        size_t key = 0, length = 0;

        while (cmdline[length] != '\0' && cmdline[length] != ' ')
            length++;
        while (key < length && cmdline[key] != '=')
            key++;
        if (key < length) {
            const char *fault = guest_config_set(config, cmdline, key, cmdline + key + 1, length - key - 1);

            if (fault != NULL)
                return fault;
        }
        cmdline += length;
        while (*cmdline == ' ')
            cmdline++;
    }
    return NULL;
}
