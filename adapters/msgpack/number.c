#include "adapters/msgpack/number.h"

#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DIGITS_MAX 17 /* that a double needs at the most */

/* A decimal number: 0.d1d2d3... times ten to the power of `point`. */
struct decimal {
    char digits[DIGITS_MAX];
    int count;
    int point;
};

/* "00" to "99" */
static const char pairs[] = "00010203040506070809101112131415161718192021222324252627282930313233343536373839"
                            "40414243444546474849505152535455565758596061626364656667686970717273747576777879"
                            "8081828384858687888990919293949596979899";

size_t number_unsigned(uint8_t *to, uint64_t n)
{
    if (n < 100) {
        size_t is_one = n < 10; /* digit: then the zero before it is left out */
        memcpy(to, pairs + 2 * n + is_one, 2);
        return 2 - is_one;
    }
    uint8_t digits[20], *end = digits + sizeof digits, *at = end;
    for (; n >= 10; n /= 100)
        memcpy(at -= 2, pairs + n % 100 * 2, 2);
    if (n > 0)
        *--at = (uint8_t)('0' + n);
    memcpy(to, at, (size_t)(end - at));
    return (size_t)(end - at);
}

size_t number_signed(uint8_t *to, int64_t n)
{
    if (n >= 0)
        return number_unsigned(to, (uint64_t)n);
    to[0] = '-';
    return 1 + number_unsigned(to + 1, 0 - (uint64_t)n);
}

/* Layout */

static uint8_t *put(uint8_t *to, const char *bytes, int n)
{
    memcpy(to, bytes, (size_t)n);
    return to + n;
}

static uint8_t *put_zeros(uint8_t *to, int n)
{
    memset(to, '0', (size_t)n);
    return to + n;
}

static uint8_t *put_scientific(uint8_t *to, const struct decimal *d)
{
    int exponent = d->point - 1;
    *to++ = (uint8_t)d->digits[0];
    if (d->count > 1) {
        *to++ = '.';
        to = put(to, d->digits + 1, d->count - 1);
    }
    *to++ = 'e';
    *to++ = exponent < 0 ? '-' : '+';
    exponent = abs(exponent);
    if (exponent < 10)
        *to++ = '0';
    return to + number_unsigned(to, (uint64_t)exponent);
}

static uint8_t *put_fraction(uint8_t *to, const struct decimal *d) /* 0.00ddd */
{
    to = put(to, "0.", 2);
    to = put_zeros(to, -d->point);
    return put(to, d->digits, d->count);
}

static uint8_t *put_plain(uint8_t *to, const struct decimal *d) /* dd.ddd or ddd00.0 */
{
    if (d->count <= d->point) {
        to = put(to, d->digits, d->count);
        to = put_zeros(to, d->point - d->count);
        return put(to, ".0", 2);
    }
    to = put(to, d->digits, d->point);
    *to++ = '.';
    return put(to, d->digits + d->point, d->count - d->point);
}

/* Python's repr: an exponent below 1e-04 and from 1e+16. */
static uint8_t *put_decimal(uint8_t *to, const struct decimal *d)
{
    if (d->point < -3 || d->point > 16)
        return put_scientific(to, d);
    return d->point <= 0 ? put_fraction(to, d) : put_plain(to, d);
}

/* The long way: any number */

/* What is being printed: a double, or a float (which every double holds exactly). */
struct source {
    double v;
    bool is_float;
    bool is_power; /* of two: the next number below is nearer than the next one above */
};

static bool reads_back(const struct source *s, const char *text)
{
    return s->is_float ? strtof(text, NULL) == (float)s->v : strtod(text, NULL) == s->v;
}

/* The decimal after this one with as many digits: 1.299e+05 to 1.300e+05. */
static void increment(char *text, int exponent_at)
{
    int i = exponent_at - 1;
    while (i > 0 && (text[i] == '9' || text[i] == '.')) {
        if (text[i] == '9')
            text[i] = '0';
        i--;
    }
    text[i]++; /* the first digit is no 9: no number that is_power has 9.999... as its nearest decimal */
}

