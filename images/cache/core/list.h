/* A ring of links: the list's own, and one in each element. */
#ifndef LIST_H
#define LIST_H

#include <stdbool.h>
#include <stddef.h>

struct link {
    struct link *next, *previous; /* to itself: in no list, or an empty list */
};

/* The element of type `type` whose member `member` this link is. */
#define LIST_ELEMENT(link, type, member) ((type *)(void *)((char *)(link) - offsetof(type, member)))

static inline void list_init(struct link *link)
{
    link->next = link->previous = link;
}

static inline bool list_is_empty(const struct link *list)
{
    return list->next == list;
}

static inline void list_append(struct link *list, struct link *link)
{
    link->previous = list->previous;
    link->next = list;
    list->previous->next = link;
    list->previous = link;
}

/* Takes a link out of its list; nothing happens to one that is in none. */
static inline void list_remove(struct link *link)
{
    link->previous->next = link->next;
    link->next->previous = link->previous;
    list_init(link);
}

#endif
