#ifndef UART16550_H
#define UART16550_H

#include <stddef.h>

void uart16550_start(void);
void uart16550_write(const char *text, size_t length);

#endif
