/* The log of the program: a line an event. A line is made in a buffer of its own and written at once, so that
 * lines of several processes do not mix and no memory is asked for. */
#include "adapters/process/logger.h"

#include <inttypes.h>
#include <time.h>

#include "relay/utf8.h"

#define LINE_BYTES 4096
#define TAIL_BYTES 8 /* kept free for what ends a line: quote, brace, newline */
#define VALUE_ROOM 32

struct line {
    enum log_format format;
    size_t len;
    char bytes[LINE_BYTES];
};

static const char *const level_names[] = {
    [LOG_ERROR] = "error", [LOG_WARN] = "warn", [LOG_INFO] = "info", [LOG_DEBUG] = "debug"};

static bool put(struct line *line, const void *bytes, size_t len, size_t keep_free)
{
    if (line->len + len + keep_free > LINE_BYTES)
        return false;
    memcpy(line->bytes + line->len, bytes, len);
    line->len += len;
    return true;
}

static void put_tail(struct line *line, const char *text)
{
    put(line, text, strlen(text), 0);
}

static bool put_text(struct line *line, const char *text)
{
    return put(line, text, strlen(text), TAIL_BYTES);
}

/* One \xNN for each byte of what is no text. */
static bool put_bytes_escaped(struct line *line, struct span bytes)
{
    char escape[4 * 4 + 1] = "";
    for (size_t i = 0; i < bytes.len; i++)
        snprintf(escape + 4 * i, 5, "\\x%02x", bytes.bytes[i]);
    return put_text(line, escape);
}

static bool put_json_control(struct line *line, struct span character)
{
    char escape[8];
    unsigned code = character.len == 1 ? character.bytes[0] : character.bytes[1]; /* U+0080 is C2 80 */
    snprintf(escape, sizeof(escape), "\\u%04x", code);
    return put_text(line, escape);
}

static bool put_character(struct line *line, struct span character, bool is_text)
{
    bool is_json = line->format == LOG_JSON;
    char escaped[2] = {'\\', (char)character.bytes[0]};
    if (!is_text)
        return is_json ? put_text(line, "\xEF\xBF\xBD") : put_bytes_escaped(line, character);
    if (character.bytes[0] == '"' || character.bytes[0] == '\\')
        return put(line, escaped, 2, TAIL_BYTES);
    if (character.bytes[0] == '\n')
        return put_text(line, "\\n");
    if (utf8_is_control(character))
        return is_json ? put_json_control(line, character) : put_bytes_escaped(line, character);
    return put(line, character.bytes, character.len, TAIL_BYTES);
}

/* As much of the text as there is room for. */
static void put_quoted(struct line *line, struct span text)
{
    bool has_room = put_text(line, "\"");
    for (size_t at = 0; at < text.len && has_room;) {
        int n = utf8_next(span_of(text.bytes + at, text.len - at));
        size_t len = (size_t)(n < 0 ? -n : n);
        has_room = put_character(line, span_of(text.bytes + at, len), n > 0);
        at += len;
    }
    put_tail(line, "\"");
}

/* What key=value needs no quotes for. */
static bool is_bare(struct span text)
{
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.bytes[i];
        if (c <= ' ' || c >= 0x7f || c == '"' || c == '=' || c == '\\')
            return false;
    }
    return text.len > 0 && text.len < 256;
}

static void put_string(struct line *line, struct span text)
{
    if (line->format == LOG_TEXT && is_bare(text) && put(line, text.bytes, text.len, TAIL_BYTES))
        return;
    put_quoted(line, text);
}

/* A key is left out, with its value, when there is no room for both. */
static bool put_key(struct line *line, const char *key)
{
    bool is_json = line->format == LOG_JSON;
    if (line->len + strlen(key) + VALUE_ROOM + TAIL_BYTES > LINE_BYTES)
        return false;
    if (is_json)
        put_text(line, line->len == 0 ? "{\"" : ",\"");
    else if (line->len > 0)
        put_text(line, " ");
    put_text(line, key);
    put_text(line, is_json ? "\":" : "=");
    return true;
}

static void put_integer(struct line *line, int64_t integer)
{
    char digits[24];
    snprintf(digits, sizeof(digits), "%" PRId64, integer);
    put_text(line, digits);
}

static void put_time(struct line *line)
{
    char seconds[32], text[48];
    struct timespec now;
    struct tm utc;
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &utc);
    strftime(seconds, sizeof(seconds), "%Y-%m-%dT%H:%M:%S", &utc);
    snprintf(text, sizeof(text), "%s.%03ldZ", seconds, now.tv_nsec / 1000000);
    put_key(line, "time");
    put_string(line, span_str(text));
}

static void put_field(struct line *line, const struct log_field *field)
{
    if (!put_key(line, field->key))
        return;
    if (field->kind == LOG_FIELD_INT)
        put_integer(line, field->integer);
    else if (field->kind == LOG_FIELD_SPAN)
        put_string(line, field->span);
    else
        put_string(line, span_str(field->str == NULL ? "" : field->str));
}

void logger_write(struct logger *l, enum log_level level, const char *message, const struct log_field *fields)
{
    struct line line = {.format = l->format, .len = 0};
    if (level > l->level)
        return;
    put_time(&line);
    put_key(&line, "level");
    put_string(&line, span_str(level_names[level]));
    put_key(&line, "msg");
    put_string(&line, span_str(message));
    for (const struct log_field *field = fields; field->kind != LOG_FIELD_END; field++)
        put_field(&line, field);
    put_tail(&line, l->format == LOG_JSON ? "}\n" : "\n");
    fwrite(line.bytes, 1, line.len, l->stream);
    fflush(l->stream);
}

bool log_limit_pass(struct log_limit *limit, uint64_t now_ms, uint64_t *suppressed)
{
    if (now_ms - limit->since_ms >= limit->interval_ms) {
        limit->since_ms = now_ms;
        limit->written = 0;
    }
    if (limit->written >= limit->burst) {
        limit->held_back++;
        return false;
    }
    limit->written++;
    *suppressed = limit->held_back;
    limit->held_back = 0;
    return true;
}
