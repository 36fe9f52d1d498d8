/* The part of string.h that the runtime, lwIP and applications use. */
#ifndef STRING_H
#define STRING_H

#include <stddef.h>

void *memcpy(void *restrict to, const void *restrict from, size_t length);
void *memmove(void *to, const void *from, size_t length);
void *memset(void *to, int value, size_t length);
int memcmp(const void *a, const void *b, size_t length);
void *memchr(const void *bytes, int value, size_t length);
size_t strlen(const char *text);
char *strchr(const char *text, int character);
int strncmp(const char *a, const char *b, size_t length);

#endif
