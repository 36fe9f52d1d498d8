/* The serial console: a 16550 at the first PC serial port. */
#include <stdbool.h>
#include <stdint.h>

#include "clock.h"
#include "cpu.h"
#include "uart16550.h"

#define UART 0x3f8
#define UART_DATA (UART + 0)
#define UART_INTERRUPT_ENABLE (UART + 1)
#define UART_FIFO_CONTROL (UART + 2)
#define UART_LINE_CONTROL (UART + 3)
#define UART_LINE_STATUS (UART + 5)

#define FIFO_ENABLE 0x01
#define FIFO_SIZE 16
#define LINE_8N1 0x03
#define TRANSMITTER_EMPTY 0x20
/* A port that is not there reads as all ones and so as empty.  One whose other
 * end has stopped reading must not stop the guest: it waits once for so many
 * ticks of the counter, about a second, and until there is room again bytes are
 * lost. */
#define PATIENCE (1ULL << 31)

void uart16550_start(void)
{
    out8(UART_INTERRUPT_ENABLE, 0);
    out8(UART_LINE_CONTROL, LINE_8N1);
    out8(UART_FIFO_CONTROL, FIFO_ENABLE);
}

static bool has_room(void)
{
    static bool deaf;

    if (in8(UART_LINE_STATUS) & TRANSMITTER_EMPTY) {
        deaf = false;
        return true;
    }
    const uint64_t begin = clock_ticks();
    while (!deaf) {
        if (in8(UART_LINE_STATUS) & TRANSMITTER_EMPTY)
            return true;
        deaf = clock_ticks() - begin > PATIENCE;
    }
    return false;
}

void uart16550_write(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        /* The FIFO takes a burst: asking once for each saves half the exits. */
        if (i % FIFO_SIZE == 0 && !has_room())
            return;
        out8(UART_DATA, (uint8_t)text[i]);
    }
}
