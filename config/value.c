/* Numbers as options spell them: times, sizes, counts. */
#include "config/value.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct unit {
    const char *name;
    uint64_t size;
};

/* Greatest first. Only 0 needs no unit of time. */
static const struct unit time_units[] = {{"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}, {NULL, 0}};
static const struct unit byte_units[] = {
    {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"", 1}, {NULL, 0}};
static const struct unit count_units[] = {{"", 1}, {NULL, 0}};

/* The digits at the beginning. What follows them, or NULL when there are none or too many. */
static const char *parse_digits(const char *text, uint64_t *value)
{
    const char *p = text;
    *value = 0;
    for (; *p >= '0' && *p <= '9'; p++) {
        if (__builtin_mul_overflow(*value, 10, value) || __builtin_add_overflow(*value, *p - '0', value))
            return NULL;
    }
    return p == text ? NULL : p;
}

static int parse(const char *text, const struct unit *units, uint64_t *value)
{
    uint64_t number;
    const char *rest = parse_digits(text, &number);
    if (rest == NULL)
        return -EINVAL;
    for (const struct unit *u = units; u->name != NULL; u++) {
        if (strcmp(rest, u->name) == 0)
            return __builtin_mul_overflow(number, u->size, value) ? -EINVAL : 0;
    }
    *value = 0;
    return number == 0 && *rest == '\0' ? 0 : -EINVAL;
}

static void format(uint64_t value, const struct unit *units, char text[VALUE_TEXT_SIZE])
{
    const struct unit *u = units;
    while (value % u->size != 0)
        u++;
    snprintf(text, VALUE_TEXT_SIZE, "%" PRIu64 "%s", value / u->size, value == 0 ? "" : u->name);
}

int value_parse_time(const char *text, uint64_t *ms)
{
    return parse(text, time_units, ms);
}

int value_parse_bytes(const char *text, uint64_t *bytes)
{
    return parse(text, byte_units, bytes);
}

int value_parse_count(const char *text, uint64_t *count)
{
    return parse(text, count_units, count);
}

void value_format_time(uint64_t ms, char text[VALUE_TEXT_SIZE])
{
    format(ms, time_units, text);
}

void value_format_bytes(uint64_t bytes, char text[VALUE_TEXT_SIZE])
{
    format(bytes, byte_units, text);
}

void value_format_count(uint64_t count, char text[VALUE_TEXT_SIZE])
{
    format(count, count_units, text);
}
