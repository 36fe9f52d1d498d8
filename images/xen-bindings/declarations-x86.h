struct xen_arch_domainconfig {
    uint32_t emulation_flags;
    uint32_t misc_flags;
    ...;
};

struct e820entry {
    uint64_t addr;
    uint64_t size;
    uint32_t type;
    ...;
};
int xc_domain_set_memmap_limit(xc_interface *, uint32_t domid, unsigned long kib);
int xc_domain_set_memory_map(xc_interface *, uint32_t domid, struct e820entry *, uint32_t count);

void set_e820(struct xc_dom_image *, struct e820entry *, unsigned int count);
