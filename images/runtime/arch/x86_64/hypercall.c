/* Calls into Xen from long mode (xen/include/public/arch-x86/{cpuid,xen-x86_64}.h). */
#include "hypercall.h"

#include "cpu.h"
#include "memory.h"
#include "xen.h"

/* The hypervisor's leaves of CPUID: "XenVMMXenVMM" in EBX, ECX and EDX of the first; the
 * third has the number of the MSR that takes the address of the page for the calls. */
#define LEAVES 0x40000000
#define SIGNATURE_EBX 0x566e6558
#define SIGNATURE_ECX 0x65584d4d
#define SIGNATURE_EDX 0x4d4d566e

#define CALL_SIZE 32

/* The pages of Xen's rings lie in the same 2 MiB as the local APIC, whose registers are no
 * memory and do not care how they are cached. */
#define RINGS_ENTRY 503 /* 0xfee00000 in the directory of the fourth GiB */
#define WRITE_THROUGH 0x08
#define CACHE_DISABLED 0x10

extern uint64_t page_directory_devices[];

/* Xen writes the calls, one for each number, in the way that this CPU needs. */
static uint8_t calls[XEN_PAGE] NOINIT __attribute__((aligned(XEN_PAGE)));

bool hypercall_start(void)
{
    const struct cpuid first = cpuid(LEAVES);

    if (first.ebx != SIGNATURE_EBX || first.ecx != SIGNATURE_ECX || first.edx != SIGNATURE_EDX)
        return false;
    write_msr(cpuid(LEAVES + 2).ebx, (uintptr_t)calls);
    page_directory_devices[RINGS_ENTRY] &= ~(uint64_t)(WRITE_THROUGH | CACHE_DISABLED);
    __asm__ volatile("invlpg (%0)" : : "r"(page_directory_devices[RINGS_ENTRY] & ~0x1fffffULL) : "memory");
    return true;
}

long xen_hypercall(unsigned int number, uintptr_t first, const void *second, uintptr_t third)
{
    uintptr_t rsi = (uintptr_t)second;
    long result;

    __asm__ volatile("call *%4"
                     : "=a"(result), "+D"(first), "+S"(rsi), "+d"(third)
                     : "r"(calls + number * CALL_SIZE)
                     : "rcx", "r8", "r9", "r10", "r11", "memory");
    return result;
}
