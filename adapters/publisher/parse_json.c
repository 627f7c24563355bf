#include "adapters/publisher/parse_json.h"

#include <errno.h>
#include <locale.h>
#include <stdlib.h>

#include "adapters/msgpack/codec.h"
#include "relay/hex.h"
#include "relay/utf8.h"

#define NUMBER_MAX   400 /* digits that are looked at, more than any float64 needs */
#define HEADER_BYTES 5   /* of array32 and map32 */

struct parser {
    const uint8_t *start, *at, *end;
    const char *why;
    struct packing *to;
};

static int parse_value(struct parser *p, int level);

static int fail(struct parser *p, const char *why)
{
    p->why = why;
    return -EINVAL;
}

static bool is_at(const struct parser *p, char c)
{
    return p->at < p->end && *p->at == (uint8_t)c;
}

static bool take(struct parser *p, char c)
{
    if (!is_at(p, c))
        return false;
    p->at++;
    return true;
}

static void skip_blanks(struct parser *p)
{
    while (is_at(p, ' ') || is_at(p, '\t') || is_at(p, '\n') || is_at(p, '\r'))
        p->at++;
}

static bool take_word(struct parser *p, const char *word)
{
    if (!span_starts_with(span_of(p->at, (size_t)(p->end - p->at)), word))
        return false;
    p->at += strlen(word);
    return true;
}

/* Numbers */

static size_t take_digits(struct parser *p)
{
    const uint8_t *from = p->at;
    while (p->at < p->end && *p->at >= '0' && *p->at <= '9')
        p->at++;
    return (size_t)(p->at - from);
}

/* Steps over one; whether it is an integer. */
static int scan_number(struct parser *p, bool *is_integer)
{
    *is_integer = true;
    take(p, '-');
    bool has_zero = is_at(p, '0');
    size_t digits = take_digits(p);
    if (digits == 0 || (has_zero && digits > 1))
        return fail(p, "not a value");
    if (take(p, '.')) {
        *is_integer = false;
        if (take_digits(p) == 0)
            return fail(p, "a digit must follow the point");
    }
    if (take(p, 'e') || take(p, 'E')) {
        *is_integer = false;
        if (!take(p, '+'))
            take(p, '-');
        if (take_digits(p) == 0)
            return fail(p, "an exponent has a digit");
    }
    return 0;
}

/* False when it does not fit. */
static bool pack_integer(struct packing *to, const char *text)
{
    char *end;
    errno = 0;
    if (*text == '-') {
        long long n = strtoll(text, &end, 10);
        if (errno == 0)
            msgpack_pack_int64(&to->packer, n);
    } else {
        unsigned long long n = strtoull(text, &end, 10);
        if (errno == 0)
            msgpack_pack_uint64(&to->packer, n);
    }
    return errno == 0;
}

/* As the "C" locale has it, whatever the program's is. */
static void pack_float(struct packing *to, const char *text)
{
    locale_t c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    double v = c_locale ? strtod_l(text, NULL, c_locale) : strtod(text, NULL);
    if (c_locale)
        freelocale(c_locale);
    msgpack_pack_double(&to->packer, v);
}

static int parse_number(struct parser *p)
{
    char text[NUMBER_MAX];
    bool is_integer;
    const uint8_t *from = p->at;
    int error = scan_number(p, &is_integer);
    if (error < 0)
        return error;
    size_t len = (size_t)(p->at - from);
    if (len >= sizeof text)
        return fail(p, "a number has too many digits");
    memcpy(text, from, len);
    text[len] = '\0';
    if (!is_integer || !pack_integer(p->to, text))
        pack_float(p->to, text);
    return 0;
}

/* Strings */

static void put_byte(struct parser *p, unsigned byte)
{
    uint8_t b = (uint8_t)byte;
    packing_raw(p->to, span_of(&b, 1));
}

/* Surrogates too, as if they were characters. */
static void put_code_point(struct parser *p, uint32_t c)
{
    if (c < 0x80) {
        put_byte(p, c);
    } else if (c < 0x800) {
        put_byte(p, 0xc0 | c >> 6);
        put_byte(p, 0x80 | (c & 0x3f));
    } else if (c < 0x10000) {
        put_byte(p, 0xe0 | c >> 12);
        put_byte(p, 0x80 | (c >> 6 & 0x3f));
        put_byte(p, 0x80 | (c & 0x3f));
    } else {
        put_byte(p, 0xf0 | c >> 18);
        put_byte(p, 0x80 | (c >> 12 & 0x3f));
        put_byte(p, 0x80 | (c >> 6 & 0x3f));
        put_byte(p, 0x80 | (c & 0x3f));
    }
}

/* The four digits behind \u; negative when they are none. */
static long take_hex(struct parser *p)
{
    long unit = 0;
    if (p->end - p->at < 4)
        return -1;
    for (int i = 0; i < 4; i++) {
        int digit = hex_value(p->at[i]);
        if (digit < 0)
            return -1;
        unit = unit << 4 | digit;
    }
    p->at += 4;
    return unit;
}

/* The second half of a surrogate pair makes a character of it; what follows otherwise is left alone. */
static uint32_t take_low_surrogate(struct parser *p, uint32_t high)
{
    const uint8_t *before = p->at;
    if (take_word(p, "\\u")) {
        long low = take_hex(p);
        if (low >= 0xdc00 && low <= 0xdfff)
            return 0x10000 + ((high - 0xd800) << 10) + ((uint32_t)low - 0xdc00);
    }
    p->at = before;
    return high;
}

