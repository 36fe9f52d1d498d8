/*
 * What a toolstack writes for one domain, in libxl's order and with its keys: libxl__domain_make, then a vif, a vbd and
 * the console with their backends in domain 0 (tools/libs/light/libxl_create.c, libxl_device.c, libxl_console.c).
 * '#' stands for the domid, '$' for the uuid.
 */
#ifndef XENSTORE_STEPS_H
#define XENSTORE_STEPS_H

enum type {
    DIRECTORY = 1,
    READ = 2,
    TRANSACTION_START = 6,
    TRANSACTION_END = 7,
    WRITE = 11,
    MKDIR = 12,
    RM = 13,
    SET_PERMS = 14,
    ERROR = 16,
};

struct step {
    enum type type;
    const char *path;
    /* Of a WRITE the value, of a SET_PERMS the entries with a blank behind each. */
    const char *rest;
};

/* Privileged eyes only; the guest may read; the guest's own; a frontend: the guest's, for the backend to read. */
#define PRIVATE "n0 "
#define SHOWN "n0 r# "
#define OWNED "n# "
#define FRONT "n# r0 "

#define DOMAIN "/local/domain/#"
#define VM "/vm/$"
#define LIBXL "/libxl/#"
#define BACKEND "/local/domain/0/backend"
#define VIF_FRONT DOMAIN "/device/vif/0"
#define VIF_BACK BACKEND "/vif/#/0"
#define VBD_FRONT DOMAIN "/device/vbd/51712"
#define VBD_BACK BACKEND "/vbd/#/51712"
#define CONSOLE_FRONT DOMAIN "/console"
#define CONSOLE_BACK BACKEND "/console/#/0"

static const struct step LIST_ROOTS[] = {
    {DIRECTORY, "/local/domain", ""},
    {DIRECTORY, BACKEND "/vif", ""},
};

static const struct step BUILD[] = {
    {RM, DOMAIN, ""},
    {MKDIR, DOMAIN, ""},
    {SET_PERMS, DOMAIN, SHOWN},
    {RM, VM, ""},
    {MKDIR, VM, ""},
    {SET_PERMS, VM, SHOWN},
    {RM, LIBXL, ""},
    {MKDIR, LIBXL, ""},
    {SET_PERMS, LIBXL, PRIVATE},
    {MKDIR, LIBXL "/device", ""},
    {SET_PERMS, LIBXL "/device", PRIVATE},
    {WRITE, DOMAIN "/vm", VM},
    {WRITE, DOMAIN "/name", "guest-#"},
    {MKDIR, DOMAIN "/device", ""},
    {SET_PERMS, DOMAIN "/device", SHOWN},
    {MKDIR, DOMAIN "/control", ""},
    {SET_PERMS, DOMAIN "/control", SHOWN},
    {MKDIR, DOMAIN "/control/shutdown", ""},
    {SET_PERMS, DOMAIN "/control/shutdown", OWNED},
    {MKDIR, DOMAIN "/data", ""},
    {SET_PERMS, DOMAIN "/data", OWNED},
    {WRITE, VM "/uuid", "$"},
    {WRITE, VM "/name", "guest-#"},
    {WRITE, DOMAIN "/control/platform-feature-xs_reset_watches", "1"},
    {WRITE, LIBXL "/type", "pvh"},

    {MKDIR, VIF_FRONT, ""},
    {SET_PERMS, VIF_FRONT, FRONT},
    {WRITE, VIF_FRONT "/backend", VIF_BACK},
    {WRITE, VIF_FRONT "/backend-id", "0"},
    {WRITE, VIF_FRONT "/state", "1"},
    {WRITE, VIF_FRONT "/mac", "00:16:3e:00:00:01"},
    {MKDIR, VIF_BACK, ""},
    {SET_PERMS, VIF_BACK, SHOWN},
    {WRITE, VIF_BACK "/frontend", VIF_FRONT},
    {WRITE, VIF_BACK "/frontend-id", "#"},
    {WRITE, VIF_BACK "/online", "1"},
    {WRITE, VIF_BACK "/state", "1"},
    {WRITE, VIF_BACK "/bridge", "xenbr0"},
    {WRITE, VIF_BACK "/hotplug-status", ""},
    {WRITE, LIBXL "/device/vif/0/backend", VIF_BACK},

    {MKDIR, VBD_FRONT, ""},
    {SET_PERMS, VBD_FRONT, FRONT},
    {WRITE, VBD_FRONT "/backend", VBD_BACK},
    {WRITE, VBD_FRONT "/backend-id", "0"},
    {WRITE, VBD_FRONT "/state", "1"},
    {MKDIR, VBD_BACK, ""},
    {SET_PERMS, VBD_BACK, SHOWN},
    {WRITE, VBD_BACK "/frontend", VBD_FRONT},
    {WRITE, VBD_BACK "/frontend-id", "#"},
    {WRITE, VBD_BACK "/params", "/dev/vg/guest-#"},
    {WRITE, VBD_BACK "/state", "1"},
    {WRITE, LIBXL "/device/vbd/51712/backend", VBD_BACK},

    {MKDIR, CONSOLE_FRONT, ""},
    {SET_PERMS, CONSOLE_FRONT, "n0 r# "},
    {WRITE, CONSOLE_FRONT "/backend", CONSOLE_BACK},
    {WRITE, CONSOLE_FRONT "/ring-ref", "39"},
    {WRITE, CONSOLE_FRONT "/port", "2"},
    {MKDIR, CONSOLE_BACK, ""},
    {SET_PERMS, CONSOLE_BACK, SHOWN},
    {WRITE, CONSOLE_BACK "/frontend-id", "#"},
    {WRITE, CONSOLE_BACK "/state", "1"},
};

/* All that BUILD made. What libxl cleans up behind itself, upwards to the first directory that is not empty, follows. */
static const struct step REMOVE_DOMAIN[] = {
    {RM, VIF_FRONT, ""},
    {RM, VBD_FRONT, ""},
    {RM, CONSOLE_FRONT, ""},
    {RM, DOMAIN, ""},
    {RM, VM, ""},
    {RM, LIBXL, ""},
};

static const struct step REMOVE_BACKENDS[] = {
    {RM, BACKEND "/console/#", ""},
    {RM, BACKEND "/vbd/#", ""},
    {RM, BACKEND "/vif/#", ""},
};

/* Where libxl__xs_path_cleanup begins. */
static const char *const CLEAN_UP[] = {CONSOLE_BACK, VBD_BACK, VIF_BACK};

#endif
