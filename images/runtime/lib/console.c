#include "console.h"

#include <stdarg.h>

#include "format.h"
#include "platform.h"

#define LINE_SIZE 256

void console_write(const char *text, size_t length)
{
    platform->console_write(text, length);
}

void console_print(const char *fmt, ...)
{
    char line[LINE_SIZE];
    va_list args;

    va_start(args, fmt);
    size_t length = format_va(line, sizeof line, fmt, args);
    va_end(args);
    console_write(line, length);
}
