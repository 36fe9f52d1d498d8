/* Ranges, against a second reading that marks each byte: whatever is asked for is there once, in the object. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ranges.h"

#define SIZE 20

static struct text text_of(const char *string)
{
    return (struct text){string, strlen(string)};
}

/* Writes a spec, and marks what it means. */
static void add_spec(struct writer *writer, bool *wanted)
{
    const int first = rand() % 24, last = first + rand() % 5;

    write_string(writer, writer->length > 6 ? ", " : "");
    switch (rand() % 3) {
    case 0:
        write_number(writer, (uint64_t)first);
        write_string(writer, "-");
        write_number(writer, (uint64_t)last);
        for (int i = first; i <= last && i < SIZE; i++)
            wanted[i] = true;
        break;
    case 1:
        write_number(writer, (uint64_t)first);
        write_string(writer, "-");
        for (int i = first; i < SIZE; i++)
            wanted[i] = true;
        break;
    default:
        write_string(writer, "-");
        write_number(writer, (uint64_t)first);
        for (int i = SIZE - first > 0 ? SIZE - first : 0; i < SIZE; i++)
            wanted[i] = true;
        break;
    }
}

static void check_random(void)
{
    char field[512];
    struct writer writer = writer_on(field, sizeof field);
    bool wanted[SIZE] = {false}, got[SIZE] = {false};
    struct ranges ranges;

    write_string(&writer, "bytes=");
    for (int count = 1 + rand() % 6; count > 0; count--)
        add_spec(&writer, wanted);
    ranges_read(&ranges, (struct text){field, writer.length}, SIZE);
    assert(!ranges.whole);
    for (size_t i = 0; i < ranges.count; i++) {
        assert(ranges.range[i].length > 0);
        for (uint64_t at = 0; at < ranges.range[i].length; at++) {
            assert(ranges.range[i].start + at < SIZE && !got[ranges.range[i].start + at]);
            got[ranges.range[i].start + at] = true;
        }
    }
    assert(memcmp(wanted, got, sizeof got) == 0);
}

static void check_whole(const char *field)
{
    struct ranges ranges;

    ranges_read(&ranges, text_of(field), SIZE);
    assert(ranges.whole);
}

int main(void)
{
    struct ranges ranges;
    char many[400] = "bytes=0-0";

    for (int i = 0; i < 200000; i++)
        check_random();
    check_whole("");
    check_whole("bytes");
    check_whole("bytes=");
    check_whole("bytes=-");
    check_whole("bytes=a-b");
    check_whole("bytes=2-1");
    check_whole("bytes=0-0,x");
    check_whole("bytes=0 -1");
    check_whole("lines=0-1");
    for (int i = 0; i < 32; i++)
        strcat(many, ",19-19");
    check_whole(many);
    ranges_read(&ranges, text_of("bytes=5-6,1-2"), SIZE);
    assert(ranges.count == 2 && ranges.range[0].start == 5);
    ranges_read(&ranges, text_of("BYTES = 18446744073709551616-"), SIZE);
    assert(!ranges.whole && ranges.count == 0);
    ranges_read(&ranges, text_of("bytes=19-99999999999999999999999"), SIZE);
    assert(ranges.count == 1 && ranges.range[0].start == 19 && ranges.range[0].length == 1);
    ranges_read(&ranges, text_of("bytes=-99999999999999999999999"), SIZE);
    assert(ranges.count == 1 && ranges.range[0].length == SIZE);
    ranges_read(&ranges, text_of("bytes=-1"), 0);
    assert(!ranges.whole && ranges.count == 0);
    puts("ranges: ok");
    return 0;
}
