#include "date.h"

#include <string.h>

#define DAY 86400
#define LAST 253402300799ULL /* of the year 9999 */

static const char days[] = "Thu\0Fri\0Sat\0Sun\0Mon\0Tue\0Wed"; /* 1 January 1970 was a Thursday */
static const char *const whole_days[] = {"Thursday", "Friday", "Saturday", "Sunday", "Monday", "Tuesday", "Wednesday"};
static const char months[] = "Jan\0Feb\0Mar\0Apr\0May\0Jun\0Jul\0Aug\0Sep\0Oct\0Nov\0Dec";

struct calendar {
    unsigned year, month, day; /* month from 0, day from 1 */
};

/* Years are counted from March here, so that the day that not every year has is their last one. */
static uint64_t days_before(struct calendar date)
{
    const unsigned year = date.year - (date.month < 2), month = (date.month + 10) % 12;

    return 365ULL * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + date.day - 1 - 719468;
}

static struct calendar date_of(uint64_t day)
{
    const uint64_t since = day + 719468, era = since / 146097;
    const unsigned in_era = (unsigned)(since % 146097);
    const unsigned year = (in_era - in_era / 1460 + in_era / 36524 - in_era / 146096) / 365;
    const unsigned in_year = in_era - (365 * year + year / 4 - year / 100);
    const unsigned month = (5 * in_year + 2) / 153;

    return (struct calendar){(unsigned)(era * 400) + year + (month >= 10), (month + 2) % 12,
                             in_year - (153 * month + 2) / 5 + 1};
}

void date_write(struct writer *writer, uint64_t seconds)
{
    const uint64_t kept = seconds > LAST ? LAST : seconds;
    const struct calendar date = date_of(kept / DAY);
    const unsigned in_day = (unsigned)(kept % DAY);

    write_string(writer, days + kept / DAY % 7 * 4);
    write_string(writer, ", ");
    write_two_digits(writer, date.day);
    write_string(writer, " ");
    write_string(writer, months + date.month * 4);
    write_string(writer, " ");
    write_two_digits(writer, date.year / 100);
    write_two_digits(writer, date.year % 100);
    write_string(writer, " ");
    write_two_digits(writer, in_day / 3600);
    write_string(writer, ":");
    write_two_digits(writer, in_day / 60 % 60);
    write_string(writer, ":");
    write_two_digits(writer, in_day % 60);
    write_string(writer, " GMT");
}

static bool take(struct text *text, const char *word)
{
    const size_t length = strlen(word);

    if (text->length < length || memcmp(text->at, word, length) != 0)
        return false;
    *text = (struct text){text->at + length, text->length - length};
    return true;
}

static bool take_digits(struct text *text, size_t count, unsigned *number)
{
    uint64_t read;

    if (text->length < count || !text_number((struct text){text->at, count}, &read))
        return false;
    *number = (unsigned)read;
    *text = (struct text){text->at + count, text->length - count};
    return true;
}

static bool take_day_of_week(struct text *text, bool whole)
{
    for (unsigned i = 0; i < 7; i++)
        if (take(text, whole ? whole_days[i] : days + i * 4))
            return true;
    return false;
}

static bool take_month(struct text *text, unsigned *month)
{
    for (*month = 0; *month < 12; ++*month)
        if (take(text, months + *month * 4))
            return true;
    return false;
}

static bool take_time(struct text *text, unsigned *in_day)
{
    unsigned hour, minute, second;

    if (!take_digits(text, 2, &hour) || !take(text, ":") || !take_digits(text, 2, &minute) || !take(text, ":") ||
        !take_digits(text, 2, &second) || hour > 23 || minute > 59 || second > 60)
        return false;
    *in_day = hour * 3600 + minute * 60 + second;
    return true;
}

/* Sun, 06 Nov 1994 08:49:37 GMT */
static bool read_fixed(struct text text, struct calendar *date, unsigned *in_day)
{
    return take_day_of_week(&text, false) && take(&text, ", ") && take_digits(&text, 2, &date->day) &&
           take(&text, " ") && take_month(&text, &date->month) && take(&text, " ") &&
           take_digits(&text, 4, &date->year) && take(&text, " ") && take_time(&text, in_day) &&
           take(&text, " GMT") && text.length == 0;
}

/* Sunday, 06-Nov-94 08:49:37 GMT; more than fifty years ahead is a hundred years before that */
static bool read_rfc850(struct text text, uint64_t now, struct calendar *date, unsigned *in_day)
{
    const unsigned this_year = date_of(now / DAY).year;

    if (!take_day_of_week(&text, true) || !take(&text, ", ") || !take_digits(&text, 2, &date->day) ||
        !take(&text, "-") || !take_month(&text, &date->month) || !take(&text, "-") ||
        !take_digits(&text, 2, &date->year) || !take(&text, " ") || !take_time(&text, in_day) || !take(&text, " GMT") ||
        text.length != 0)
        return false;
    date->year += this_year / 100 * 100;
    if (date->year > this_year + 50)
        date->year -= 100;
    return true;
}

/* Sun Nov  6 08:49:37 1994 */
static bool read_asctime(struct text text, struct calendar *date, unsigned *in_day)
{
    return take_day_of_week(&text, false) && take(&text, " ") && take_month(&text, &date->month) && take(&text, " ") &&
           (take(&text, " ") ? take_digits(&text, 1, &date->day) : take_digits(&text, 2, &date->day)) &&
           take(&text, " ") && take_time(&text, in_day) && take(&text, " ") && take_digits(&text, 4, &date->year) &&
           text.length == 0;
}

bool date_read(struct text text, uint64_t now, uint64_t *seconds)
{
    static const uint8_t lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    struct calendar date;
    unsigned in_day;
    bool leap;

    if (!read_fixed(text, &date, &in_day) && !read_rfc850(text, now, &date, &in_day) &&
        !read_asctime(text, &date, &in_day))
        return false;
    leap = date.year % 4 == 0 && (date.year % 100 != 0 || date.year % 400 == 0);
    if (date.year < 1970 || date.day < 1 || date.day > lengths[date.month] + (unsigned)(leap && date.month == 1))
        return false;
    *seconds = days_before(date) * DAY + in_day;
    return true;
}
