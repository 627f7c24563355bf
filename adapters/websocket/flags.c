#include "adapters/websocket/flags.h"

#include <jansson.h>

/* Numbers as doubles, because a client's integer may be beyond 64 bits. One that is beyond a double too, of
 * more than 308 digits or 1e999, is read by a stock server but is no JSON here. */
#define DECODING (JSON_DECODE_ANY | JSON_DECODE_INT_AS_REAL | JSON_ALLOW_NUL)

/* What a stock server's parser (Python's json) takes and RFC 8259 does not: NaN and infinities, and escapes
 * of lone surrogates. None of it is ever looked at, so each becomes something of the same length that is
 * right where it was right, and wrong where it was wrong: [] with spaces, \ufffd. */
static const char *const constants[] = {"-Infinity", "Infinity", "NaN"};

static size_t replace_constant(uint8_t *at, size_t left)
{
    for (size_t i = 0; i < sizeof constants / sizeof *constants; i++) {
        size_t n = strlen(constants[i]);
        if (n > left || memcmp(at, constants[i], n) != 0)
            continue;
        memset(at, ' ', n);
        memcpy(at, "[]", 2);
        return n;
    }
    return 1;
}

/* An escape in a string: \ and what belongs to it. */
static size_t replace_escape(uint8_t *at, size_t left)
{
    if (left < 6 || at[1] != 'u')
        return left < 2 ? 1 : 2;
    if ((at[2] | 0x20) == 'd' && at[3] != '\0' && strchr("89abcdefABCDEF", at[3]))
        memcpy(at + 2, "fffd", 4);
    return 2;
}

static void replace_lenient(uint8_t *text, size_t len)
{
    bool is_in_string = false;
    for (size_t i = 0; i < len;) {
        if (text[i] == '"')
            is_in_string = !is_in_string;
        if (is_in_string && text[i] == '\\')
            i += replace_escape(text + i, len - i);
        else
            i += is_in_string ? 1 : replace_constant(text + i, len - i);
    }
}

static json_t *parse(struct span text)
{
    if (text.len == 0)
        return NULL;
    json_t *json = json_loadb((const char *)text.bytes, text.len, DECODING, NULL);
    if (json)
        return json;
    replace_lenient((uint8_t *)text.bytes, text.len);
    return json_loadb((const char *)text.bytes, text.len, DECODING, NULL);
}

static bool is_feature_flags(const json_t *object)
{
    const json_t *type = json_object_get(object, "type");
    return json_is_string(type) &&
           span_is(span_of(json_string_value(type), json_string_length(type)), "feature_flags");
}

enum flags_verdict flags_read(struct span text, bool *wants_metadata)
{
    json_t *json = parse(text);
    enum flags_verdict verdict = FLAGS_NOT_YET;
    if (json_is_object(json))
        verdict = is_feature_flags(json) ? FLAGS_NEGOTIATED : FLAGS_NONE;
    if (verdict == FLAGS_NEGOTIATED)
        *wants_metadata =
            json_is_true(json_object_get(json_object_get(json, "data"), "supports_preview_metadata"));
    json_decref(json);
    return verdict;
}

/* Byte by byte, so that numbers stay digit for digit as they were written. */
static void add_compact(struct frame_builder *b, const char *json)
{
    bool is_in_string = false;
    for (const char *at = json; *at; at++) {
        if (!is_in_string && strchr(" \t\r\n", *at))
            continue;
        frame_builder_add(b, at, 1);
        if (*at == '"')
            is_in_string = !is_in_string;
        else if (*at == '\\')
            frame_builder_add(b, ++at, 1);
    }
}

struct frame *flags_reply(const char *features)
{
    struct frame_builder b;
    frame_builder_init(&b, strlen(features) + 64);
    frame_builder_add_str(&b, "{\"type\":\"feature_flags\",\"data\":");
    add_compact(&b, features);
    frame_builder_add_str(&b, "}");
    return frame_builder_finish(&b, FRAME_TEXT);
}