static int parse_unicode_escape(struct parser *p)
{
    long unit = take_hex(p);
    if (unit < 0)
        return fail(p, "\\u needs four hexadecimal digits");
    uint32_t c = (uint32_t)unit;
    put_code_point(p, c >= 0xd800 && c <= 0xdbff ? take_low_surrogate(p, c) : c);
    return 0;
}

static int parse_escape(struct parser *p)
{
    static const char letters[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
    if (take(p, 'u'))
        return parse_unicode_escape(p);
    const char *letter = p->at < p->end && *p->at ? strchr(letters, *p->at) : NULL;
    if (!letter)
        return fail(p, "an unknown escape");
    p->at++;
    put_byte(p, (uint8_t)meant[letter - letters]);
    return 0;
}

/* Up to the next escape or the end of the string. */
static int parse_plain(struct parser *p)
{
    const uint8_t *from = p->at;
    while (p->at < p->end && *p->at != '"' && *p->at != '\\') {
        int n = utf8_next(span_of(p->at, (size_t)(p->end - p->at)));
        if (n < 0)
            return fail(p, "not UTF-8");
        if (*p->at < 0x20)
            return fail(p, "a control character in a string must be escaped");
        p->at += n;
    }
    packing_raw(p->to, span_of(from, (size_t)(p->at - from)));
    return 0;
}

/* Where a header must be written whose number is known later. */
static size_t reserve_header(struct parser *p)
{
    size_t at = p->to->buffer.size;
    packing_raw(p->to, span_of("\0\0\0\0\0", HEADER_BYTES));
    return at;
}

/* The short form, which a value of at most `short_max` has, saves the other four bytes. */
static void write_header(struct parser *p, size_t at, uint8_t form, uint8_t short_form, size_t short_max,
                         size_t n)
{
    msgpack_sbuffer *b = &p->to->buffer;
    if (p->to->has_failed)
        return;
    uint8_t *header = (uint8_t *)b->data + at;
    if (n <= short_max) {
        header[0] = (uint8_t)(short_form | n);
        memmove(header + 1, header + HEADER_BYTES, b->size - at - HEADER_BYTES);
        b->size -= HEADER_BYTES - 1;
        return;
    }
    header[0] = form;
    for (int i = 1; i < HEADER_BYTES; i++)
        header[i] = (uint8_t)(n >> (32 - 8 * i));
}

static int parse_string(struct parser *p)
{
    size_t header = reserve_header(p);
    for (;;) {
        int error = parse_plain(p);
        if (!error && take(p, '\\'))
            error = parse_escape(p);
        else if (!error && take(p, '"'))
            break;
        else if (!error)
            error = fail(p, "a string has no end");
        if (error)
            return error;
    }
    write_header(p, header, 0xdb, 0xa0, 31, p->to->buffer.size - header - HEADER_BYTES);
    return 0;
}

/* Containers */

static int parse_array(struct parser *p, int level)
{
    size_t header = reserve_header(p), count = 0;
    skip_blanks(p);
    while (!take(p, ']')) {
        if (count > 0 && !take(p, ','))
            return fail(p, "a comma or ] is wanted");
        int error = parse_value(p, level + 1);
        if (error)
            return error;
        count++;
    }
    write_header(p, header, 0xdd, 0x90, 15, count);
    return 0;
}

static int parse_member(struct parser *p, int level)
{
    skip_blanks(p);
    if (!take(p, '"'))
        return fail(p, "a key is a string");
    int error = parse_string(p);
    if (error)
        return error;
    skip_blanks(p);
    return take(p, ':') ? parse_value(p, level) : fail(p, "a colon is wanted");
}

static int parse_object(struct parser *p, int level)
{
    size_t header = reserve_header(p), count = 0;
    skip_blanks(p);
    while (!take(p, '}')) {
        if (count > 0 && !take(p, ','))
            return fail(p, "a comma or } is wanted");
        int error = parse_member(p, level + 1);
        if (error)
            return error;
        count++;
    }
    write_header(p, header, 0xdf, 0x80, 15, count);
    return 0;
}

static int parse_word(struct parser *p)
{
    if (take_word(p, "null"))
        msgpack_pack_nil(&p->to->packer);
    else if (take_word(p, "true"))
        msgpack_pack_true(&p->to->packer);
    else if (take_word(p, "false"))
        msgpack_pack_false(&p->to->packer);
    else
        return parse_number(p);
    return 0;
}

static int parse_container(struct parser *p, int level)
{
    if (level > CODEC_DEPTH_MAX)
        return fail(p, "nested too deep");
    return take(p, '[') ? parse_array(p, level) : take(p, '{') ? parse_object(p, level) : -EINVAL;
}

/* With the blanks around it. Nested no deeper than CODEC_DEPTH_MAX. */
static int parse_value(struct parser *p, int level)
{
    skip_blanks(p);
    int error;
    if (is_at(p, '[') || is_at(p, '{'))
        error = parse_container(p, level);
    else if (take(p, '"'))
        error = parse_string(p);
    else
        error = parse_word(p);
    if (!error)
        skip_blanks(p);
    return error;
}

int parse_json(struct packing *to, struct span text, int level, const char **why, size_t *at)
{
    struct parser p = {text.bytes, text.bytes, text.bytes + text.len, NULL, to};
    int error = parse_value(&p, level);
    if (!error && p.at < p.end)
        error = fail(&p, "something follows the value");
    *why = p.why;
    *at = (size_t)(p.at - p.start);
    return error;
}
