/* The log of the program: a line an event, to a stream, as key=value text or as JSON. */
#ifndef PROCESS_LOGGER_H
#define PROCESS_LOGGER_H

#include "config/options.h"
#include "relay/span.h"

struct logger {
    FILE *stream; /* borrowed */
    enum log_level level;
    enum log_format format;
};

enum log_field_kind { LOG_FIELD_END, LOG_FIELD_STR, LOG_FIELD_INT, LOG_FIELD_SPAN };

struct log_field {
    const char *key; /* a plain word */
    enum log_field_kind kind;
    const char *str;
    int64_t integer;
    struct span span;
};

#define LOG_STR(k, v)                                 \
    {                                                 \
        .key = (k), .kind = LOG_FIELD_STR, .str = (v) \
    }
#define LOG_INT(k, v)                                              \
    {                                                              \
        .key = (k), .kind = LOG_FIELD_INT, .integer = (int64_t)(v) \
    }
#define LOG_SPAN(k, v)                                  \
    {                                                   \
        .key = (k), .kind = LOG_FIELD_SPAN, .span = (v) \
    }

/* Writes one line: time (UTC, RFC 3339 with milliseconds), level, message, fields up to LOG_FIELD_END. Values
 * are quoted and escaped where the format needs it, so that no value can forge a line. */
void logger_write(struct logger *l, enum log_level level, const char *message,
                  const struct log_field *fields);

/* logger_warn(l, "redis connection lost", LOG_STR("error", why), LOG_INT("retry_ms", n)); the fields may be
 * absent. */
#define LOGGER_AT(l, level, message, ...) \
    logger_write((l), (level), (message), (const struct log_field[]){__VA_ARGS__ __VA_OPT__(, ){.key = NULL}})
#define logger_error(l, ...) LOGGER_AT(l, LOG_ERROR, __VA_ARGS__)
#define logger_warn(l, ...)  LOGGER_AT(l, LOG_WARN, __VA_ARGS__)
#define logger_info(l, ...)  LOGGER_AT(l, LOG_INFO, __VA_ARGS__)
#define logger_debug(l, ...) LOGGER_AT(l, LOG_DEBUG, __VA_ARGS__)

/* At most `burst` lines in `interval_ms`; what was held back is told as a number with the next line that
 * passes. */
struct log_limit {
    uint64_t interval_ms;
    unsigned burst;
    uint64_t since_ms;
    unsigned written;
    uint64_t held_back;
};

/* True when a line may be written now; *suppressed is how many were held back since the last one. */
bool log_limit_pass(struct log_limit *limit, uint64_t now_ms, uint64_t *suppressed);

#endif
