/* What a XenStore daemon asks of a hypervisor, answered by nothing: preloaded, it lets Debian's two daemons run on any
 * Linux. Every domain below 0x7ff0 exists, event channels ring nobody, and no grant or foreign page can be mapped, so
 * clients come by the socket only.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <xenctrl.h>
#include <xenevtchn.h>
#include <xengnttab.h>

#define FIRST_RESERVED_DOMID 0x7ff0
#define RING_BYTES 4096

static char nothing; /* what the opaque handles point to */

xc_interface *xc_interface_open(xentoollog_logger *logger, xentoollog_logger *dombuild_logger, unsigned flags)
{
    (void)logger, (void)dombuild_logger, (void)flags;
    return (xc_interface *)&nothing;
}

int xc_interface_close(xc_interface *xch)
{
    (void)xch;
    return 0;
}

/* Like Xen's: the first domain whose number is at least first_domid. Those that do not exist are SET_PERMS's ENOENT. */
int xc_domain_getinfo(xc_interface *xch, uint32_t first_domid, unsigned int max_doms, xc_dominfo_t *info)
{
    (void)xch;
    if (max_doms == 0 || first_domid >= FIRST_RESERVED_DOMID)
        return 0;
    memset(info, 0, sizeof(*info));
    info->domid = first_domid;
    info->running = 1;
    return 1;
}

xengnttab_handle *xengnttab_open(xentoollog_logger *logger, unsigned open_flags)
{
    (void)logger, (void)open_flags;
    return (xengnttab_handle *)&nothing;
}

int xengnttab_close(xengnttab_handle *xgt)
{
    (void)xgt;
    return 0;
}

int xengnttab_set_max_grants(xengnttab_handle *xgt, uint32_t nr_grants)
{
    (void)xgt, (void)nr_grants;
    return 0;
}

void *xengnttab_map_grant_ref(xengnttab_handle *xgt, uint32_t domid, uint32_t ref, int prot)
{
    (void)xgt, (void)domid, (void)ref, (void)prot;
    errno = EPERM;
    return NULL;
}

int xengnttab_unmap(xengnttab_handle *xgt, void *start_address, uint32_t count)
{
    (void)xgt, (void)start_address, (void)count;
    return 0;
}

static int bell = -1; /* the one handle's descriptor, which never becomes readable */

xenevtchn_handle *xenevtchn_open(xentoollog_logger *logger, unsigned int flags)
{
    (void)logger, (void)flags;
    if (bell < 0)
        bell = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    return bell < 0 ? NULL : (xenevtchn_handle *)&nothing;
}

int xenevtchn_close(xenevtchn_handle *xce)
{
    (void)xce;
    return 0;
}

int xenevtchn_fd(xenevtchn_handle *xce)
{
    (void)xce;
    return bell;
}

int xenevtchn_notify(xenevtchn_handle *xce, evtchn_port_t port)
{
    (void)xce, (void)port;
    return 0;
}

xenevtchn_port_or_error_t xenevtchn_bind_interdomain(xenevtchn_handle *xce, uint32_t domid, evtchn_port_t remote_port)
{
    (void)xce, (void)domid;
    return (xenevtchn_port_or_error_t)remote_port;
}

xenevtchn_port_or_error_t xenevtchn_bind_virq(xenevtchn_handle *xce, unsigned int virq)
{
    (void)xce;
    return 1000 + (int)virq;
}

int xenevtchn_unbind(xenevtchn_handle *xce, evtchn_port_t port)
{
    (void)xce, (void)port;
    return 0;
}

xenevtchn_port_or_error_t xenevtchn_pending(xenevtchn_handle *xce)
{
    (void)xce;
    errno = EAGAIN;
    return -1;
}

int xenevtchn_unmask(xenevtchn_handle *xce, evtchn_port_t port)
{
    (void)xce, (void)port;
    return 0;
}

/* Daemons raise their limit of descriptors and end if they may not. */
int setrlimit(__rlimit_resource_t resource, const struct rlimit *limits)
{
    static int (*real)(__rlimit_resource_t, const struct rlimit *);
    if (!real)
        *(void **)&real = dlsym(RTLD_NEXT, "setrlimit");
    return real(resource, limits) == 0 || errno == EPERM ? 0 : -1;
}

/* Domain 0's own ring: an event channel's number, and a page that nobody else maps. */
static int xen_file(const char *path)
{
    if (strcmp(path, "/proc/xen/xsd_port") == 0) {
        int file = memfd_create("xsd_port", MFD_CLOEXEC);
        return file < 0 || pwrite(file, "1", 1, 0) != 1 ? -1 : file;
    }
    int file = memfd_create("xsd_kva", MFD_CLOEXEC);
    return file < 0 || ftruncate(file, RING_BYTES) != 0 ? -1 : file;
}

static int open_by(const char *name, const char *path, int flags, mode_t mode)
{
    if (strncmp(path, "/proc/xen/", strlen("/proc/xen/")) == 0)
        return xen_file(path);
    int (*real)(const char *, int, ...);
    *(void **)&real = dlsym(RTLD_NEXT, name);
    return real(path, flags, mode);
}

int open(const char *path, int flags, ...)
{
    va_list rest;
    va_start(rest, flags);
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0;
    va_end(rest);
    return open_by("open", path, flags, mode);
}

int open64(const char *path, int flags, ...)
{
    va_list rest;
    va_start(rest, flags);
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0;
    va_end(rest);
    return open_by("open64", path, flags, mode);
}
