/* The origins that `ws.origins` may name. */
#include "config/origins.h"

#include <ctype.h>
#include <errno.h>

#include "config/list.h"

static size_t count_while(struct span s, bool (*matches)(int c))
{
    size_t n = 0;
    while (n < s.len && matches(s.bytes[n]))
        n++;
    return n;
}

static bool is_scheme_char(int c)
{
    return isalnum(c) || c == '+' || c == '-' || c == '.';
}

static bool is_host_char(int c)
{
    return isalnum(c) || c == '-' || c == '.' || c == '_';
}

static bool is_ipv6_char(int c)
{
    return isxdigit(c) || c == ':' || c == '.';
}

static bool is_digit(int c)
{
    return isdigit(c);
}

static struct span skip(struct span s, size_t n)
{
    return span_of(s.bytes + n, s.len - n);
}

/* Length of a host at the beginning of s, 0 when there is none. */
static size_t host_length(struct span s)
{
    if (s.len == 0 || s.bytes[0] != '[')
        return count_while(s, is_host_char);
    size_t n = count_while(skip(s, 1), is_ipv6_char);
    return n > 0 && n + 1 < s.len && s.bytes[n + 1] == ']' ? n + 2 : 0;
}

static bool is_port_or_nothing(struct span s)
{
    if (s.len == 0)
        return true;
    return s.bytes[0] == ':' && s.len > 1 && s.len <= 6 && count_while(skip(s, 1), is_digit) == s.len - 1;
}

bool origins_is_origin(struct span text)
{
    size_t scheme = count_while(text, is_scheme_char);
    struct span rest = skip(text, scheme);
    if (scheme == 0 || !span_starts_with(rest, "://"))
        return false;
    rest = skip(rest, 3);
    size_t host = host_length(rest);
    return host > 0 && is_port_or_nothing(skip(rest, host));
}

int origins_check(const char *text)
{
    struct span list = span_str(text), item;
    if (span_is(list, ORIGINS_ANY) || span_is(list, ORIGINS_SAME_HOST))
        return 0;
    while (list_next(&list, &item)) {
        if (!origins_is_origin(item))
            return -EINVAL;
    }
    return 0;
}
