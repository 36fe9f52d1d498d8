/* Dates: what is written is what the C library says, and what was written is read. */
#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "date.h"

#define NOW 1795500000 /* in 2026 */

static struct text text_of(const char *string)
{
    return (struct text){string, strlen(string)};
}

static void check_day(uint64_t seconds)
{
    const time_t time = (time_t)seconds;
    struct tm parts;
    char expected[64], written[64], other[64];
    struct writer writer = writer_on(written, sizeof written);
    uint64_t read;

    gmtime_r(&time, &parts);
    strftime(expected, sizeof expected, "%a, %d %b %Y %H:%M:%S GMT", &parts);
    date_write(&writer, seconds);
    assert(writer.length == strlen(expected) && memcmp(written, expected, writer.length) == 0);
    assert(date_read(text_of(expected), NOW, &read) && read == seconds);
    strftime(other, sizeof other, "%a %b %e %H:%M:%S %Y", &parts);
    assert(date_read(text_of(other), NOW, &read) && read == seconds);
    strftime(other, sizeof other, "%A, %d-%b-%y %H:%M:%S GMT", &parts);
    assert(date_read(text_of(other), NOW, &read));
    assert(parts.tm_year + 1900 < 1977 || parts.tm_year + 1900 > 2076 || read == seconds);
}

static void check_refused(const char *date)
{
    uint64_t read;

    assert(!date_read(text_of(date), NOW, &read));
}

int main(void)
{
    char text[64];
    struct writer writer = writer_on(text, sizeof text);

    for (uint64_t day = 0; day < 366 * 500; day += 1)
        check_day(day * 86400 + day * 7919 % 86400);
    date_write(&writer, UINT64_MAX);
    assert(memcmp(text, "Fri, 31 Dec 9999 23:59:59 GMT", writer.length) == 0);
    check_refused("");
    check_refused("Sun, 06 Nov 1994 08:49:37");
    check_refused("Sun, 06 Nov 1994 08:49:37 GMT ");
    check_refused("Sun, 31 Nov 1994 08:49:37 GMT");
    check_refused("Sun, 29 Feb 1900 08:49:37 GMT");
    check_refused("Sun, 06 Nov 1994 24:49:37 GMT");
    check_refused("Sun, 06 Nov 1969 08:49:37 GMT");
    check_refused("Sun, 06 nov 1994 08:49:37 GMT");
    check_refused("Sun, 06 Nov 19x4 08:49:37 GMT");
    check_refused("784111777");
    puts("date: ok");
    return 0;
}
