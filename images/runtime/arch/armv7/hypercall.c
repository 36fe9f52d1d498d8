/* Calls into Xen (xen/include/public/arch-arm.h): the number in r12. */
#include "xen.h"

long xen_hypercall(unsigned int number, uintptr_t first, const void *second, uintptr_t third)
{
    register uintptr_t r0 __asm__("r0") = first;
    register const void *r1 __asm__("r1") = second;
    register uintptr_t r2 __asm__("r2") = third;
    register unsigned int r12 __asm__("r12") = number;

    __asm__ volatile("hvc #0xea1" : "+r"(r0), "+r"(r1), "+r"(r2), "+r"(r12) : : "r3", "memory");
    return (long)r0;
}
