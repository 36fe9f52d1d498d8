#include "conditions.h"

#include <string.h>

#include "date.h"

void validators_of(struct validators *validators, const struct object *object, const struct table *table, uint64_t now)
{
    struct writer tag = writer_on(validators->tag, sizeof validators->tag);
    const bool by_hand = table->function == SHFS_MANUAL;

    write_string(&tag, by_hand ? "W/\"" : "\"");
    write_hex(&tag, object->digest, table->digest_length);
    if (by_hand || (object->file.size > 0 && object->file.size % table->chunk_size == 0)) {
        write_string(&tag, "-");
        write_hex_number(&tag, object->created);
        write_string(&tag, "-");
        write_hex_number(&tag, object->file.start / table->chunk_size);
    }
    write_string(&tag, "\"");
    validators->tag_length = tag.length;
    validators->modified = now > 0 && object->created > now ? now : object->created;
}

/* Takes an entity tag from the front; an empty text if there is none. */
static struct text take_tag(struct text *text)
{
    const size_t weak = text->length >= 2 && memcmp(text->at, "W/", 2) == 0 ? 2 : 0;
    size_t end = weak + 1;
    struct text tag;

    if (text->length <= weak || text->at[weak] != '"')
        return (struct text){text->at, 0};
    while (end < text->length && ((uint8_t)text->at[end] >= 0x80 || (text->at[end] > 0x20 && text->at[end] < 0x7f)) &&
           text->at[end] != '"')
        end++;
    if (end == text->length || text->at[end] != '"')
        return (struct text){text->at, 0};
    tag = (struct text){text->at, end + 1};
    *text = (struct text){text->at + end + 1, text->length - end - 1};
    return tag;
}

static bool is_weak(struct text tag)
{
    return tag.at[0] == 'W';
}

static struct text opaque(struct text tag)
{
    return is_weak(tag) ? (struct text){tag.at + 2, tag.length - 2} : tag;
}

static bool tags_match(struct text one, struct text other, bool weakly)
{
    if (!weakly && (is_weak(one) || is_weak(other)))
        return false;
    one = opaque(one);
    other = opaque(other);
    return one.length == other.length && memcmp(one.at, other.at, one.length) == 0;
}

/* Does our tag stand in a list of tags?  A field that is no list holds none. */
static bool list_has(struct text list, struct text ours, bool weakly)
{
    bool found = false, separated = true;

    list = text_trim(list);
    while (list.length > 0) {
        struct text tag;

        if (list.at[0] == ',' || list.at[0] == ' ' || list.at[0] == '\t') {
            separated |= list.at[0] == ',';
            list = (struct text){list.at + 1, list.length - 1};
            continue;
        }
        tag = take_tag(&list);
        if (tag.length == 0 || !separated)
            return false;
        found |= tags_match(tag, ours, weakly);
        separated = false;
    }
    return found;
}

/* Is the tag in any of the fields of that name?  A lone * means any tag. */
static bool fields_have(const struct request *request, enum field_name name, struct text ours, bool weakly)
{
    for (size_t i = 0; i < request->field_count; i++) {
        const struct text value = request->fields[i].value;

        if (request->fields[i].name == name && (text_is(value, "*") || list_has(value, ours, weakly)))
            return true;
    }
    return false;
}

static bool read_date_field(const struct request *request, enum field_name name, uint64_t now, uint64_t *seconds)
{
    struct text value;

    return request_field(request, name, &value) == 1 && date_read(value, now, seconds);
}

enum condition conditions_check(const struct request *request, const struct validators *validators, uint64_t now)
{
    const struct text tag = {validators->tag, validators->tag_length};
    struct text value;
    uint64_t time;

    if (request_field(request, FIELD_IF_MATCH, &value) > 0) {
        if (!fields_have(request, FIELD_IF_MATCH, tag, false))
            return CONDITION_FAILED;
    } else if (read_date_field(request, FIELD_IF_UNMODIFIED_SINCE, now, &time) && validators->modified > time) {
        return CONDITION_FAILED;
    }
    if (request_field(request, FIELD_IF_NONE_MATCH, &value) > 0)
        return fields_have(request, FIELD_IF_NONE_MATCH, tag, true) ? CONDITION_NOT_MODIFIED : CONDITION_HOLDS;
    if (read_date_field(request, FIELD_IF_MODIFIED_SINCE, now, &time) && validators->modified <= time)
        return CONDITION_NOT_MODIFIED;
    return CONDITION_HOLDS;
}

bool range_is_meant(const struct request *request, const struct validators *validators, uint64_t now)
{
    struct text value;
    uint64_t time;

    switch (request_field(request, FIELD_IF_RANGE, &value)) {
    case 0:
        return true;
    case 1: {
        struct text rest = value;
        const struct text tag = take_tag(&rest);

        if (tag.length > 0 && rest.length == 0)
            return tags_match(tag, (struct text){validators->tag, validators->tag_length}, false);
        return date_read(value, now, &time) && time == validators->modified;
    }
    default:
        return false;
    }
}
