/* Calls into Xen (xen/include/public/arch-arm.h): the number in x16. */
#include "xen.h"

long xen_hypercall(unsigned int number, uintptr_t first, const void *second, uintptr_t third)
{
    register uintptr_t x0 __asm__("x0") = first;
    register const void *x1 __asm__("x1") = second;
    register uintptr_t x2 __asm__("x2") = third;
    register uint64_t x16 __asm__("x16") = number;

    __asm__ volatile("hvc #0xea1" : "+r"(x0), "+r"(x1), "+r"(x2), "+r"(x16) : : "x3", "x4", "memory");
    return (long)x0;
}
