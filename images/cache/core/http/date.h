/* Dates of HTTP (RFC 9110, 5.6.7). */
#ifndef DATE_H
#define DATE_H

#include "text.h"

/* "Sun, 06 Nov 1994 08:49:37 GMT"; years beyond 9999 are written as the last second of that one. */
void date_write(struct writer *writer, uint64_t seconds);

/* Reads any of the three forms, into seconds since 1970; false for what is none of them, or before 1970.  `now` tells
 * of which century two digits of a year are. */
bool date_read(struct text text, uint64_t now, uint64_t *seconds);

#endif
