#ifndef PL011_H
#define PL011_H

#include <stddef.h>

void pl011_start(void);
void pl011_write(const char *text, size_t length);

#endif
