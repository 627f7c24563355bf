/* The request line, then line after line; what the lines mean is the caller's matter. */
#include "adapters/http/request.h"

#include <strings.h>

/* RFC 9110, section 5.6.2. */
static bool is_token_char(uint8_t c)
{
    if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'))
        return true;
    return c != 0 && strchr("!#$%&'*+-.^_`|~", c) != NULL;
}

static bool is_token(struct span s)
{
    for (size_t i = 0; i < s.len; i++)
        if (!is_token_char(s.bytes[i]))
            return false;
    return s.len > 0;
}

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t';
}

static struct span trim(struct span s)
{
    while (s.len > 0 && is_blank(s.bytes[0]))
        s = span_of(s.bytes + 1, s.len - 1);
    while (s.len > 0 && is_blank(s.bytes[s.len - 1]))
        s.len--;
    return s;
}

static bool equals_ignoring_case(struct span s, const char *word)
{
    return s.len == strlen(word) && strncasecmp((const char *)s.bytes, word, s.len) == 0;
}

/* What is before the first c; the rest, without it, stays in *s. False when there is none. */
static bool cut(struct span *s, char c, struct span *before)
{
    const uint8_t *at = s->len > 0 ? memchr(s->bytes, c, s->len) : NULL;
    if (!at)
        return false;
    *before = span_of(s->bytes, (size_t)(at - s->bytes));
    *s = span_of(at + 1, s->len - before->len - 1);
    return true;
}

/* No line holds a control character; bytes above 0x7f are let through as RFC 9110, section 5.5 has it. */
static bool is_clean(struct span s)
{
    for (size_t i = 0; i < s.len; i++)
        if ((s.bytes[i] < 0x20 && s.bytes[i] != '\t') || s.bytes[i] == 0x7f)
            return false;
    return true;
}

/* Cuts one line, without its CRLF, off the front of *rest. */
static enum request_result next_line(struct span *rest, struct span *line)
{
    if (!cut(rest, '\n', line)) {
        bool ends_in_cr = rest->len > 0 && rest->bytes[rest->len - 1] == '\r';
        return is_clean(span_of(rest->bytes, rest->len - ends_in_cr)) ? REQUEST_INCOMPLETE
                                                                      : REQUEST_MALFORMED;
    }
    if (line->len == 0 || line->bytes[line->len - 1] != '\r')
        return REQUEST_MALFORMED;
    line->len--;
    return is_clean(*line) ? REQUEST_COMPLETE : REQUEST_MALFORMED;
}

static bool parse_version(struct request *r, struct span s)
{
    if (s.len != 8 || !span_starts_with(s, "HTTP/1.") || s.bytes[7] < '0' || s.bytes[7] > '9')
        return false;
    r->minor_version = s.bytes[7] == '0' ? 0 : 1;
    return true;
}

/* The absolute form, which a server must accept (RFC 9112, section 3.2.2): its authority counts, not Host. */
static bool parse_absolute(struct request *r)
{
    size_t scheme = strncasecmp((const char *)r->target.bytes, "https://", 8) == 0 ? 8 : 7;
    struct span rest = span_of(r->target.bytes + scheme, r->target.len - scheme);
    size_t n = 0;
    while (n < rest.len && rest.bytes[n] != '/' && rest.bytes[n] != '?')
        n++;
    r->host = span_of(rest.bytes, n);
    r->path = span_of(rest.bytes + n, rest.len - n);
    return n > 0;
}

static bool is_absolute(struct span target)
{
    const char *s = (const char *)target.bytes;
    return (target.len >= 7 && strncasecmp(s, "http://", 7) == 0) ||
           (target.len >= 8 && strncasecmp(s, "https://", 8) == 0);
}

