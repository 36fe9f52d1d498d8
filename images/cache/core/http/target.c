#include "target.h"

#include <string.h>

static bool has_scheme(struct text text, const char *scheme)
{
    const size_t length = strlen(scheme);

    return text.length >= length && text_is((struct text){text.at, length}, scheme);
}

static size_t find(struct text text, const char *characters)
{
    size_t at = 0;

    while (at < text.length && strchr(characters, text.at[at]) == NULL)
        at++;
    return at;
}

static struct text behind(struct text text, size_t length)
{
    return (struct text){text.at + length, text.length - length};
}

/* Takes scheme and authority off; false if there are none. */
static bool read_authority(struct target *target, struct text *text)
{
    const size_t scheme = has_scheme(*text, "http://") ? 7 : has_scheme(*text, "https://") ? 8 : 0;
    const struct text rest = behind(*text, scheme);
    const size_t end = find(rest, "/?");
    struct text host = {rest.at, end};
    const size_t user = find(host, "@");

    if (scheme == 0)
        return false;
    if (user < host.length)
        host = behind(host, user + 1);
    if (host.length == 0 || !target_is_host(host))
        return false;
    target->has_host = true;
    target->host = host;
    *text = behind(rest, end);
    return true;
}

/* A percent sign with no two digits behind it is one. */
static void read_name(struct target *target, struct text text)
{
    target->kind = TARGET_NAME;
    for (size_t i = 0; i < text.length; i++) {
        char character = text.at[i];

        if (character == '%' && i + 2 < text.length && text_hex(text.at[i + 1]) >= 0 && text_hex(text.at[i + 2]) >= 0) {
            character = (char)(text_hex(text.at[i + 1]) << 4 | text_hex(text.at[i + 2]));
            i += 2;
        }
        if (target->length == OBJECT_NAME) {
            target->kind = TARGET_NOTHING;
            return;
        }
        target->name[target->length++] = character;
    }
}

static void read_digest(struct target *target, struct text text)
{
    target->kind = TARGET_NOTHING;
    if (text.length % 2 != 0 || text.length > 2 * SHFS_DIGEST)
        return;
    for (size_t i = 0; i < text.length; i += 2) {
        const int high = text_hex(text.at[i]), low = text_hex(text.at[i + 1]);

        if (high < 0 || low < 0)
            return;
        target->digest[target->length++] = (uint8_t)(high << 4 | low);
    }
    target->kind = TARGET_DIGEST;
}

bool target_read(struct target *target, struct text text)
{
    size_t query;

    *target = (struct target){.kind = TARGET_DEFAULT};
    if (text.length == 1 && text.at[0] == '*') {
        target->kind = TARGET_SERVER;
        return true;
    }
    if (memchr(text.at, '#', text.length) != NULL)
        return false;
    if ((text.length == 0 || text.at[0] != '/') && !read_authority(target, &text))
        return false;
    while (text.length > 0 && text.at[0] == '/')
        text = behind(text, 1);
    query = find(text, "?");
    if (query > 0)
        read_name(target, (struct text){text.at, query});
    else if (text.length > 1)
        read_digest(target, behind(text, 1));
    return true;
}

/* How many of these bytes may stand in a host (RFC 3986, 3.2.2), `more` among them. */
static size_t count_of_host(struct text text, const char *more)
{
    size_t count = 0;

    while (count < text.length) {
        const char c = text_lower(text.at[count]);

        if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && (c == '\0' || strchr(more, c) == NULL))
            break;
        count++;
    }
    return count;
}

bool target_is_host(struct text text)
{
    const bool bracketed = text.length > 0 && text.at[0] == '[';
    size_t end = count_of_host(text, "-._~%!$&'()*+,;=");

    if (text.length > TARGET_HOST)
        return false;
    if (bracketed) {
        const char *close = memchr(text.at, ']', text.length);

        if (close == NULL || count_of_host(behind(text, 1), ":.") + 1 != (size_t)(close - text.at))
            return false;
        end = (size_t)(close - text.at) + 1;
    }
    if (end < text.length && text.at[end] == ':')
        for (end++; end < text.length && text.at[end] >= '0' && text.at[end] <= '9';)
            end++;
    return end == text.length;
}

/* The host without its port and the dot behind it. */
static struct text bare_host(struct text host)
{
    size_t end = host.length;

    while (end > 0 && host.at[end - 1] >= '0' && host.at[end - 1] <= '9')
        end--;
    if (end > 0 && host.at[end - 1] == ':')
        host.length = end - 1;
    if (host.length > 0 && host.at[host.length - 1] == '.')
        host.length--;
    return host;
}

static const struct object *find_of_host(const struct target *target, struct text host, const struct table *table)
{
    char name[OBJECT_NAME];
    const size_t length = host.length + 1 + target->length;

    if (host.length == 0 || length > sizeof name)
        return NULL;
    for (size_t i = 0; i < host.length; i++)
        name[i] = text_lower(host.at[i]);
    name[host.length] = '/';
    memcpy(name + host.length + 1, target->name, target->length);
    return table_by_name(table, (struct text){name, length});
}

const struct object *target_find(const struct target *target, struct text host, const struct table *table)
{
    const struct object *object = NULL;

    if (target->kind == TARGET_DIGEST)
        return table_by_digest(table, target->digest, target->length);
    if (target->kind != TARGET_NAME && target->kind != TARGET_DEFAULT)
        return NULL;
    object = find_of_host(target, bare_host(target->has_host ? target->host : host), table);
    if (object != NULL)
        return object;
    return target->kind == TARGET_DEFAULT ? table->preset
                                          : table_by_name(table, (struct text){target->name, target->length});
}
