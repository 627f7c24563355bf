/* One row of the table of options at run time: how its value is checked, stored and shown. */
#include "config/option.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>

#include "config/address.h"
#include "config/origins.h"
#include "config/quote.h"
#include "config/redis_url.h"
#include "config/value.h"

/* A type is a number (parse, format), a choice (choices), or a text (check). */
struct option_type {
    const char *word;
    const char *allowed;
    int (*parse)(const char *text, uint64_t *number);
    void (*format)(uint64_t number, char text[VALUE_TEXT_SIZE]);
    const char *const *choices;                /* ends with NULL; a value is its index */
    int (*check)(const char *text);            /* NULL: any text */
    void (*write)(const char *text, FILE *to); /* NULL: shown as it is */
};

static int check_addresses(const char *text)
{
    struct address addresses[ADDRESS_LIST_MAX];
    int count = address_parse_list(addresses, ADDRESS_LIST_MAX, span_str(text));
    return count > 0 ? 0 : -EINVAL;
}

static int check_address(const char *text)
{
    struct address address;
    return *text == '\0' ? 0 : address_parse(&address, span_str(text));
}

static int check_redis_url(const char *text)
{
    struct redis_url url;
    int error = redis_url_parse(&url, text);
    if (error == 0)
        redis_url_deinit(&url);
    return error;
}

static int check_word(const char *text)
{
    size_t len = 0;
    while (isgraph((unsigned char)text[len]) && text[len] != '{' && text[len] != '}')
        len++;
    return len > 0 && len <= 64 && text[len] == '\0' ? 0 : -EINVAL;
}

/* Numbers as doubles: what is stored is the text, and whoever reads it may have integers beyond 64 bits. */
static int check_json(const char *text)
{
    json_error_t why;
    json_t *value = json_loads(text, JSON_REJECT_DUPLICATES | JSON_DECODE_INT_AS_REAL | JSON_ALLOW_NUL, &why);
    if (value == NULL && json_error_code(&why) == json_error_out_of_memory)
        return -ENOMEM;
    bool is_object = json_is_object(value);
    json_decref(value);
    return is_object ? 0 : -EINVAL;
}

static const char *const duplicate_choices[] = {
    [DUPLICATE_REPLACE] = "replace", [DUPLICATE_SHARE] = "share", NULL};
static const char *const log_level_choices[] = {
    [LOG_ERROR] = "error", [LOG_WARN] = "warn", [LOG_INFO] = "info", [LOG_DEBUG] = "debug", NULL};
static const char *const boolean_choices[] = {[BOOLEAN_FALSE] = "false", [BOOLEAN_TRUE] = "true", NULL};
static const char *const log_format_choices[] = {[LOG_TEXT] = "text", [LOG_JSON] = "json", NULL};

#define TEXT_OF(x)  TEXT_OF_(x)
#define TEXT_OF_(x) #x

static const struct option_type type_TIME = {.word = "TIME",
                                             .allowed = "a time with unit ms, s, m or h",
                                             .parse = value_parse_time,
                                             .format = value_format_time};
static const struct option_type type_BYTES = {.word = "BYTES",
                                              .allowed = "bytes, or a size with unit KiB, MiB or GiB",
                                              .parse = value_parse_bytes,
                                              .format = value_format_bytes};
static const struct option_type type_COUNT = {
    .word = "COUNT", .allowed = "a whole number", .parse = value_parse_count, .format = value_format_count};
static const struct option_type type_duplicate = {.choices = duplicate_choices};
static const struct option_type type_log_level = {.choices = log_level_choices};
static const struct option_type type_log_format = {.choices = log_format_choices};
static const struct option_type type_boolean = {.choices = boolean_choices};
static const struct option_type type_ADDRESSES = {
    .word = "ADDRESS,...",
    .allowed = "1 to " TEXT_OF(ADDRESS_LIST_MAX) " of " ADDRESS_ALLOWED ", comma-separated; " ADDRESS_ANY,
    .check = check_addresses};
static const struct option_type type_ADDRESS = {
    .word = "ADDRESS", .allowed = ADDRESS_ALLOWED ", or nothing; " ADDRESS_ANY, .check = check_address};
static const struct option_type type_REDIS_URL = {.word = "URL",
                                                  .allowed = REDIS_URL_ALLOWED
                                                  ", the path of at most " TEXT_OF(ADDRESS_PATH_MAX) " bytes",
                                                  .check = check_redis_url,
                                                  .write = redis_url_write_masked};
static const struct option_type type_WORD = {
    .word = "WORD", .allowed = "1 to 64 visible ASCII characters other than { and }", .check = check_word};
static const struct option_type type_FILENAME = {.word = "FILE", .allowed = "the name of a file, or nothing"};
static const struct option_type type_JSON = {
    .word = "JSON", .allowed = "a JSON object without duplicate keys", .check = check_json};
static const struct option_type type_ORIGINS = {
    .word = "ORIGIN,...",
    .allowed = ORIGINS_SAME_HOST ", " ORIGINS_ANY ", or a comma-separated list of scheme://host[:port]",
    .check = origins_check};

#define START  false
#define RELOAD true
#define OPTION_ROW(field_, name_, kind_, fallback_, lowest_, highest_, when_, help_) \
    {.name = name_,                                                                  \
     .fallback = fallback_,                                                          \
     .help = help_,                                                                  \
     .type = &type_##kind_,                                                          \
     .lowest = lowest_,                                                              \
     .highest = highest_,                                                            \
     .offset = offsetof(struct options, field_),                                     \
     .reloads = when_},