/* True when a decimal of so many digits reads back as the number: then `text` is the nearest one that does. */
static bool try_digits(const struct source *s, int count, char text[static NUMBER_MAX])
{
    snprintf(text, NUMBER_MAX, "%.*e", count - 1, s->v);
    if (reads_back(s, text))
        return true;
    if (!s->is_power)
        return false;
    /* The nearest decimal lay below, where the numbers are closer together; the one above may still read
     * back. */
    increment(text, count == 1 ? 1 : count + 1);
    return reads_back(s, text);
}

static void read_decimal(struct decimal *d, const char *text)
{
    d->count = 0;
    for (; *text != 'e'; text++)
        if (*text != '.')
            d->digits[d->count++] = *text;
    d->point = atoi(text + 1) + 1;
    while (d->count > 1 && d->digits[d->count - 1] == '0')
        d->count--;
}

/* Any decimal of FLT_DIG or DBL_DIG digits survives the way there and back, so that fewer need not be tried;
 * but numbers below the normal range have fewer to begin with. */
static uint8_t *put_any(uint8_t *to, const struct source *s, bool is_normal)
{
    char text[NUMBER_MAX];
    int most = s->is_float ? FLT_DECIMAL_DIG : DBL_DECIMAL_DIG;
    int count = is_normal ? (s->is_float ? FLT_DIG : DBL_DIG) : 1;
    while (!try_digits(s, count, text) && count < most)
        count++;
    struct decimal d;
    read_decimal(&d, text);
    return put_decimal(to, &d);
}

/* The short way: what people and programs count with */

#define SHORT_BELOW  1e15 /* any integer below is exact in a double, and has at most 15 digits */
#define SHORT_FROM   1e-3
#define SHORT_POWERS 18 /* 15 digits behind 0.001 */

static const double powers_of_ten[SHORT_POWERS] = {1e0, 1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,
                                                   1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17};

static uint8_t *put_whole(uint8_t *to, uint64_t n)
{
    to += number_unsigned(to, n);
    return put(to, ".0", 2);
}

static uint8_t *put_scaled(uint8_t *to, uint64_t n, int places)
{
    struct decimal d;
    d.count = (int)number_unsigned((uint8_t *)d.digits, n);
    d.point = d.count - places;
    return put_decimal(to, &d);
}

/* A number that is n / 10^k for an n of at most 15 digits and a small k. Both are exact as doubles, and IEEE
 * 754 division rounds correctly: so n / 10^k == v says that this decimal reads back as v, and no other
 * decimal of at most 15 digits does. The smallest k has no trailing zeros. NULL: it is not such a number. */
static uint8_t *put_short(uint8_t *to, double v)
{
    if (v >= SHORT_BELOW)
        return NULL;
    int64_t whole = (int64_t)v; /* cheaper than unsigned */
    if ((double)whole == v)
        return put_whole(to, (uint64_t)whole);
    if (v < SHORT_FROM)
        return NULL;
    for (int k = 1; k < SHORT_POWERS; k++) {
        double scaled = v * powers_of_ten[k] + 0.5;
        if (scaled >= SHORT_BELOW)
            return NULL;
        int64_t n = (int64_t)scaled;
        if ((double)n / powers_of_ten[k] == v)
            return put_scaled(to, (uint64_t)n, k);
    }
    return NULL;
}

size_t number_double(uint8_t *to, double v)
{
    uint8_t *start = to;
    if (signbit(v)) {
        *to++ = '-';
        v = -v;
    }
    uint8_t *end = put_short(to, v);
    if (!end) {
        int exponent;
        struct source s = {.v = v, .is_power = frexp(v, &exponent) == 0.5};
        end = put_any(to, &s, v >= DBL_MIN);
    }
    return (size_t)(end - start);
}

size_t number_float(uint8_t *to, float v)
{
    uint8_t *start = to;
    if (signbit(v)) {
        *to++ = '-';
        v = -v;
    }
    if (v < 1e6F && v == (float)(uint32_t)v)
        return (size_t)(put_whole(to, (uint32_t)v) - start);
    int exponent;
    struct source s = {.v = v, .is_float = true, .is_power = frexpf(v, &exponent) == 0.5F};
    return (size_t)(put_any(to, &s, v >= FLT_MIN) - start);
}
