#include "adapters/msgpack/timestamp.h"

#include <stdio.h>

#define SECONDS_OF_0000 INT64_C(-62167219200)
#define SECONDS_OF_9999 INT64_C(253402300799) /* its last */

#define DAYS_OF_400_YEARS 146097
#define DAYS_TO_1970      719468 /* from the first of March of the year 0 */

struct moment {
    int64_t seconds; /* since 1970 */
    uint32_t nanoseconds;
};

struct date {
    unsigned year, month, day;
};

static uint64_t big_endian(const uint8_t *p, size_t n)
{
    uint64_t v = 0;
    for (size_t i = 0; i < n; i++)
        v = v << 8 | p[i];
    return v;
}

/* The three forms of the specification: seconds; 30 bits of nanoseconds and 34 of seconds; nanoseconds, then
 * signed seconds. */
static bool read_payload(struct moment *m, struct span p)
{
    switch (p.len) {
    case 4:
        *m = (struct moment){(int64_t)big_endian(p.bytes, 4), 0};
        return true;
    case 8: {
        uint64_t both = big_endian(p.bytes, 8);
        *m = (struct moment){(int64_t)(both & 0x3ffffffff), (uint32_t)(both >> 34)};
        return true;
    }
    case 12:
        *m = (struct moment){(int64_t)big_endian(p.bytes + 4, 8), (uint32_t)big_endian(p.bytes, 4)};
        return true;
    default:
        return false;
    }
}

/* The date of a day counted from the first of March of the year 0 (negative: in its January or February).
 * Years are counted from March, so that a leap day is a year's last day, and in cycles of 400 years, after
 * which the calendar repeats. */
static struct date date_of(int64_t day)
{
    day += DAYS_OF_400_YEARS;
    unsigned cycle = (unsigned)(day / DAYS_OF_400_YEARS);
    unsigned left = (unsigned)(day % DAYS_OF_400_YEARS);
    unsigned year = (left - left / 1460 + left / 36524 - left / 146096) / 365;
    left -= 365 * year + year / 4 - year / 100;
    unsigned month = (5 * left + 2) / 153; /* 0: March; five months have 153 days */
    struct date d = {.day = left - (153 * month + 2) / 5 + 1, .month = month < 10 ? month + 3 : month - 9};
    d.year = year + 400 * cycle - 400 + (d.month <= 2 ? 1 : 0);
    return d;
}

static size_t write_fraction(char *to, size_t room, uint32_t nanoseconds)
{
    if (nanoseconds == 0)
        return 0;
    int digits = nanoseconds % 1000000 == 0 ? 3 : nanoseconds % 1000 == 0 ? 6 : 9;
    unsigned n = nanoseconds / (digits == 3 ? 1000000 : digits == 6 ? 1000 : 1);
    return (size_t)snprintf(to, room, ".%0*u", digits, n);
}

size_t timestamp_write(char to[TIMESTAMP_MAX], struct span payload)
{
    struct moment m;
    if (!read_payload(&m, payload) || m.nanoseconds > 999999999)
        return 0;
    if (m.seconds < SECONDS_OF_0000 || m.seconds > SECONDS_OF_9999)
        return 0;
    int64_t since_0000 = m.seconds - SECONDS_OF_0000; /* January: not negative */
    unsigned of_day = (unsigned)(since_0000 % 86400);
    struct date d = date_of(since_0000 / 86400 + SECONDS_OF_0000 / 86400 + DAYS_TO_1970);
    size_t n = (size_t)snprintf(to, TIMESTAMP_MAX, "%04u-%02u-%02uT%02u:%02u:%02u", d.year, d.month, d.day,
                                of_day / 3600, of_day / 60 % 60, of_day % 60);
    n += write_fraction(to + n, TIMESTAMP_MAX - n, m.nanoseconds);
    to[n++] = 'Z';
    return n;
}
