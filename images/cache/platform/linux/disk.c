#include "disk.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/uio.h>
#include <unistd.h>

#include "loop.h"

struct disk {
    struct host_disk disk;
    int descriptor;
    struct disk *next;
};

struct queue {
    struct job *first, *last;
};

/* A read with what the thread has to know of it. */
struct job {
    struct host_read *read;
    int descriptor;
    bool ok;
    struct job *next;
};

static struct disk *disks;
static struct job *unused;
static struct queue done; /* the main loop's own */

static pthread_t thread;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t wanted = PTHREAD_COND_INITIALIZER;
static struct queue asked, answered; /* under the lock */
static bool ending;
static int bell;

static void put(struct queue *queue, struct job *job)
{
    job->next = NULL;
    if (queue->first == NULL)
        queue->first = job;
    else
        queue->last->next = job;
    queue->last = job;
}

static struct job *take(struct queue *queue)
{
    struct job *job = queue->first;

    if (job != NULL)
        queue->first = job->next;
    return job;
}

static bool read_all(const struct job *job)
{
    size_t had = 0;

    while (had < job->read->length) {
        const ssize_t count = pread(job->descriptor, (char *)job->read->buffer + had, job->read->length - had,
                                    (off_t)(job->read->offset + had));

        if (count == 0 || (count < 0 && errno != EINTR))
            return false;
        had += count > 0 ? (size_t)count : 0;
    }
    return true;
}

static void *run(void *unneeded)
{
    const uint64_t one = 1;

    (void)unneeded;
    pthread_mutex_lock(&lock);
    while (!ending) {
        struct job *job = take(&asked);

        if (job == NULL) {
            pthread_cond_wait(&wanted, &lock);
            continue;
        }
        pthread_mutex_unlock(&lock);
        job->ok = read_all(job);
        pthread_mutex_lock(&lock);
        put(&answered, job);
        if (write(bell, &one, sizeof one) < 0)
            perror("cache-linux: eventfd");
    }
    pthread_mutex_unlock(&lock);
    return NULL;
}

/* Asks for a read that the kernel can do without waiting. */
static bool read_now(const struct job *job)
{
    const struct iovec into = {job->read->buffer, job->read->length};

    return preadv2(job->descriptor, &into, 1, (off_t)job->read->offset, RWF_NOWAIT) == (ssize_t)job->read->length;
}

static void on_read(struct host_disk *of, struct host_read *read)
{
    const struct disk *disk = (const struct disk *)of;
    struct job *job = unused;

    if (job != NULL)
        unused = job->next;
    else if ((job = malloc(sizeof *job)) == NULL) {
        perror("cache-linux: a read");
        exit(1);
    }
    *job = (struct job){.read = read, .descriptor = disk->descriptor, .ok = true};
    if (read_now(job)) {
        put(&done, job);
        return;
    }
    pthread_mutex_lock(&lock);
    put(&asked, job);
    pthread_cond_signal(&wanted);
    pthread_mutex_unlock(&lock);
}

static void on_bell(struct loop_source *source, uint32_t events)
{
    uint64_t count;
    struct job *job;

    (void)source;
    (void)events;
    if (read(bell, &count, sizeof count) < 0)
        return;
    pthread_mutex_lock(&lock);
    while ((job = take(&answered)) != NULL)
        put(&done, job);
    pthread_mutex_unlock(&lock);
}

void disks_init(void)
{
    static struct loop_source source = {on_bell};

    bell = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (bell < 0 || !loop_watch(bell, &source, EPOLLIN) || pthread_create(&thread, NULL, run, NULL) != 0) {
        perror("cache-linux: the thread that reads disks");
        exit(1);
    }
}

struct host_disk *disk_open(const char *path)
{
    struct disk *disk = malloc(sizeof *disk);
    off_t size;

    if (disk == NULL)
        return NULL;
    disk->descriptor = open(path, O_RDONLY | O_CLOEXEC);
    size = disk->descriptor < 0 ? -1 : lseek(disk->descriptor, 0, SEEK_END);
    if (size < 0) {
        const int reason = errno;

        if (disk->descriptor >= 0)
            close(disk->descriptor);
        free(disk);
        errno = reason;
        return NULL;
    }
    disk->disk = (struct host_disk){.size = (uint64_t)size, .read = on_read};
    disk->next = disks;
    disks = disk;
    return &disk->disk;
}

void disks_settle(void)
{
    struct job *job;

    while ((job = take(&done)) != NULL) {
        struct host_read *read = job->read;
        const bool ok = job->ok;

        job->next = unused;
        unused = job;
        read->done(read, ok);
    }
}

static void forget(struct job *job)
{
    while (job != NULL) {
        struct job *next = job->next;

        free(job);
        job = next;
    }
}

void disks_end(void)
{
    pthread_mutex_lock(&lock);
    ending = true;
    pthread_cond_signal(&wanted);
    pthread_mutex_unlock(&lock);
    pthread_join(thread, NULL);
    forget(asked.first);
    forget(answered.first);
    forget(done.first);
    forget(unused);
    while (disks != NULL) {
        struct disk *next = disks->next;

        close(disks->descriptor);
        free(disks);
        disks = next;
    }
    close(bell);
}