/* Splits the target. The two forms without a path belong to methods that nobody here answers. */
static bool parse_target(struct request *r)
{
    for (size_t i = 0; i < r->target.len; i++)
        if (r->target.bytes[i] <= ' ' || r->target.bytes[i] == '#')
            return false;
    if (r->target.len == 0)
        return false;
    if (is_absolute(r->target)) {
        if (!parse_absolute(r))
            return false;
    } else if (r->target.bytes[0] == '/') {
        r->path = r->target;
    } else {
        return !span_is(r->method, "GET");
    }
    struct span path, rest = r->path;
    if (cut(&rest, '?', &path)) {
        r->path = path;
        r->query = rest;
    }
    if (r->path.len == 0) /* http://host means http://host/ */
        r->path = span_str("/");
    return true;
}

static bool parse_request_line(struct request *r, struct span line)
{
    if (!cut(&line, ' ', &r->method) || !cut(&line, ' ', &r->target))
        return false;
    return is_token(r->method) && parse_version(r, line) && parse_target(r);
}

static bool is_field_line(struct span line)
{
    struct span name;
    return cut(&line, ':', &name) && is_token(name);
}

/* What the fields say of the message itself (RFC 9112, sections 3.2 and 6). */
static bool parse_framing(struct request *r)
{
    int hosts = request_header_count(r, "Host");
    if (hosts > 1 || (hosts == 0 && r->minor_version > 0))
        return false;
    struct span host = request_header(r, "Host");
    for (size_t i = 0; i < host.len; i++)
        if (is_blank(host.bytes[i]) || host.bytes[i] == ',')
            return false;
    if (!r->host.bytes)
        r->host = host;
    int lengths = request_header_count(r, "Content-Length");
    if (lengths > 1)
        return false;
    r->has_body = request_header_count(r, "Transfer-Encoding") > 0 ||
                  (lengths == 1 && !span_is(request_header(r, "Content-Length"), "0"));
    return true;
}

enum request_result request_parse(struct request *r, const void *bytes, size_t len)
{
    struct request parsed = {.has_body = false};
    struct span rest = span_of(bytes, len), line;
    enum request_result result = next_line(&rest, &line);
    if (result == REQUEST_COMPLETE && line.len == 0) /* one empty line before it is ignored: section 2.2 */
        result = next_line(&rest, &line);
    if (result != REQUEST_COMPLETE)
        return result;
    if (!parse_request_line(&parsed, line))
        return REQUEST_MALFORMED;
    parsed.fields.bytes = rest.bytes;
    while ((result = next_line(&rest, &line)) == REQUEST_COMPLETE && line.len > 0) {
        if (!is_field_line(line))
            return REQUEST_MALFORMED;
        parsed.fields.len = (size_t)(rest.bytes - parsed.fields.bytes);
    }
    if (result != REQUEST_COMPLETE)
        return result;
    if (!parse_framing(&parsed))
        return REQUEST_MALFORMED;
    parsed.head_bytes = len - rest.len;
    *r = parsed;
    return REQUEST_COMPLETE;
}

bool request_next_field(const struct request *r, size_t *at, struct request_field *field)
{
    struct span rest = span_of(r->fields.bytes + *at, r->fields.len - *at), line;
    if (!cut(&rest, '\n', &line))
        return false;
    *at = r->fields.len - rest.len;
    line.len--;
    if (!cut(&line, ':', &field->name))
        return false;
    field->value = trim(line);
    return true;
}

struct span request_header(const struct request *r, const char *name)
{
    struct request_field field;
    for (size_t at = 0; request_next_field(r, &at, &field);)
        if (equals_ignoring_case(field.name, name))
            return field.value;
    return SPAN_NONE;
}

int request_header_count(const struct request *r, const char *name)
{
    struct request_field field;
    int count = 0;
    for (size_t at = 0; request_next_field(r, &at, &field);)
        count += equals_ignoring_case(field.name, name);
    return count;
}

static bool list_has_token(struct span list, const char *token)
{
    struct span item;
    while (cut(&list, ',', &item))
        if (equals_ignoring_case(trim(item), token))
            return true;
    return equals_ignoring_case(trim(list), token);
}

bool request_header_has_token(const struct request *r, const char *name, const char *token)
{
    struct request_field field;
    for (size_t at = 0; request_next_field(r, &at, &field);)
        if (equals_ignoring_case(field.name, name) && list_has_token(field.value, token))
            return true;
    return false;
}
