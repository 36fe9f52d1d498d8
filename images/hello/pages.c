#include "pages.h"

#include <string.h>

#include "blockdev.h"
#include "clock.h"
#include "console.h"
#include "counters.h"
#include "disk.h"
#include "entropy.h"
#include "format.h"
#include "panic.h"
#include "runtime.h"
#include "wall_clock.h"

#define SLOW_MAX 60000 /* ms */
#define LINES_MAX 1000000
#define LINE_NUMBER_MAX 1000000000
#define DISK_LAST 99

#define ALLOW(method) (1U << (method))
#define ALLOW_READ (ALLOW(HTTP_GET) | ALLOW(HTTP_HEAD))

static void answer_root(struct page *page);
static void answer_status(struct page *page);
static void answer_slow(struct page *page);
static void answer_echo(struct page *page);
static void answer_print(struct page *page);
static void answer_disk(struct page *page);
static void answer_crash(struct page *page);

static const struct route {
    const char *path;
    unsigned int methods;
    const char *allow;
    void (*answer)(struct page *page);
} routes[] = {
    {"/", ALLOW_READ, "GET, HEAD", answer_root},
    {"/status", ALLOW_READ, "GET, HEAD", answer_status},
    {"/slow", ALLOW_READ, "GET, HEAD", answer_slow},
    {"/echo", ALLOW(HTTP_POST) | ALLOW(HTTP_PUT), "POST, PUT", answer_echo},
    {"/print", ALLOW(HTTP_GET) | ALLOW(HTTP_POST), "GET, POST", answer_print},
    {"/disk", ALLOW_READ, "GET, HEAD", answer_disk},
    {"/crash", ALLOW(HTTP_GET) | ALLOW(HTTP_POST), "GET, POST", answer_crash},
};

static uint64_t boot_id[2];

void pages_init(void)
{
    boot_id[0] = random_u64();
    boot_id[1] = random_u64();
}

/* The path inside a target in origin-form or absolute-form (RFC 9112 section
 * 3.2); NULL for any other.  *length is without the query. */
static const char *path_of(const char *target, size_t *length)
{
    if (strncmp(target, "http://", strlen("http://")) == 0) {
        target += strlen("http://");
        while (*target != '\0' && *target != '/' && *target != '?')
            target++;
        if (*target != '/') { /* an empty path means "/" */
            *length = 1;
            return "/";
        }
    }
    if (*target != '/')
        return NULL;
    *length = 0;
    while (target[*length] != '\0' && target[*length] != '?')
        (*length)++;
    return target;
}

static const struct route *route_of(const char *path, size_t length)
{
    for (size_t i = 0; i < sizeof routes / sizeof routes[0]; i++)
        if (strlen(routes[i].path) == length && memcmp(routes[i].path, path, length) == 0)
            return &routes[i];
    return NULL;
}

static void respond_text(struct page *page, const char *content_type, size_t length)
{
    page->response = (struct response){
        .status = 200, .content_type = content_type, .body = page->text, .length = length};
}

static void answer_root(struct page *page)
{
    const char *name = runtime_config()->name; /* [a-z0-9-]: needs no escaping */

    respond_text(page, "text/html; charset=utf-8",
                 format(page->text, sizeof page->text,
                        "<!DOCTYPE html>\n<html lang=\"en\">\n<head><title>%s</title></head>\n"
                        "<body><h1>%s</h1><p>This virtual machine was started for you. "
                        "<a href=\"/status\">Its status.</a></p></body>\n</html>\n",
                        name, name));
}

static unsigned long long microseconds(uint64_t time)
{
    return time / CLOCK_US;
}

static void answer_status(struct page *page)
{
    const struct boot_times *times = runtime_boot_times();

    respond_text(
        page, "application/json",
        format(page->text, sizeof page->text,
               "{\"name\": \"%s\", \"boot_id\": \"%016llx%016llx\", \"token\": \"%016llx\",\n"
               " \"uptime_us\": %llu, \"unix_us\": %llu,\n"
               " \"boot_us\": {\"entry\": %llu, \"devices\": %llu, \"network\": %llu, \"ready\": %llu},\n"
               " \"connections\": {\"open\": %llu, \"accepted\": %llu, \"refused\": %llu, \"timed_out\": %llu},\n"
               " \"requests\": {\"answered\": %llu, \"ok\": %llu, \"client_errors\": %llu, \"server_errors\": %llu}}\n",
               runtime_config()->name, (unsigned long long)boot_id[0],
               (unsigned long long)boot_id[1], (unsigned long long)random_u64(), microseconds(clock_now()),
               microseconds(wall_clock_now()),
               microseconds(times->entry), microseconds(times->devices), microseconds(times->network),
               microseconds(times->ready), counters.open, counters.accepted, counters.refused, counters.timed_out,
               counters.requests, counters.ok, counters.client_errors, counters.server_errors));
}

/* Reads NAME=N from the query, NAME with its '='.  A value that the query does not name stays
 * as it is; false if it is no number, or not below 2^60. */
