/* Requests: one that comes in pieces is the one that comes at once, what is in it lies in it, and the answer is one. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "host.h"
#include "response.h"
#include "table.h"

#define OBJECTS 3

static struct table *table;

static void write_64(uint8_t *at, uint64_t number)
{
    for (int i = 0; i < 8; i++)
        at[i] = (uint8_t)(number >> 8 * i);
}

/* Two files and a link. */
static void make_table(void)
{
    static const char *const names[OBJECTS] = {"a", "host/file.txt", "link"};
    const struct shfs_label label = {.chunks = 1000, .stripe = 4096, .member_count = 1};
    const struct shfs_configuration configuration = {2, SHFS_SHA, 2, 16};

    table = table_new(&label, &configuration, OBJECTS);
    for (int i = 0; i < OBJECTS; i++) {
        uint8_t slot[SHFS_SLOT] = {(uint8_t)(i + 1), 0xab};

        memcpy(slot + 181, names[i], strlen(names[i]));
        write_64(slot + 172, 784111777);
        slot[180] = i == 2 ? 0x04 : i == 0 ? 0x08 : 0;
        if (i == 2) {
            memcpy(slot + 65, "up\r\nstream", 10);
            slot[98] = 1;
            memcpy(slot + 100, "path \n", 6);
        } else {
            write_64(slot + 64, 10);
            write_64(slot + 80, i == 0 ? 26 : 8192);
        }
        assert(table_add(table, slot) == NULL);
    }
    assert(table_finish(table) == NULL && table->count == OBJECTS);
}

static bool lies_in(struct text text, const char *bytes, size_t size)
{
    return text.at == NULL || (text.at >= bytes && text.length <= size && text.at + text.length <= bytes + size);
}

/* A response begins as one, and ends its head. */
static void check(const struct response *response)
{
    assert(response->head_length > 15 && response->head_length < HEAD_ROOM);
    assert(memcmp(response->head, "HTTP/1.1 ", 9) == 0);
    assert(memmem(response->head, response->head_length, "\r\n\r\n", 4) != NULL);
    assert(memmem(response->head, response->head_length, "\r\n", 2) != NULL);
    for (size_t i = 0; i < response->head_length; i++)
        assert(response->head[i] != '\n' || i + 1 == response->head_length || response->head[i - 1] == '\r');
    if (response->body == BODY_NONE)
        return;
    for (size_t i = 0; i < response->ranges.count; i++)
        assert(response->ranges.range[i].length > 0 && response->ranges.range[i].start < response->object->file.size &&
               response->ranges.range[i].length <= response->object->file.size - response->ranges.range[i].start);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct response_setting setting = {784111999, {"Sun, 06 Nov 1994 08:53:19 GMT", 29}};
    static struct request whole, pieces;
    static struct response one, other;
    size_t step = size > 0 ? data[0] % 7 + 1 : 1, used_whole, used = 0;
    const char *bytes = (const char *)data + (size > 0);

    if (table == NULL)
        make_table();
    size -= size > 0;
    request_begin(&whole);
    used_whole = request_read(&whole, bytes, size);
    request_begin(&pieces);
    while (used < size && (pieces.state == REQUEST_HEAD || pieces.state == REQUEST_BODY_DUE))
        used += request_read(&pieces, bytes + used, size - used < step ? size - used : step);
    assert(whole.state == pieces.state && used_whole <= size);
    if (whole.state != REQUEST_COMPLETE && whole.state != REQUEST_REFUSED)
        return 0;
    for (size_t i = 0; i < whole.field_count; i++)
        assert(lies_in(whole.fields[i].value, bytes, size));
    response_to(&one, &whole, table, &setting);
    check(&one);
    response_of_status(&other, 503, &setting);
    check(&other);
    if (whole.state == REQUEST_COMPLETE) {
        assert(used == used_whole || !whole.keep_alive);
        response_to(&other, &pieces, table, &setting);
        assert(one.status == other.status && one.body == other.body);
    }
    return 0;
}
