/* The request line, then line after line; what the lines mean is the caller's matter. */
#include "adapters/http/request.h"

#include <strings.h>

#include "config/list.h"

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
    if (!span_cut(rest, '\n', line)) {
        line->len -= line->len > 0 && line->bytes[line->len - 1] == '\r';
        return is_clean(*line) ? REQUEST_INCOMPLETE : REQUEST_MALFORMED;
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
    r->query = r->path;
    span_cut(&r->query, '?', &r->path);
    if (r->path.len == 0) /* http://host means http://host/ */
        r->path = span_str("/");
    return true;
}

static bool parse_request_line(struct request *r, struct span line)
{
    if (!span_cut(&line, ' ', &r->method) || !span_cut(&line, ' ', &r->target))
        return false;
    return is_token(r->method) && parse_version(r, line) && parse_target(r);
}

static bool is_field_line(struct span line)
{
    struct span name;
    return span_cut(&line, ':', &name) && is_token(name);
}

/* What the fields say of the message itself (RFC 9112, sections 3.2 and 6). */
static bool parse_framing(struct request *r)
{
    int hosts = request_header_count(r, "Host");
    if (hosts > 1 || (hosts == 0 && r->minor_version > 0))
        return false;
    struct span host = request_header(r, "Host");
    for (size_t i = 0; i < host.len; i++)
        if (host.bytes[i] <= ' ' || host.bytes[i] == ',')
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
    if (!span_cut(&rest, '\n', &line))
        return false;
    *at = r->fields.len - rest.len;
    line.len--;
    if (!span_cut(&line, ':', &field->name))
        return false;
    field->value = span_trim(line);
    return true;
}

struct span request_header(const struct request *r, const char *name)
{
    struct request_field field;
    for (size_t at = 0; request_next_field(r, &at, &field);)
        if (span_equals_ignoring_case(field.name, span_str(name)))
            return field.value;
    return SPAN_NONE;
}

int request_header_count(const struct request *r, const char *name)
{
    struct request_field field;
    int count = 0;
    for (size_t at = 0; request_next_field(r, &at, &field);)
        count += span_equals_ignoring_case(field.name, span_str(name));
    return count;
}

static bool list_has_token(struct span list, const char *token)
{
    struct span item;
    while (list_next(&list, &item))
        if (span_equals_ignoring_case(item, span_str(token)))
            return true;
    return false;
}

bool request_header_has_token(const struct request *r, const char *name, const char *token)
{
    struct request_field field;
    for (size_t at = 0; request_next_field(r, &at, &field);)
        if (span_equals_ignoring_case(field.name, span_str(name)) && list_has_token(field.value, token))
            return true;
    return false;
}
