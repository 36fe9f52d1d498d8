/* cache-linux: the MiniCache node as a program of Linux. */
#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "core.h"
#include "disk.h"
#include "label.h"
#include "loop.h"
#include "tcp.h"

#define OTHER_DESCRIPTORS 64

static const char usage[] =
    "usage: cache-linux --volume FILE [--volume FILE...] --listen ADDRESS:PORT [option...]\n"
    "\n"
    "Serves the objects of an SHFS volume over HTTP/1.1.\n"
    "\n"
    "  --volume FILE          a member of the volume, a file or a block device; once for each, in any order\n"
    "  --listen ADDRESS:PORT  where to listen; port 0 is a free one, and [ADDRESS]:PORT is for IPv6\n"
    "  --connections N        at a time; the next one is answered 503 (512)\n"
    "  --cache-size MIB       memory for chunks of the volume (64)\n"
    "  --read-ahead CHUNKS    read while those before them are sent (8)\n"
    "  --most-objects N       a volume with more is refused (1048576)\n"
    "  --idle-timeout S       seconds that a connection waits for a request (30)\n"
    "  --header-timeout S     seconds from a request's first byte to its last (10)\n"
    "  --send-timeout S       seconds without a byte that the client takes (30)\n"
    "  --proxy-protocol       each connection begins with a PROXY header, version 1 or 2\n"
    "  --help                 this\n"
    "\n"
    "`listening on ADDRESS:PORT` on standard output says that it serves.  SIGHUP reads the volume's table again,\n"
    "SIGTERM and SIGINT end it.  Exit codes: 0 ended, 1 the system does not let it, 2 wrong usage, 3 no such volume.\n";

enum { EXIT_SYSTEM = 1, EXIT_USAGE, EXIT_VOLUME };

static struct core_options options;
static struct host_disk *disks[SHFS_MEMBERS];
static const char *where;
static int code;

static _Noreturn void fail(int with, const char *what, const char *wrong)
{
    fprintf(stderr, "cache-linux: %s: %s\n", what, wrong);
    exit(with);
}

static uint64_t read_number(const char *text, const char *name, double least, double most, double unit)
{
    char *end;
    const double number = strtod(text, &end);

    if (end == text || *end != '\0' || !isfinite(number) || number < least || number > most)
        fail(EXIT_USAGE, name, "the number is missing, malformed, or out of range");
    return (uint64_t)(number * unit);
}

static void add_volume(const char *path)
{
    if (options.disk_count == SHFS_MEMBERS)
        fail(EXIT_USAGE, path, "a volume has 16 members at most");
    disks[options.disk_count] = disk_open(path);
    if (disks[options.disk_count] == NULL)
        fail(EXIT_VOLUME, path, strerror(errno));
    options.disk_count++;
}

static void read_arguments(int count, char **arguments)
{
    static const struct option known[] = {
        {"volume", required_argument, NULL, 'v'},         {"listen", required_argument, NULL, 'l'},
        {"connections", required_argument, NULL, 'c'},    {"cache-size", required_argument, NULL, 'm'},
        {"read-ahead", required_argument, NULL, 'a'},     {"most-objects", required_argument, NULL, 'o'},
        {"idle-timeout", required_argument, NULL, 'i'},   {"header-timeout", required_argument, NULL, 'r'},
        {"send-timeout", required_argument, NULL, 's'},   {"proxy-protocol", no_argument, NULL, 'p'},
        {"help", no_argument, NULL, 'h'},                 {NULL, 0, NULL, 0},
    };
    int which;

    while ((which = getopt_long(count, arguments, "", known, NULL)) != -1) {
        switch (which) {
        case 'v':
            add_volume(optarg);
            break;
        case 'l':
            where = optarg;
            break;
        case 'c':
            options.connections = read_number(optarg, "--connections", 1, 1e6, 1);
            break;
        case 'm':
            options.cache_bytes = read_number(optarg, "--cache-size", 0, 1e6, 1 << 20);
            break;
        case 'a':
            options.read_ahead = read_number(optarg, "--read-ahead", 0, 1000, 1);
            break;
        case 'o':
            options.most_objects = read_number(optarg, "--most-objects", 1, 1e9, 1);
            break;
        case 'i':
            options.idle_timeout = read_number(optarg, "--idle-timeout", 0.001, 1e6, HOST_SECOND);
            break;
        case 'r':
            options.header_timeout = read_number(optarg, "--header-timeout", 0.001, 1e6, HOST_SECOND);
            break;
        case 's':
            options.send_timeout = read_number(optarg, "--send-timeout", 0.001, 1e6, HOST_SECOND);
            break;
        case 'p':
            options.proxy_protocol = true;
            break;
        case 'h':
            fputs(usage, stdout);
            exit(0);
        default:
            fprintf(stderr, "try: cache-linux --help\n");
            exit(EXIT_USAGE);
        }
    }
    if (optind < count || options.disk_count == 0 || where == NULL) {
        fputs(usage, stderr);
        exit(EXIT_USAGE);
    }
}

/* A connection is a descriptor. */
static void make_room_for_descriptors(void)
{
    const rlim_t wanted = options.connections + OTHER_DESCRIPTORS;
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        fail(EXIT_SYSTEM, "the limit of open files", strerror(errno));
    if (limit.rlim_cur >= wanted)
        return;
    limit.rlim_cur = wanted;
    if (limit.rlim_max < wanted)
        limit.rlim_max = wanted;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
        fail(EXIT_SYSTEM, "--connections", "the limit of open files is lower (ulimit -n)");
}

static void on_signal(struct loop_source *source, uint32_t events);
static struct loop_source signals = {on_signal};
static int signal_descriptor;

static void on_signal(struct loop_source *source, uint32_t events)
{
    struct signalfd_siginfo told;

    (void)source;
    (void)events;
    while (read(signal_descriptor, &told, sizeof told) == (ssize_t)sizeof told)
        if (told.ssi_signo == SIGHUP)
            core_remount();
        else
            loop_end();
}

static void watch_signals(void)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal_descriptor = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    if (signal_descriptor < 0 || !loop_watch(signal_descriptor, &signals, EPOLLIN))
        fail(EXIT_SYSTEM, "signals", strerror(errno));
}

static void on_mounted(const char *wrong)
{
    char listening[80];

    if (wrong == NULL && (wrong = tcp_listen(where)) != NULL) {
        fprintf(stderr, "cache-linux: --listen %s: %s\n", where, wrong);
        code = EXIT_SYSTEM;
    } else if (wrong != NULL) {
        fprintf(stderr, "cache-linux: the volume cannot be mounted: %s\n", wrong);
        code = EXIT_VOLUME;
    }
    if (wrong != NULL) {
        loop_end();
        return;
    }
    tcp_where(listening, sizeof listening);
    printf("listening on %s\n", listening);
    fflush(stdout);
}

static void settle(void)
{
    disks_settle();
    tcp_settle();
}

int main(int count, char **arguments)
{
    options = core_defaults();
    read_arguments(count, arguments);
    options.disks = disks;
    make_room_for_descriptors();
    loop_init();
    watch_signals();
    disks_init();
    core_start(&options, on_mounted);
    settle();
    loop_run(settle);
    disks_end();
    core_stop();
    tcp_end();
    return code;
}
