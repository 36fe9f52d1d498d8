#include <stdint.h>

#include "panic.h"

_Noreturn void exception_report(uint64_t number, uint64_t at, uint64_t syndrome, uint64_t address);

void exception_report(uint64_t number, uint64_t at, uint64_t syndrome, uint64_t address)
{
    panic("exception %lu, syndrome %lx, at %lx, address %lx", number, syndrome, at, address);
}
