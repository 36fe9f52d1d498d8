#include "panic.h"

#include <stdarg.h>
#include <string.h>

#include "console.h"
#include "format.h"
#include "platform.h"

#define MESSAGE_SIZE 256

void panic(const char *fmt, ...)
{
    char message[MESSAGE_SIZE];
    va_list args;

    va_start(args, fmt);
    size_t length = format_va(message, sizeof message, fmt, args);
    va_end(args);
    console_write("panic: ", strlen("panic: "));
    console_write(message, length);
    console_write("\n", 1);
    machine_die();
}

void machine_die(void)
{
    platform->end(true);
}

void machine_off(void)
{
    platform->end(false);
}
