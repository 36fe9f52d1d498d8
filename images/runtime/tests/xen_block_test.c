/* The disk's frontend, against a store and a backend that are made up here. */
#include "xen_block.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "blockdev.h"
#include "console.h"
#include "heap.h"
#include "panic.h"
#include "xen.h"
#include "xen_ring.h"
#include "xenstore.h"

#define BACKEND "/local/domain/0/backend/vbd/4/51712"
#define SECTORS 5000
#define READS 40
#define PANICKED 7

/* --- what the driver stands on ------------------------------------------------ */
static struct xenstore_node *asked[16];
static unsigned int asked_count;
static char said[256]; /* "key=value " of each that was written */
static void *granted[512];
static uint32_t grant_count;
static unsigned int events, printed;

void xenstore_read(struct xenstore_node *node)
{
    asked[asked_count++] = node;
}

void xenstore_follow(struct xenstore_node *node)
{
    asked[asked_count++] = node;
}

void xenstore_write(struct xenstore_node *node, const void *value, size_t length)
{
    char word[128];

    snprintf(word, sizeof word, "%s=%.*s ", strrchr(node->path, '/') + 1, (int)length, (const char *)value);
    strcat(said, word);
}

void panic(const char *message, ...)
{
    (void)message;
    exit(PANICKED);
}

void console_print(const char *message, ...)
{
    (void)message;
    printed++;
}

void *heap_take_pages(size_t count)
{
    return aligned_alloc(XEN_PAGE, count * XEN_PAGE);
}

uint32_t xen_grant(uint16_t domain, const void *page, bool read_only)
{
    assert(domain == 0 && !read_only && grant_count < 512);
    granted[grant_count] = (void *)(uintptr_t)page;
    return grant_count++;
}

uint32_t xen_event_open(uint16_t remote)
{
    assert(remote == 0);
    return 9;
}

void xen_event_watch(uint32_t port)
{
    assert(port == 9);
}

void xen_event_send(uint32_t port)
{
    assert(port == 9);
    events++;
}

/* --- the other side -------------------------------------------------------------- */
static void tell(const char *path, const char *value)
{
    for (unsigned int i = 0; i < asked_count; i++)
        if (strcmp(asked[i]->path, path) == 0) {
            asked[i]->told(asked[i], value, value == NULL ? 0 : strlen(value));
            return;
        }
    fprintf(stderr, "nobody asked for %s\n", path);
    abort();
}

static void connect_disk(const char *sector_size, const char *sectors)
{
    xen_block_start();
    assert(!xen_block_settled() && !xen_block_poll());
    tell("device/vbd/51712/backend-id", "0");
    tell("device/vbd/51712/backend", BACKEND);
    tell(BACKEND "/state", "2");
    assert(strcmp(said, "ring-ref=0 event-channel=9 protocol=x86_64-abi feature-persistent=1 state=4 ") == 0);
    tell(BACKEND "/state", "4");
    tell(BACKEND "/sector-size", sector_size);
    assert(!xen_block_settled());
    tell(BACKEND "/sectors", sectors);
    assert(xen_block_settled());
}

struct request {
    uint8_t operation, segment_count;
    uint16_t device;
    uint64_t id, sector;
    struct {
        uint32_t grant;
        uint8_t first, last;
    } segments[11];
};

struct response {
    uint64_t id;
    uint8_t operation;
    int16_t status;
};

static struct request taken[32];
static unsigned int taken_count;

static struct request_ring_shared *ring(void)
{
    return granted[0];
}

/* No more than the backend was told of. */
static void take_requests(void)
{
    static uint32_t seen;

    for (; seen != ring()->requests; seen++)
        memcpy(&taken[taken_count++], (struct request *)(ring() + 1) + seen % 32, sizeof taken[0]);
    ring()->request_event = seen + 1;
}

static uint8_t content(uint64_t sector, unsigned int at)
{
    return (uint8_t)(sector * 31 + sector / 256 + at);
}

static void answer_one(unsigned int which, int16_t status)
{
    const struct request request = taken[which];
    uint64_t sector = request.sector;

    taken[which] = taken[--taken_count];
    assert(request.operation == 0);
    for (unsigned int i = 0; i < request.segment_count; i++) {
        assert(request.segments[i].grant > 0 && request.segments[i].grant < grant_count);
        for (unsigned int s = request.segments[i].first; s <= request.segments[i].last; s++, sector++)
            for (unsigned int at = 0; at < BLOCKDEV_SECTOR; at++)
                ((uint8_t *)granted[request.segments[i].grant])[s * BLOCKDEV_SECTOR + at] = content(sector, at);
    }
    struct response *response = (struct response *)((struct request *)(ring() + 1) + ring()->responses % 32);
    *response = (struct response){.id = request.id, .status = status};
    ring()->responses++;
}

