#include "core.h"

#include <string.h>

#include "server.h"
#include "text.h"

static struct server server;
static struct host_disk *disks[SHFS_MEMBERS];
static void (*mounted)(const char *wrong);

struct core_options core_defaults(void)
{
    return (struct core_options){
        .connections = 512,
        .cache_bytes = 64 << 20,
        .most_objects = 1 << 20,
        .read_ahead = 8,
        .idle_timeout = 30 * HOST_SECOND,
        .header_timeout = 10 * HOST_SECOND,
        .send_timeout = 30 * HOST_SECOND,
    };
}

static void log_table(const char *what, const struct table *table)
{
    char line[160];
    struct writer writer = writer_on(line, sizeof line);

    write_string(&writer, what);
    write_string(&writer, ": ");
    write_number(&writer, table->count);
    write_string(&writer, " objects");
    if (table->misfits > 0) {
        write_string(&writer, "; left out, for they lie outside the volume or link to nowhere: ");
        write_number(&writer, table->misfits);
    }
    host_log(line, writer.length);
}

static void on_mounted(struct volume *volume, const char *wrong)
{
    if (wrong == NULL)
        log_table("mounted", volume->table);
    mounted(wrong);
}

static void on_remounted(struct volume *volume, const char *wrong)
{
    char line[160];
    struct writer writer = writer_on(line, sizeof line);

    if (wrong == NULL) {
        log_table("remounted", volume->table);
        return;
    }
    write_string(&writer, "not remounted, the old table stays: ");
    write_string(&writer, wrong);
    host_log(line, writer.length);
}

void core_start(const struct core_options *options, void (*done)(const char *wrong))
{
    mounted = done;
    memset(&server, 0, sizeof server);
    memcpy(disks, options->disks, options->disk_count * sizeof *disks);
    if (server_init(&server, options))
        volume_mount(&server.volume, disks, options->disk_count, options->cache_bytes, options->most_objects,
                     on_mounted);
    else
        done("there is not enough memory for its connections");
}

void core_remount(void)
{
    if (!volume_remount(&server.volume, on_remounted))
        host_log("a remount is under way", 22);
}

void core_accepted(struct host_tcp *tcp)
{
    server_accept(&server, tcp);
}

void core_alarm(void)
{
    server_alarm(&server);
}

void core_stop(void)
{
    server_free(&server);
    volume_unmount(&server.volume);
}
