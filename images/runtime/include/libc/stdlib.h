/* lwIP includes stdlib.h for atoi, which only the unused netif_find() calls. */
#ifndef STDLIB_H
#define STDLIB_H

int atoi(const char *text);

#endif
