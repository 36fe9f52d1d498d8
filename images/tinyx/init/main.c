/* PID 1 of a Tinyx guest: one service, one interface, and the contract with the host (images/README.md), which is kept
 * by the same code as in our unikernels.
 *
 * The service is /service.  It gets NAME in its environment, listens, and then writes a newline to its descriptor 3.
 * Only then does the guest get its addresses: before, a SYN would be answered by a reset. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"
#include "cmdline.h"
#include "console.h"
#include "events.h"
#include "guest_config.h"
#include "irq.h"
#include "network.h"
#include "panic.h"
#include "platform.h"
#include "ports.h"
#include "readiness.h"
#include "store_config.h"

#define SERVICE "/service"
#define NOTIFY 3                 /* s6's convention, and its usual number */
#define LAST_WORDS 1000          /* ms */
#define CMDLINE_MAX 4096         /* the longest of any architecture */
#define TURN (3600000 * CLOCK_MS) /* there is nothing to be done at any time */

static struct guest_config config;
static pid_t service;
static int notified = -1; /* the pipe's end at which the service's newline arrives */
static bool serves;

static void mount_all(void)
{
    static const struct {
        const char *kind, *place;
    } mounts[] = {{"proc", "/proc"}, {"sysfs", "/sys"}, {"devtmpfs", "/dev"}};

    for (size_t i = 0; i < sizeof mounts / sizeof mounts[0]; i++) {
        mkdir(mounts[i].place, 0755);
        if (mount(mounts[i].kind, mounts[i].place, mounts[i].kind, MS_NOSUID | MS_NOEXEC, NULL) != 0)
            panic("cannot mount %s: %s", mounts[i].place, strerror(errno));
    }
}

static void read_cmdline(void)
{
    static char words[CMDLINE_MAX];
    const int file = open("/proc/cmdline", O_RDONLY | O_CLOEXEC);
    const ssize_t length = file < 0 ? -1 : read(file, words, sizeof words - 1);

    if (length < 0)
        panic("cannot read /proc/cmdline: %s", strerror(errno));
    close(file);
    words[length > 0 && words[length - 1] == '\n' ? length - 1 : length] = '\0';
    const char *fault = cmdline_parse(words, &config);
    if (fault != NULL)
        panic("command line: %s", fault);
}

/* Completes what the command line has said. */
static void configure(void)
{
    const char *fault = guest_config_missing(&config) != NULL ? store_config_get(&config) : NULL;

    if (fault == NULL)
        fault = guest_config_check(&config);
    if (fault != NULL)
        panic("configuration: %s", fault);
}

/* Whoever has no parent any more is PID 1's child. */
static void child_ended(struct event_source *source, unsigned int events)
{
    struct signalfd_siginfo info;
    pid_t pid;
    int status;

    (void)events;
    while (read(source->file, &info, sizeof info) == sizeof info)
        ;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        if (pid != service)
            continue;
        if (WIFSIGNALED(status))
            panic("%s was killed by signal %d", SERVICE, WTERMSIG(status));
        panic("%s has ended with status %d", SERVICE, WEXITSTATUS(status));
    }
}

static struct event_source children = {.ready = child_ended};

static void service_listens(struct event_source *source, unsigned int events)
{
    char said;

    (void)source;
    (void)events;
    serves = read(notified, &said, 1) == 1;
    close(notified); /* and with it the events */
    if (serves)
        return;
    /* It closes its files before it is known to have ended. */
    poll(&(struct pollfd){.fd = children.file, .events = POLLIN}, 1, LAST_WORDS);
    child_ended(&children, EVENTS_IN);
    panic("%s has closed descriptor %d without a word", SERVICE, NOTIFY);
}

static struct event_source listening = {.ready = service_listens};

static _Noreturn void become_service(int notify, const sigset_t *signals)
{
    char *const arguments[] = {(char *)SERVICE, NULL};

    sigprocmask(SIG_SETMASK, signals, NULL);
    setenv("NAME", config.name, 1);
    if (dup2(notify, NOTIFY) == NOTIFY)
        execv(SERVICE, arguments);
    panic("cannot run %s: %s", SERVICE, strerror(errno));
}

static void start_service(void)
{
    sigset_t ends, before;
    int ways[2], notify;

    sigemptyset(&ends);
    sigaddset(&ends, SIGCHLD);
    sigprocmask(SIG_BLOCK, &ends, &before);
    children.file = signalfd(-1, &ends, SFD_NONBLOCK | SFD_CLOEXEC);
    /* Above NOTIFY, so that dup2() makes a copy there that outlives execv(). */
    if (children.file < 0 || pipe2(ways, O_CLOEXEC) != 0 || (notify = fcntl(ways[1], F_DUPFD_CLOEXEC, NOTIFY + 1)) < 0)
        panic("cannot watch %s: %s", SERVICE, strerror(errno));
    close(ways[1]);
    notified = listening.file = ways[0];
    service = vfork();
    if (service == 0)
        become_service(notify, &before);
    if (service < 0)
        panic("cannot start %s: %s", SERVICE, strerror(errno));
    close(notify);
    events_from(&children, EVENTS_IN);
    events_from(&listening, EVENTS_IN);
}

static void turn(void)
{
    if (platform->poll())
        return;
    clock_wake_at(clock_now() + TURN);
    irq_wait();
}

int main(void)
{
    if (getpid() != 1) /* the kernel wants /sbin/poweroff, as Xen's toolstack has asked it to */
        machine_off();
    mount_all();
    read_cmdline();
    readiness_register();
    ports_start();
    configure();
    start_service();
    while (!serves)
        turn();
    network_start(&config);
    const uint64_t ready = clock_now();
    readiness_reached(&config, ready);
    console_print("%s: ready %llu us after entry\n", config.name, (unsigned long long)(ready / CLOCK_US));
    for (;;)
        turn();
}
