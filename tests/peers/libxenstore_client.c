/* A client of libxenstore, as toolstacks are: it does everything that the library offers without a hypervisor, and ends
 * with 1 and a line about the first answer that is wrong.
 *
 * libxenstore_client: the daemon is the one that XENSTORED_PATH names; whatever is below /lib is its own.
 */
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <xenstore.h>

#define PATIENCE_MS 30000
#define NAMES 300

static void check(bool right, const char *what, int where)
{
    if (!right) {
        fprintf(stderr, "line %d: %s: errno %s\n", where, what, strerror(errno));
        exit(1);
    }
}

#define CHECK(condition) check(condition, #condition, __LINE__)
/* The call fails, and with this error. */
#define REFUSED(call, wanted) \
    do { \
        errno = 0; \
        check(!(call), #call, __LINE__); \
        check(errno == (wanted), #call " is " #wanted, __LINE__); \
    } while (0)

static bool write_text(struct xs_handle *xs, xs_transaction_t in, const char *path, const char *text)
{
    return xs_write(xs, in, path, text, strlen(text));
}

/* Is the value the text? The library puts a NUL behind what it read. */
static bool holds(struct xs_handle *xs, xs_transaction_t in, const char *path, const char *text)
{
    unsigned int bytes;
    char *value = xs_read(xs, in, path, &bytes);
    bool same = value && bytes == strlen(text) && strcmp(value, text) == 0;
    free(value);
    return same;
}

static void nodes(struct xs_handle *xs)
{
    const char bytes[] = {'a', '\0', '\n', '\xff'};
    unsigned int length;

    CHECK(xs_mkdir(xs, XBT_NULL, "/lib/made"));
    CHECK(holds(xs, XBT_NULL, "/lib/made", ""));
    CHECK(xs_write(xs, XBT_NULL, "/lib/bytes", bytes, sizeof(bytes)));
    char *value = xs_read(xs, XBT_NULL, "/lib/bytes", &length);
    CHECK(value && length == sizeof(bytes) && memcmp(value, bytes, sizeof(bytes)) == 0);
    free(value);
    CHECK(xs_write(xs, XBT_NULL, "/lib/bytes", "", 0));
    CHECK(holds(xs, XBT_NULL, "/lib/bytes", ""));

    REFUSED(xs_read(xs, XBT_NULL, "/lib/missing", &length), ENOENT);
    REFUSED(xs_directory(xs, XBT_NULL, "/lib/missing", &length), ENOENT);
    REFUSED(xs_read(xs, XBT_NULL, "/lib/with.dot", &length), EINVAL);
    REFUSED(xs_rm(xs, XBT_NULL, "/"), EINVAL);
    CHECK(xs_rm(xs, XBT_NULL, "/lib/missing"));
    REFUSED(xs_rm(xs, XBT_NULL, "/lib/missing/below"), ENOENT);
    CHECK(xs_rm(xs, XBT_NULL, "/lib/bytes"));
    REFUSED(xs_read(xs, XBT_NULL, "/lib/bytes", &length), ENOENT);
}

static void permissions(struct xs_handle *xs)
{
    struct xs_permissions list[] = {
        {.id = 3, .perms = XS_PERM_NONE},
        {.id = 4, .perms = XS_PERM_READ},
        {.id = 5, .perms = XS_PERM_WRITE},
        {.id = 6, .perms = XS_PERM_READ | XS_PERM_WRITE},
    };
    unsigned int count;

    CHECK(xs_mkdir(xs, XBT_NULL, "/lib/perms"));
    CHECK(xs_set_permissions(xs, XBT_NULL, "/lib/perms", list, 4));
    struct xs_permissions *got = xs_get_permissions(xs, XBT_NULL, "/lib/perms", &count);
    CHECK(got && count == 4);
    for (unsigned int i = 0; i < count; i++)
        CHECK(got[i].id == list[i].id && got[i].perms == list[i].perms);
    free(got);
    CHECK(xs_mkdir(xs, XBT_NULL, "/lib/perms/child"));
    got = xs_get_permissions(xs, XBT_NULL, "/lib/perms/child", &count);
    CHECK(got && count == 4 && got[0].id == 3 && got[3].id == 6);
    free(got);
    REFUSED(xs_set_permissions(xs, XBT_NULL, "/lib/missing", list, 4), ENOENT);
}

/* Names of more than a message holds come by DIRECTORY_PART, of which the caller sees nothing. */
static void large_directory(struct xs_handle *xs)
{
    char path[128];
    unsigned int count;

    for (int i = 0; i < NAMES; i++) {
        snprintf(path, sizeof(path), "/lib/large/name-%04d-of-a-large-directory", i);
        CHECK(write_text(xs, XBT_NULL, path, "x"));
    }
    char **names = xs_directory(xs, XBT_NULL, "/lib/large", &count);
    CHECK(names && count == NAMES);
    for (int i = 0; i < NAMES; i++) {
        snprintf(path, sizeof(path), "name-%04d-of-a-large-directory", i);
        CHECK(strcmp(names[i], path) == 0);
    }
    free(names);

    xs_transaction_t in = xs_transaction_start(xs);
    CHECK(in != XBT_NULL && write_text(xs, in, "/lib/large/one-more", "x"));
    names = xs_directory(xs, in, "/lib/large", &count);
    CHECK(names && count == NAMES + 1 && strcmp(names[NAMES], "one-more") == 0);
    free(names);
    CHECK(xs_transaction_end(xs, in, true));
    names = xs_directory(xs, XBT_NULL, "/lib/large", &count);
    CHECK(names && count == NAMES);
    free(names);

    CHECK(xs_mkdir(xs, XBT_NULL, "/lib/empty"));
    names = xs_directory(xs, XBT_NULL, "/lib/empty", &count);
    CHECK(names && count == 0);
    free(names);
}

static void transactions(struct xs_handle *xs, struct xs_handle *other)
{
    CHECK(write_text(xs, XBT_NULL, "/lib/counter", "0"));
    xs_transaction_t in = xs_transaction_start(xs);
    CHECK(in != XBT_NULL);
    CHECK(write_text(xs, in, "/lib/counter", "1"));
    CHECK(holds(xs, in, "/lib/counter", "1"));
    CHECK(holds(xs, XBT_NULL, "/lib/counter", "0"));
    CHECK(holds(other, XBT_NULL, "/lib/counter", "0"));
    CHECK(xs_transaction_end(xs, in, false));
    CHECK(holds(other, XBT_NULL, "/lib/counter", "1"));
    REFUSED(xs_transaction_end(xs, in, false), ENOENT);

    in = xs_transaction_start(xs);
    CHECK(write_text(xs, in, "/lib/counter", "2"));
    CHECK(xs_transaction_end(xs, in, true));
    CHECK(holds(xs, XBT_NULL, "/lib/counter", "1"));

    /* Somebody else changes what was read: again, until it goes. */
    in = xs_transaction_start(xs);
    CHECK(holds(xs, in, "/lib/counter", "1"));
    CHECK(write_text(other, XBT_NULL, "/lib/counter", "5"));
    CHECK(write_text(xs, in, "/lib/counter", "2"));
    REFUSED(xs_transaction_end(xs, in, false), EAGAIN);
    in = xs_transaction_start(xs);
    CHECK(holds(xs, in, "/lib/counter", "5"));
    CHECK(write_text(xs, in, "/lib/counter", "6"));
    CHECK(xs_transaction_end(xs, in, false));
    CHECK(holds(other, XBT_NULL, "/lib/counter", "6"));
}

/* The next event, which must be this one. */
static void expect_event(struct xs_handle *xs, const char *path, const char *token)
{
    struct pollfd ready = {.fd = xs_fileno(xs), .events = POLLIN};
    unsigned int count;

    CHECK(poll(&ready, 1, PATIENCE_MS) == 1);
    char **event = xs_read_watch(xs, &count);
    CHECK(event && count >= 2);
    if (strcmp(event[XS_WATCH_PATH], path) != 0 || strcmp(event[XS_WATCH_TOKEN], token) != 0)
        fprintf(stderr, "%s %s came, not %s %s\n", event[XS_WATCH_PATH], event[XS_WATCH_TOKEN], path, token);
    CHECK(strcmp(event[XS_WATCH_PATH], path) == 0 && strcmp(event[XS_WATCH_TOKEN], token) == 0);
    free(event);
}

static void watches(struct xs_handle *xs, struct xs_handle *other)
{
    CHECK(xs_watch(xs, "/lib/watched", "first"));
    expect_event(xs, "/lib/watched", "first");
    REFUSED(xs_check_watch(xs), EAGAIN);
    REFUSED(xs_watch(xs, "/lib/watched", "first"), EEXIST);
    CHECK(xs_watch(xs, "/lib/watched/below", "second"));
    expect_event(xs, "/lib/watched/below", "second");

    CHECK(write_text(other, XBT_NULL, "/lib/watched", "1"));
    expect_event(xs, "/lib/watched", "first");
    CHECK(write_text(other, XBT_NULL, "/lib/beside", "1"));
    xs_transaction_t in = xs_transaction_start(other);
    CHECK(write_text(other, in, "/lib/watched/x", "1"));
    CHECK(xs_transaction_end(other, in, true));
    in = xs_transaction_start(other);
    CHECK(write_text(other, in, "/lib/watched/y", "1"));
    CHECK(xs_transaction_end(other, in, false));
    expect_event(xs, "/lib/watched/y", "first");
    CHECK(write_text(xs, XBT_NULL, "/lib/watched/own", "1"));
    expect_event(xs, "/lib/watched/own", "first");

    CHECK(xs_unwatch(xs, "/lib/watched", "first"));
    REFUSED(xs_unwatch(xs, "/lib/watched", "first"), ENOENT);
    CHECK(write_text(other, XBT_NULL, "/lib/watched/z", "1"));
    CHECK(write_text(other, XBT_NULL, "/lib/watched/below", "1"));
    expect_event(xs, "/lib/watched/below", "second");
    CHECK(xs_unwatch(xs, "/lib/watched/below", "second"));
    REFUSED(xs_check_watch(xs), EAGAIN);
}

static void domains(struct xs_handle *xs)
{
    char *path = xs_get_domain_path(xs, 17);
    CHECK(path && strcmp(path, "/local/domain/17") == 0);
    free(path);
    CHECK(xs_is_domain_introduced(xs, 0));
    CHECK(!xs_is_domain_introduced(xs, 17));
    REFUSED(xs_release_domain(xs, 17), ENOENT);
    REFUSED(xs_set_target(xs, 17, 18), ENOENT);
    CHECK(!xs_restrict(xs, 17)); /* RESTRICT is no longer served by anybody */
}

int main(void)
{
    struct xs_handle *xs = xs_open(0), *other = xs_open(0);

    CHECK(xs && other);
    CHECK(xs_rm(xs, XBT_NULL, "/lib"));
    nodes(xs);
    permissions(xs);
    large_directory(xs);
    transactions(xs, other);
    watches(xs, other);
    domains(xs);
    CHECK(xs_rm(xs, XBT_NULL, "/lib"));
    xs_close(other);
    xs_close(xs);
    return 0;
}
