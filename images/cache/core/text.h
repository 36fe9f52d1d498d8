/* Text that is elsewhere, and text that is being written into a buffer. */
#ifndef TEXT_H
#define TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct text {
    const char *at; /* not terminated */
    size_t length;
};

#define TEXT(literal) ((struct text){literal, sizeof(literal) - 1})

/* Case does not count for ASCII letters. */
bool text_is(struct text text, const char *word);

/* Without blanks and tabs at both ends. */
struct text text_trim(struct text text);

/* Reads all of the text as a decimal number; false if it is none, or too large. */
bool text_number(struct text text, uint64_t *number);

/* The value of a hexadecimal digit, or -1. */
int text_hex(char digit);

char text_lower(char letter);

/* What does not fit is left out, and `cut` says so. */
struct writer {
    char *at;
    size_t room, length;
    bool cut;
};

struct writer writer_on(char *buffer, size_t room);
void write_bytes(struct writer *writer, const void *bytes, size_t length);
void write_string(struct writer *writer, const char *string);
void write_text(struct writer *writer, struct text text);
void write_number(struct writer *writer, uint64_t number);
void write_two_digits(struct writer *writer, unsigned number);
void write_hex(struct writer *writer, const uint8_t *bytes, size_t length);
void write_hex_number(struct writer *writer, uint64_t number);

#endif
