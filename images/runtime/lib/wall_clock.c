#include "wall_clock.h"

#include "clock.h"

static uint64_t told, told_at;

void wall_clock_set(uint64_t time)
{
    told = time;
    told_at = clock_now();
}

uint64_t wall_clock_now(void)
{
    return told == 0 ? 0 : told + (clock_now() - told_at);
}
