/* Of xenctrl.h, xenguest.h and xen/domctl.h, what the driver uses, in the form that cffi reads. */

typedef int... xen_pfn_t;
typedef struct xc_interface_core xc_interface;
typedef uint8_t xen_domain_handle_t[16];

/* complaints.c */
struct complaints {
    char last[256];
    ...;
};
struct complaints *complaints_new(void);
void complaints_free(struct complaints *);
xc_interface *complaints_open(struct complaints *);

int xc_interface_close(xc_interface *);

struct xen_arch_domainconfig;
struct xen_domctl_createdomain {
    uint32_t ssidref;
    xen_domain_handle_t handle;
    uint32_t flags;
    uint32_t iommu_opts;
    uint32_t max_vcpus;
    uint32_t max_evtchn_port;
    int32_t max_grant_frames;
    int32_t max_maptrack_frames;
    uint32_t grant_opts;
    uint32_t vmtrace_size;
    uint32_t cpupool_id;
    struct xen_arch_domainconfig arch;
    ...;
};

typedef struct {
    uint16_t domain;
    uint32_t flags;
    uint64_t tot_pages;
    uint64_t cpu_time;
    xen_domain_handle_t handle;
    ...;
} xc_domaininfo_t;

typedef struct {
    uint64_t free_pages;
    ...;
} xc_physinfo_t;
int xc_physinfo(xc_interface *, xc_physinfo_t *);

int xc_domain_create(xc_interface *, uint32_t *domid, struct xen_domctl_createdomain *);
int xc_domain_max_vcpus(xc_interface *, uint32_t domid, unsigned int);
int xc_domain_setmaxmem(xc_interface *, uint32_t domid, uint64_t kib);
int xc_set_paging_mempool_size(xc_interface *, uint32_t domid, uint64_t bytes);
int xc_evtchn_alloc_unbound(xc_interface *, uint32_t domid, uint32_t remote);
int xc_hvm_param_set(xc_interface *, uint32_t domid, uint32_t parameter, uint64_t value);
int xc_domain_pause(xc_interface *, uint32_t domid);
int xc_domain_unpause(xc_interface *, uint32_t domid);
int xc_domain_destroy(xc_interface *, uint32_t domid);
int xc_domain_getinfolist(xc_interface *, uint32_t first, unsigned int most, xc_domaininfo_t *);

struct xc_dom_seg {
    uint64_t vstart;
    uint64_t vend;
    ...;
};
struct xc_dom_module {
    struct xc_dom_seg seg;
    ...;
};
struct xc_hvm_firmware_module {
    uint8_t *data;
    uint32_t length;
    uint64_t guest_addr_out;
};
struct xc_dom_image {
    struct xc_dom_module modules[...];
    struct xc_hvm_firmware_module acpi_modules[...];
    xen_pfn_t console_pfn;
    xen_pfn_t xenstore_pfn;
    unsigned long flags;
    unsigned int console_evtchn;
    unsigned int xenstore_evtchn;
    uint32_t console_domid;
    uint32_t xenstore_domid;
    unsigned int container_type;
    xen_pfn_t target_pages;
    uint64_t mmio_start;
    uint64_t mmio_size;
    uint64_t lowmem_end;
    uint64_t highmem_end;
    xen_pfn_t vga_hole_size;
    bool device_model;
    unsigned int max_vcpus;
    ...;
};
#define XC_DOM_PV_CONTAINER ...
#define XC_DOM_HVM_CONTAINER ...

struct xc_dom_image *xc_dom_allocate(xc_interface *, const char *cmdline, const char *features);
void xc_dom_release(struct xc_dom_image *);
int xc_dom_kernel_file(struct xc_dom_image *, const char *path);
int xc_dom_module_file(struct xc_dom_image *, const char *path, const char *cmdline);
int xc_dom_boot_xen_init(struct xc_dom_image *, xc_interface *, uint32_t domid);
int xc_dom_rambase_init(struct xc_dom_image *, uint64_t base);
int xc_dom_parse_image(struct xc_dom_image *);
int xc_dom_devicetree_mem(struct xc_dom_image *, const void *, size_t);
int xc_dom_mem_init(struct xc_dom_image *, unsigned int mib);
int xc_dom_boot_mem_init(struct xc_dom_image *);
int xc_dom_build_image(struct xc_dom_image *);
int xc_dom_boot_image(struct xc_dom_image *);
int xc_dom_gnttab_init(struct xc_dom_image *);
xen_pfn_t xc_dom_p2m(struct xc_dom_image *, xen_pfn_t page);
