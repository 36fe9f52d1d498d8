#include "text.h"

#include <string.h>

static const char digits[] = "0123456789abcdef";

char text_lower(char letter)
{
    return letter >= 'A' && letter <= 'Z' ? (char)(letter - 'A' + 'a') : letter;
}

bool text_is(struct text text, const char *word)
{
    size_t i;

    for (i = 0; i < text.length && word[i] != '\0'; i++)
        if (text_lower(text.at[i]) != text_lower(word[i]))
            return false;
    return i == text.length && word[i] == '\0';
}

static bool is_blank(char character)
{
    return character == ' ' || character == '\t';
}

struct text text_trim(struct text text)
{
    while (text.length > 0 && is_blank(text.at[0]))
        text = (struct text){text.at + 1, text.length - 1};
    while (text.length > 0 && is_blank(text.at[text.length - 1]))
        text.length--;
    return text;
}

bool text_number(struct text text, uint64_t *number)
{
    *number = 0;
    for (size_t i = 0; i < text.length; i++) {
        const uint64_t digit = (uint64_t)(text.at[i] - '0');

        if (text.at[i] < '0' || text.at[i] > '9' || *number > (UINT64_MAX - digit) / 10)
            return false;
        *number = *number * 10 + digit;
    }
    return text.length > 0;
}

int text_hex(char digit)
{
    if (digit >= '0' && digit <= '9')
        return digit - '0';
    digit = text_lower(digit);
    return digit >= 'a' && digit <= 'f' ? digit - 'a' + 10 : -1;
}

struct writer writer_on(char *buffer, size_t room)
{
    return (struct writer){.at = buffer, .room = room};
}

void write_bytes(struct writer *writer, const void *bytes, size_t length)
{
    if (length > writer->room - writer->length) {
        length = writer->room - writer->length;
        writer->cut = true;
    }
    if (length > 0)
        memcpy(writer->at + writer->length, bytes, length);
    writer->length += length;
}

void write_string(struct writer *writer, const char *string)
{
    write_bytes(writer, string, strlen(string));
}

void write_text(struct writer *writer, struct text text)
{
    write_bytes(writer, text.at, text.length);
}

static void write_in_base(struct writer *writer, uint64_t number, unsigned base)
{
    char reversed[20], *at = reversed + sizeof reversed;

    do {
        *--at = digits[number % base];
        number /= base;
    } while (number > 0);
    write_bytes(writer, at, (size_t)(reversed + sizeof reversed - at));
}

void write_number(struct writer *writer, uint64_t number)
{
    write_in_base(writer, number, 10);
}

void write_hex_number(struct writer *writer, uint64_t number)
{
    write_in_base(writer, number, 16);
}

void write_two_digits(struct writer *writer, unsigned number)
{
    write_bytes(writer, &digits[number / 10 % 10], 1);
    write_bytes(writer, &digits[number % 10], 1);
}

void write_hex(struct writer *writer, const uint8_t *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        write_bytes(writer, &digits[bytes[i] >> 4], 1);
        write_bytes(writer, &digits[bytes[i] & 15], 1);
    }
}