static bool query_number(const char *target, const char *name, uint64_t *value)
{
    while (*target != '\0' && *target != '?')
        target++;
    do {
        if (*target == '\0')
            return true;
        target++;
        if (strncmp(target, name, strlen(name)) == 0)
            break;
        while (*target != '\0' && *target != '&')
            target++;
    } while (true);
    target += strlen(name);
    const char *first = target;
    for (*value = 0; *target >= '0' && *target <= '9'; target++) {
        *value = *value * 10 + (uint64_t)(*target - '0');
        if (*value >= 1ULL << 60)
            return false;
    }
    return target > first && (*target == '\0' || *target == '&');
}

static void answer_slow(struct page *page)
{
    uint64_t delay = UINT64_MAX;

    if (!query_number(page->request->target, "ms=", &delay) || delay > SLOW_MAX) {
        pages_error(page, 400);
        return;
    }
    page->delay = (unsigned int)delay;
    respond_text(page, "text/plain", format(page->text, sizeof page->text, "waited %u ms\n", page->delay));
}

static void answer_echo(struct page *page)
{
    page->response = (struct response){.status = 200,
                                       .content_type = "application/octet-stream",
                                       .body = page->upload,
                                       .length = page->upload_length};
}

/* Prints numbered lines on the console, as fast as it takes them, and answers
 * then: whoever reads the console can tell whether one is missing. */
static void answer_print(struct page *page)
{
    uint64_t lines = UINT64_MAX, from = 1;

    if (!query_number(page->request->target, "lines=", &lines) || lines > LINES_MAX ||
        !query_number(page->request->target, "from=", &from) || from > LINE_NUMBER_MAX) {
        pages_error(page, 400);
        return;
    }
    for (unsigned int i = 0; i < lines; i++)
        console_print("%s: line %u\n", runtime_config()->name, (unsigned int)from + i);
    respond_text(page, "text/plain",
                 format(page->text, sizeof page->text, "printed %u lines\n", (unsigned int)lines));
}

static void describe_disk(struct page *page, const struct blockdev *disk)
{
    respond_text(page, "application/json",
                 format(page->text, sizeof page->text, "{\"sectors\": %llu, \"sector_size\": %u, \"most\": %u}\n",
                        (unsigned long long)disk->sectors, BLOCKDEV_SECTOR, disk->most));
}

static void disk_told(void *context, const void *bytes)
{
    struct page *page = context;

    if (bytes == NULL)
        pages_error(page, 500);
    else
        page->response.body = bytes;
    page->completed(page);
}

/* What a disk is, or `count` of its sectors. */
static void answer_disk(struct page *page)
{
    uint64_t which = 0, sector = UINT64_MAX, count = 1;

    if (!query_number(page->request->target, "disk=", &which) || which > DISK_LAST) {
        pages_error(page, 400);
        return;
    }
    struct blockdev *disk = blockdev_get((unsigned int)which);
    if (disk == NULL) {
        pages_error(page, 404);
    } else if (!query_number(page->request->target, "sector=", &sector) ||
               !query_number(page->request->target, "count=", &count) || count == 0 || count > disk->most) {
        pages_error(page, 400);
    } else if (sector == UINT64_MAX) {
        describe_disk(page, disk);
    } else if (sector >= disk->sectors || count > disk->sectors - sector) {
        pages_error(page, 404);
    } else {
        page->disk = disk_read(disk, sector, (uint32_t)count, disk_told, page);
        if (page->disk == NULL) {
            pages_error(page, 503);
            return;
        }
        page->awaited = true;
        page->response = (struct response){.status = 200,
                                           .content_type = "application/octet-stream",
                                           .length = (size_t)count * BLOCKDEV_SECTOR};
    }
}

static void answer_crash(struct page *page)
{
    (void)page;
    console_print("%s: crashing, as asked\n", runtime_config()->name);
    machine_die();
}

bool pages_want_body(const struct http_parser *request)
{
    size_t length;
    const char *path = path_of(request->target, &length);
    const struct route *route = path == NULL ? NULL : route_of(path, length);

    return route != NULL && route->answer == answer_echo && (route->methods & ALLOW(request->method)) != 0;
}

void pages_release(struct page *page)
{
    disk_release(page->disk);
    page->disk = NULL;
}

void pages_error(struct page *page, unsigned int status)
{
    const size_t length = format(page->text, sizeof page->text, "%s\n", response_status(status));

    respond_text(page, "text/plain", length);
    page->response.status = status;
}

void pages_answer(struct page *page)
{
    const struct http_parser *request = page->request;
    size_t length;

    page->awaited = false;
    page->delay = 0;
    if (request->method == HTTP_UNKNOWN || request->method == HTTP_CONNECT) {
        pages_error(page, 501);
        return;
    }
    if (request->method == HTTP_OPTIONS && strncmp(request->target, "*", 2) == 0) {
        page->response = (struct response){.status = 204, .allow = "GET, HEAD, POST, PUT, OPTIONS"};
        return;
    }
    const char *path = path_of(request->target, &length);
    if (path == NULL) {
        pages_error(page, 400);
        return;
    }
    const struct route *route = route_of(path, length);
    if (route == NULL) {
        pages_error(page, 404);
    } else if ((route->methods & ALLOW(request->method)) == 0) {
        pages_error(page, 405);
        page->response.allow = route->allow;
    } else {
        route->answer(page);
    }
}
