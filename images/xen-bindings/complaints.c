/* What libxenctrl and libxenguest complain of, kept for whoever asked: by themselves they write it to stderr, and give
 * the caller -1 and mostly no errno. One handle has one `struct complaints` and is used by one thread at a time. */

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <xenctrl.h>
#include <xenguest.h>
#include <xentoollog.h>

struct complaints {
    xentoollog_logger logger; /* first: the library knows this part alone */
    char last[256];
};

static void hear(xentoollog_logger *logger, xentoollog_level level, int errnoval, const char *context,
                 const char *format, va_list arguments)
{
    struct complaints *complaints = (struct complaints *)logger;

    /* The first one is the cause, the others say who had to give up because of it. */
    if (level < XTL_ERROR || complaints->last[0] != '\0')
        return;
    (void)errnoval;
    (void)context;
    vsnprintf(complaints->last, sizeof(complaints->last), format, arguments);
    complaints->last[strcspn(complaints->last, "\n")] = '\0';
}

static void ignore_progress(xentoollog_logger *logger, const char *context, const char *what, int percent,
                            unsigned long done, unsigned long total)
{
}

static void keep(xentoollog_logger *logger)
{
}

struct complaints *complaints_new(void)
{
    struct complaints *complaints = calloc(1, sizeof(*complaints));

    if (complaints != NULL) {
        complaints->logger.vmessage = hear;
        complaints->logger.progress = ignore_progress;
        complaints->logger.destroy = keep;
    }
    return complaints;
}

void complaints_free(struct complaints *complaints)
{
    free(complaints);
}

xc_interface *complaints_open(struct complaints *complaints)
{
    return xc_interface_open(&complaints->logger, &complaints->logger, 0);
}

#if defined(__x86_64__)
static void set_e820(struct xc_dom_image *dom, struct e820entry *entries, unsigned int count)
{
    dom->e820 = entries;
    dom->e820_entries = count;
}
#endif
