#include <stdint.h>

#include "panic.h"

_Noreturn void exception_report(uint32_t number, uint32_t at, uint32_t status, uint32_t address);

void exception_report(uint32_t number, uint32_t at, uint32_t status, uint32_t address)
{
    panic("exception %u, status %x, at %x, address %x", number, status, at, address);
}
