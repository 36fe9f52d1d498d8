#include "ranges.h"

#include <string.h>

/* Takes what is in front of the next comma. */
static struct text take_element(struct text *list)
{
    const char *comma = memchr(list->at, ',', list->length);
    const size_t length = comma == NULL ? list->length : (size_t)(comma - list->at);
    const struct text element = {list->at, length};

    *list = comma == NULL ? (struct text){list->at + length, 0}
                          : (struct text){list->at + length + 1, list->length - length - 1};
    return text_trim(element);
}

/* A number; one that is too large means as much as the largest. */
static bool read_position(struct text text, uint64_t *number)
{
    if (text_number(text, number))
        return true;
    for (size_t i = 0; i < text.length; i++)
        if (text.at[i] < '0' || text.at[i] > '9')
            return false;
    *number = UINT64_MAX;
    return text.length > 0;
}

enum spec { SPEC_MALFORMED, SPEC_OUTSIDE, SPEC_INSIDE };

static enum spec read_spec(struct text spec, uint64_t size, struct range *range)
{
    const char *dash = memchr(spec.at, '-', spec.length);
    const struct text left = {spec.at, dash == NULL ? 0 : (size_t)(dash - spec.at)};
    struct text right;
    uint64_t first, last = UINT64_MAX;

    if (dash == NULL)
        return SPEC_MALFORMED;
    right = (struct text){dash + 1, spec.length - left.length - 1};
    if (right.length > 0 && !read_position(right, &last))
        return SPEC_MALFORMED;
    if (left.length == 0) { /* so many from the end */
        if (right.length == 0)
            return SPEC_MALFORMED;
        *range = last < size ? (struct range){size - last, last} : (struct range){0, size};
        return range->length > 0 ? SPEC_INSIDE : SPEC_OUTSIDE;
    }
    if (!read_position(left, &first) || last < first)
        return SPEC_MALFORMED;
    if (first >= size)
        return SPEC_OUTSIDE;
    *range = (struct range){first, (last < size ? last + 1 : size) - first};
    return SPEC_INSIDE;
}

static void sort_by_start(struct range *range, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        const struct range moved = range[i];
        size_t at = i;

        for (; at > 0 && range[at - 1].start > moved.start; at--)
            range[at] = range[at - 1];
        range[at] = moved;
    }
}

static void join(struct ranges *ranges)
{
    struct range sorted[MOST_RANGES];
    size_t count = 0;

    memcpy(sorted, ranges->range, sizeof sorted);
    sort_by_start(sorted, ranges->count);
    for (size_t i = 0; i < ranges->count; i++) {
        struct range *last = &sorted[count - (count > 0)];
        const uint64_t end = sorted[i].start + sorted[i].length;

        if (count == 0 || sorted[i].start > last->start + last->length)
            sorted[count++] = sorted[i];
        else if (end > last->start + last->length)
            last->length = end - last->start;
    }
    if (count == ranges->count)
        return;
    memcpy(ranges->range, sorted, count * sizeof *sorted);
    ranges->count = count;
}

void ranges_read(struct ranges *ranges, struct text field, uint64_t size)
{
    size_t specs = 0;
    const char *sign = memchr(field.at, '=', field.length);
    const struct text unit = {field.at, sign == NULL ? 0 : (size_t)(sign - field.at)};
    struct text list;

    ranges->whole = true;
    ranges->count = 0;
    if (sign == NULL || !text_is(text_trim(unit), "bytes"))
        return;
    list = (struct text){sign + 1, field.length - unit.length - 1};
    while (list.length > 0) {
        const struct text spec = take_element(&list);
        struct range range;
        enum spec is;

        if (spec.length == 0)
            continue; /* a list may have empty elements (RFC 9110, 5.6.1.2) */
        if (specs++ == MOST_RANGES || (is = read_spec(spec, size, &range)) == SPEC_MALFORMED) {
            ranges->count = 0;
            return;
        }
        if (is == SPEC_INSIDE)
            ranges->range[ranges->count++] = range;
    }
    ranges->whole = specs == 0;
    join(ranges);
}