/* --- who reads ---------------------------------------------------------------------- */
static struct {
    struct blockdev_read read;
    bool under_way;
} reads[READS];
static unsigned int good, bad, again; /* `again`: so many more reads are begun from within done() */

static void begin(unsigned int which, uint64_t sector, uint32_t count);

static void done(struct blockdev_read *read, const void *data)
{
    const unsigned int which = (unsigned int)((__typeof__(&reads[0]))read - reads);
    const uint64_t sector = read->sector;

    assert(reads[which].under_way);
    reads[which].under_way = false;
    /* The backend may be quicker than who looks at the data. */
    if (again > 0 && again--) {
        begin(which, read->sector + 1, read->count);
        take_requests();
        if (taken_count > 0)
            answer_one(taken_count - 1, 0);
    }
    for (unsigned int i = 0; data != NULL && i < read->count * BLOCKDEV_SECTOR; i++)
        assert(((const uint8_t *)data)[i] ==
               content(sector + i / BLOCKDEV_SECTOR, i % BLOCKDEV_SECTOR));
    good += data != NULL;
    bad += data == NULL;
}

static void begin(unsigned int which, uint64_t sector, uint32_t count)
{
    reads[which].read = (struct blockdev_read){.sector = sector, .count = count, .done = done};
    reads[which].under_way = true;
    blockdev_get(0)->read(blockdev_get(0), &reads[which].read);
}

static void check_reads(void)
{
    const uint32_t most = blockdev_get(0)->most;

    assert(most == 88 && blockdev_get(0)->sectors == SECTORS);
    for (uint32_t count = 1; count <= most; count++) {
        begin(0, count * 13, count);
        take_requests();
        assert(taken_count == 1 && taken[0].sector == count * 13 && taken[0].segment_count == (count + 7) / 8);
        assert(!xen_block_poll());
        answer_one(0, 0);
        assert(xen_block_poll() && good == count && !xen_block_poll());
    }
    assert(events == most);
}

/* More than there is room for, begun from within done() too, and answered in any order. */
static void check_a_crowd(void)
{
    const unsigned int before = good;

    again = 50;
    for (unsigned int i = 0; i < READS; i++)
        begin(i, i * 100 + 3, 1 + i * 2);
    take_requests();
    assert(taken_count == 8);
    for (unsigned int turn = 0; good < before + READS + 50; turn++) {
        take_requests();
        assert(taken_count > 0);
        for (unsigned int some = 1 + turn % 3; some > 0 && taken_count > 0; some--)
            answer_one(turn * 7 % taken_count, 0);
        assert(xen_block_poll());
    }
    take_requests();
    assert(taken_count == 0 && again == 0 && bad == 0);
}

static void check_failures(void)
{
    const unsigned int before = good;

    begin(0, 17, 2);
    begin(1, 17, 3);
    take_requests();
    answer_one(0, -1); /* BLKIF_RSP_ERROR */
    answer_one(0, 0);
    assert(xen_block_poll() && bad == 1 && good == before + 1);
    for (unsigned int i = 0; i < READS; i++)
        begin(i, i, 1);
    tell(BACKEND "/state", "5");
    assert(xen_block_poll() && bad == 1 + READS && !xen_block_poll());
    begin(0, 1, 1);
    assert(bad == 1 + READS); /* not before read() has returned */
    assert(xen_block_poll() && bad == 2 + READS && good == before + 1);
}

static void in_a_child(void (*check)(void), int status)
{
    const pid_t child = fork();
    int ended;

    if (child == 0) {
        check();
        exit(0);
    }
    assert(waitpid(child, &ended, 0) == child && WIFEXITED(ended) && WEXITSTATUS(ended) == status);
}

static void check_lies(void)
{
    connect_disk("512", "5000");
    begin(0, 1, 1);
    begin(1, 1, 1);
    take_requests();
    taken[0].id = 5; /* nothing of this number is under way */
    answer_one(0, 0);
    xen_block_poll();
}

static void check_what_is_not_used(void)
{
    connect_disk("4096", "5000");
    assert(blockdev_get(0) == NULL && printed == 1);
}

static void check_none(void)
{
    xen_block_start();
    tell("device/vbd/51712/backend", NULL);
    assert(xen_block_settled() && blockdev_get(0) == NULL && !xen_block_poll() && said[0] == '\0');
}

int main(void)
{
    in_a_child(check_none, 0);
    in_a_child(check_what_is_not_used, 0);
    in_a_child(check_lies, PANICKED);
    connect_disk("512", "5000");
    check_reads();
    check_a_crowd();
    check_failures();
    puts("xen_block_test: ok");
}
