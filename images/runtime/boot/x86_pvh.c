/* What a PVH loader tells (xen/include/public/arch-x86/hvm/start_info.h). */
#include <stddef.h>
#include <stdint.h>

#include "runtime.h"
#include "x86_64.h"

#define START_MAGIC 0x336ec578 /* "xEn3" with the top bit of the E set */
#define MEMORY_MAP_SINCE 1     /* version of the structure that brought the memory map */
#define MEMORY_RAM 1

struct hvm_start_info {
    uint32_t magic;
    uint32_t version;
    uint32_t flags;
    uint32_t module_count;
    uint64_t modules;
    uint64_t cmdline;
    uint64_t rsdp;
    uint64_t memory_map;
    uint32_t memory_map_entries;
    uint32_t reserved;
};

struct hvm_memory_map_entry {
    uint64_t address;
    uint64_t size;
    uint32_t type;
    uint32_t reserved;
};

/* First byte of the image (linker script). */
extern const char image_start[];

_Noreturn void pvh_start(const struct hvm_start_info *info);

static uint64_t end_of_image_ram(const struct hvm_start_info *info)
{
    const struct hvm_memory_map_entry *map = (const void *)info->memory_map;
    const uint64_t image = (uintptr_t)image_start;

    for (uint32_t i = 0; i < info->memory_map_entries; i++)
        if (map[i].type == MEMORY_RAM && map[i].address <= image && image - map[i].address < map[i].size)
            return map[i].address + map[i].size;
    return 0;
}

void pvh_start(const struct hvm_start_info *info)
{
    struct boot_info boot = {.cmdline = ""};

    if (info->magic == START_MAGIC) {
        if (info->cmdline != 0)
            boot.cmdline = (const char *)info->cmdline;
        if (info->version >= MEMORY_MAP_SINCE && info->memory_map != 0)
            boot.ram_end = end_of_image_ram(info);
    }
    platform_choose();
    runtime_start(&boot);
}