const struct option option_table[OPTION_COUNT] = {OPTIONS(OPTION_ROW)};

size_t option_index(const struct option *o)
{
    return (size_t)(o - option_table);
}

static bool is_name(const char *full, struct span section, struct span name)
{
    struct span rest = span_str(full);
    if (section.len == 0)
        return span_equals(rest, name);
    if (rest.len != section.len + 1 + name.len || full[section.len] != '.')
        return false;
    return memcmp(full, section.bytes, section.len) == 0 &&
           memcmp(full + section.len + 1, name.bytes, name.len) == 0;
}

const struct option *option_find(struct span section, struct span name)
{
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        if (is_name(option_table[i].name, section, name))
            return &option_table[i];
    }
    return NULL;
}

const struct option *option_find_env(struct span name)
{
    char candidate[OPTION_ENV_SIZE];
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        option_env_name(&option_table[i], candidate);
        if (span_is(name, candidate))
            return &option_table[i];
    }
    return NULL;
}

void option_env_name(const struct option *o, char name[OPTION_ENV_SIZE])
{
    size_t len = (size_t)snprintf(name, OPTION_ENV_SIZE, OPTION_ENV_PREFIX "%s", o->name);
    assert(len < OPTION_ENV_SIZE);
    for (size_t i = 0; i < len; i++)
        name[i] = name[i] == '.' ? '_' : (char)toupper((unsigned char)name[i]);
}

bool option_is_filename(const struct option *o)
{
    return o->type == &type_FILENAME;
}

static void write_choices(const char *const *choices, const char *between, const char *before_last, FILE *to)
{
    for (size_t i = 0; choices[i] != NULL; i++) {
        if (i > 0)
            fputs(choices[i + 1] == NULL ? before_last : between, to);
        fputs(choices[i], to);
    }
}

void option_write_word(const struct option *o, FILE *to)
{
    if (o->type->choices != NULL)
        write_choices(o->type->choices, "|", "|", to);
    else
        fputs(o->type->word, to);
}

void option_write_allowed(const struct option *o, FILE *to)
{
    char lowest[VALUE_TEXT_SIZE], highest[VALUE_TEXT_SIZE];
    if (o->type->choices != NULL) {
        write_choices(o->type->choices, ", ", " or ", to);
        return;
    }
    fputs(o->type->allowed, to);
    if (o->type->format == NULL)
        return;
    o->type->format(o->lowest, lowest);
    o->type->format(o->highest, highest);
    fprintf(to, ", from %s to %s", lowest, highest);
}

static void write_plain(const char *text, FILE *to)
{
    fputs(text, to);
}

/* Through memory, since masking and escaping follow each other. Without memory nothing is shown. */
void option_write_value(const struct option *o, const char *text, size_t most, FILE *to)
{
    char *shown = NULL;
    size_t len = 0;
    FILE *memory = open_memstream(&shown, &len);
    if (memory == NULL)
        return;
    (o->type->write == NULL ? write_plain : o->type->write)(text, memory);
    if (fclose(memory) == 0)
        quote_write(span_of(shown, len), most, to);
    free(shown);
}

static int parse_number(const struct option *o, const char *text, uint64_t *number)
{
    int error = o->type->parse(text, number);
    if (error < 0)
        return error;
    return *number < o->lowest || *number > o->highest ? -EINVAL : 0;
}

static int parse_choice(const struct option *o, const char *text, int *choice)
{
    for (*choice = 0; o->type->choices[*choice] != NULL; ++*choice) {
        if (strcmp(text, o->type->choices[*choice]) == 0)
            return 0;
    }
    return -EINVAL;
}

int option_check(const struct option *o, const char *text)
{
    uint64_t number;
    int choice;
    if (o->type->parse != NULL)
        return parse_number(o, text, &number);
    if (o->type->choices != NULL)
        return parse_choice(o, text, &choice);
    return o->type->check == NULL ? 0 : o->type->check(text);
}

static void *field_of(const struct option *o, struct options *options)
{
    return (char *)options + o->offset;
}

static int store_text(char **field, const char *text)
{
    char *copy = strdup(text);
    if (copy == NULL)
        return -ENOMEM;
    free(*field);
    *field = copy;
    return 0;
}

static_assert(sizeof(enum duplicate) == sizeof(int) && sizeof(enum log_level) == sizeof(int) &&
                  sizeof(enum log_format) == sizeof(int) && sizeof(enum boolean) == sizeof(int),
              "a choice is stored as an int");

int option_store(const struct option *o, const char *text, struct options *options)
{
    void *field = field_of(o, options);
    if (o->type->parse != NULL)
        return parse_number(o, text, field);
    if (o->type->choices != NULL)
        return parse_choice(o, text, field);
    return store_text(field, text);
}

static bool is_text(const struct option *o)
{
    return o->type->parse == NULL && o->type->choices == NULL;
}

static size_t size_of(const struct option *o)
{
    if (is_text(o))
        return sizeof(char *);
    return o->type->parse != NULL ? sizeof(uint64_t) : sizeof(int);
}

void option_swap(const struct option *o, struct options *a, struct options *b)
{
    uint8_t kept[sizeof(uint64_t)];
    size_t size = size_of(o);
    memcpy(kept, field_of(o, a), size);
    memcpy(field_of(o, a), field_of(o, b), size);
    memcpy(field_of(o, b), kept, size);
}

void option_free_all(struct options *options)
{
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        if (is_text(&option_table[i]))
            free(*(char **)field_of(&option_table[i], options));
    }
    *options = (struct options){.listen = NULL};
}
