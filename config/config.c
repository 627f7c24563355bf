/* The configuration: every option's value, and where it was set. */
#include "config/config.h"

#include <errno.h>
#include <stdlib.h>

#include "config/address.h"
#include "config/file.h"
#include "config/ini.h"
#include "config/print.h"
#include "config/quote.h"

#define FILE_BYTES_MAX ((size_t)1 << 20)
#define SHOWN_MAX      200 /* bytes of a value in an error */

/* What the command line asks for instead of a start. */
enum ask { ASK_HELP = 1, ASK_VERSION = 2, ASK_CHECK = 4, ASK_PRINT = 8, ASK_HEALTH = 16 };

/* Where a value stands. */
struct place {
    enum config_source source;
    unsigned line;
};

/* One run through the sources. */
struct loading {
    struct config *config;
    FILE *error; /* takes one line, without its newline */
    int exit_code;
    unsigned asked;
    bool is_reload; /* the program is at work: nothing may block */
};

static const struct place command_line = {CONFIG_COMMAND_LINE, 0};

static int no_memory(struct loading *l)
{
    l->exit_code = 1;
    fputs("out of memory", l->error);
    return -ENOMEM;
}

/* Begins an error: where it is. The caller writes the rest. */
static void begin_error(struct loading *l, const struct option *o, struct place place)
{
    l->exit_code = place.source == CONFIG_COMMAND_LINE ? 2 : 1;
    print_source(l->config, o, place.source, place.line, l->error);
    fputs(": ", l->error);
}

static int fail(struct loading *l, struct place place, const char *what)
{
    begin_error(l, NULL, place);
    fputs(what, l->error);
    return -EINVAL;
}

static int fail_argument(struct loading *l, const char *what, struct span argument, const char *allowed)
{
    begin_error(l, NULL, command_line);
    fprintf(l->error, "%s \"", what);
    quote_write(argument, SHOWN_MAX, l->error);
    fprintf(l->error, "\"%s", allowed);
    return -EINVAL;
}

/* A misspelt option may hold a secret all the same. */
static bool may_be_secret(struct span name)
{
    static const char *const words[] = {"pass", "token", "secret", "url", "key", "auth"};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (memmem(name.bytes, name.len, words[i], strlen(words[i])) != NULL)
            return true;
    }
    return false;
}

static int fail_unknown(struct loading *l, struct place place, struct span section, struct span name,
                        struct span value)
{
    begin_error(l, NULL, place);
    fputs("unknown option ", l->error);
    quote_write(section, SHOWN_MAX, l->error);
    fputs(section.len > 0 ? "." : "", l->error);
    quote_write(name, SHOWN_MAX, l->error);
    fputs(" = \"", l->error);
    quote_write(may_be_secret(name) ? span_str("***") : value, SHOWN_MAX, l->error);
    fputs("\"; allowed are the options that comfy-relay --help lists", l->error);
    return -EINVAL;
}

static int fail_value(struct loading *l, const struct option *o, struct place place, const char *text,
                      int error)
{
    if (error == -ENOMEM)
        return no_memory(l);
    begin_error(l, o, place);
    fprintf(l->error, "%s = \"", o->name);
    option_write_value(o, text, SHOWN_MAX, l->error);
    fprintf(l->error, "\" is not %s; allowed: ", error == -ENOTSUP ? "supported by this version" : "allowed");
    option_write_allowed(o, l->error);
    return -EINVAL;
}

static int fail_twice(struct loading *l, const struct option *o, struct place place)
{
    begin_error(l, o, place);
    fprintf(l->error, "%s was set in line %u already; allowed: once", o->name,
            l->config->settings[option_index(o)].line);
    return -EINVAL;
}

static const char *file_error(int error)
{
    switch (error) {
    case -EFBIG:
        return "larger than 1 MiB";
    case -EINVAL:
        return "no regular file, and only such a one is read again";
    default:
        return strerror(-error);
    }
}

/* A file that cannot be read is never the command line's fault. */
static int fail_file(struct loading *l, const char *path, int error)
{
    l->exit_code = 1;
    fputs("cannot read \"", l->error);
    quote_write(span_str(path), SIZE_MAX, l->error);
    fprintf(l->error, "\": %s", file_error(error));
    return error;
}

/* Checks the value even when a stronger source has set the option. */
static int set(struct loading *l, const struct option *o, struct span value, struct place place)
{
    struct config_setting *setting = &l->config->settings[option_index(o)];
    if (place.source == CONFIG_FILE && setting->source == CONFIG_FILE)
        return fail_twice(l, o, place);
    char *text = strndup((const char *)value.bytes, value.len);
    if (text == NULL)
        return no_memory(l);
    int error = option_check(o, text);
    if (error < 0) {
        error = fail_value(l, o, place, text, error);
        free(text);
        return error;
    }
    if (setting->text != NULL && setting->source > place.source) {
        free(text);
        return 0;
    }
    free(setting->text);
    *setting = (struct config_setting){.text = text, .source = place.source, .line = place.line};
    return 0;
}

static unsigned find_flag(struct span name)
{
    static const struct flag {
        const char *name;
        enum ask ask;
    } flags[] = {
        {"help", ASK_HELP},          {"version", ASK_VERSION}, {"check", ASK_CHECK},
        {"print-config", ASK_PRINT}, {"health", ASK_HEALTH},
    };
    for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
        if (span_is(name, flags[i].name))
            return flags[i].ask;
    }
    return 0;
}

/* `value` ends its argument. */
static int set_argument(struct loading *l, struct span name, const struct option *o, const char *value)
{
    if (value == NULL)
        return fail_argument(l, "no value after", name, "; allowed: --OPTION VALUE or --OPTION=VALUE");
    if (o != NULL)
        return set(l, o, span_str(value), command_line);
    l->config->file = value;
    return 0;
}

/* Reads the argument at *i, and the next one when that is its value. */
static int read_argument(struct loading *l, int *i)
{
    const char *argument = l->config->argv[*i];
    if (strncmp(argument, "--", 2) != 0 || argument[2] == '\0')
        return fail_argument(l, "unexpected argument", span_str(argument),
                             "; comfy-relay --help says what is allowed");
    const char *equals = strchr(argument, '=');
    const char *value = equals == NULL ? NULL : equals + 1;
    struct span name =
        span_of(argument + 2, equals == NULL ? strlen(argument) - 2 : (size_t)(equals - argument) - 2);
    unsigned flag = find_flag(name);
    if (flag != 0 && value != NULL)
        return fail_argument(l, "a value after", name, "; allowed: none");
    l->asked |= flag;
    if (flag != 0)
        return 0;
    const struct option *o = option_find(SPAN_NONE, name);
    if (value == NULL && *i + 1 < l->config->argc)
        value = l->config->argv[++*i];
    if (o == NULL && !span_is(name, "config"))
        return fail_unknown(l, command_line, SPAN_NONE, name, span_str(value == NULL ? "" : value));
    return set_argument(l, name, o, value);
}

static int read_command_line(struct loading *l)
{
    int error = 0;
    for (int i = 1; i < l->config->argc && error == 0; i++)
        error = read_argument(l, &i);
    return error;
}

static struct span env_name(const char *variable)
{
    return span_of(variable, strcspn(variable, "="));
}

static int read_environment(struct loading *l)
{
    int error = 0;
    for (char **variable = l->config->env; *variable != NULL && error == 0; variable++) {
        struct span name = env_name(*variable);
        const struct option *o = option_find_env(name);
        if (o != NULL && (*variable)[name.len] == '=')
            error = set(l, o, span_str(*variable + name.len + 1), (struct place){CONFIG_ENVIRONMENT, 0});
    }
    return error;
}

static int read_entry(struct loading *l, const struct ini_entry *entry, unsigned line)
{
    struct place place = {CONFIG_FILE, line};
    const struct option *o = option_find(entry->section, entry->name);
    if (o == NULL)
        return fail_unknown(l, place, entry->section, entry->name, entry->value);
    return set(l, o, entry->value, place);
}

static int read_lines(struct loading *l, struct span text)
{
    struct ini ini;
    struct ini_entry entry;
    enum ini_result result;
    int error = 0;
    ini_init(&ini, text);
    while (error == 0 && (result = ini_next(&ini, &entry)) != INI_END) {
        if (result == INI_BAD)
            error = fail(l, (struct place){CONFIG_FILE, ini.line}, entry.why);
        else
            error = read_entry(l, &entry, ini.line);
    }
    return error;
}

static int read_file(struct loading *l)
{
    char *text;
    size_t len;
    if (l->config->file == NULL)
        return 0;
    int error = (l->is_reload ? file_read_regular : file_read)(l->config->file, FILE_BYTES_MAX, &text, &len);
    if (error < 0)
        return fail_file(l, l->config->file, error);
    error = read_lines(l, span_of(text, len));
    free(text);
    return error;
}

static int take_defaults(struct loading *l)
{
    int error = 0;
    for (size_t i = 0; i < OPTION_COUNT && error == 0; i++) {
        if (l->config->settings[i].text == NULL)
            error = set(l, &option_table[i], span_str(option_table[i].fallback),
                        (struct place){CONFIG_DEFAULT, 0});
    }
    return error;
}

static int store_all(struct loading *l)
{
    struct config *c = l->config;
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        if (option_store(&option_table[i], c->settings[i].text, &c->options) < 0)
            return no_memory(l);
    }
    return 0;
}

/* What two options say together. */
static int check_shared(struct loading *l)
{
    struct address addresses[ADDRESS_LIST_MAX];
    const struct option *o = option_find(SPAN_NONE, span_str("listen.shared"));
    const struct config_setting *setting = &l->config->settings[option_index(o)];
    int i = 0, count = address_parse_list(addresses, ADDRESS_LIST_MAX, span_str(l->config->options.listen));
    while (i < count && addresses[i].kind != ADDRESS_UNIX)
        i++;
    if (!l->config->options.listen_shared || i >= count)
        return 0;
    begin_error(l, o, (struct place){setting->source, setting->line});
    fprintf(l->error, "%s = \"true\" is not allowed with ", o->name);
    quote_write(span_str(addresses[i].text), SHOWN_MAX, l->error);
    fputs(" in listen; allowed: with host:port only, since a unix socket is one process's", l->error);
    return -EINVAL;
}

/* The strongest first, since a stronger one is not overwritten. */
static int read_sources(struct loading *l)
{
    int (*const steps[])(struct loading *) = {read_environment, read_file, take_defaults, store_all,
                                              check_shared};
    int error = 0;
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]) && error == 0; i++)
        error = steps[i](l);
    return error;
}

/* Opens every file that an option names. */
static int check_files(struct loading *l)
{
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        struct config_setting *setting = &l->config->settings[i];
        char *bytes;
        size_t len;
        if (!option_is_filename(&option_table[i]) || *setting->text == '\0')
            continue;
        int error = file_read(setting->text, FILE_BYTES_MAX, &bytes, &len);
        if (error < 0) {
            begin_error(l, &option_table[i], (struct place){setting->source, setting->line});
            fprintf(l->error, "%s: ", option_table[i].name);
            return fail_file(l, setting->text, error);
        }
        free(bytes);
    }
    return 0;
}

static void warn_unknown(const struct config *c, FILE *err)
{
    struct span name;
    for (size_t at = 0; (name = config_next_unknown(c, &at)).bytes != NULL;) {
        fputs("comfy-relay: warning: env ", err);
        quote_write(name, SHOWN_MAX, err);
        fputs(" is no option and is ignored\n", err);
    }
}

/* All but the command line is read only when it is needed. */
static int load(struct loading *l, FILE *out, FILE *err)
{
    int error = read_command_line(l);
    if (error < 0)
        return error;
    if (l->asked & ASK_HELP)
        print_help(out);
    else if (l->asked & ASK_VERSION)
        print_version(out);
    if (l->asked & (ASK_HELP | ASK_VERSION))
        return 0;
    error = read_sources(l);
    if (error == 0 && l->asked & ASK_CHECK)
        error = check_files(l);
    if (error < 0 || (l->asked & ~(unsigned)ASK_HEALTH) == 0)
        return error;
    warn_unknown(l->config, err);
    if (l->asked & ASK_CHECK)
        print_summary(l->config, out);
    if (l->asked & ASK_PRINT)
        print_config(l->config, out);
    return 0;
}

enum config_action config_load(struct config *c, int argc, char **argv, char **env, FILE *out, FILE *err,
                               int *exit_code)
{
    char *why = NULL;
    size_t len = 0;
    *c = (struct config){.argc = argc, .argv = argv, .env = env};
    struct loading l = {.config = c, .error = open_memstream(&why, &len)};
    if (l.error == NULL) {
        fputs("comfy-relay: out of memory\n", err);
        *exit_code = 1;
        return CONFIG_EXIT;
    }
    int error = load(&l, out, err);
    if (error == 0 && fflush(out) != 0) {
        error = -EIO;
        l.exit_code = 1;
        fputs("cannot write to standard output", l.error);
    }
    fclose(l.error);
    if (error < 0)
        fprintf(err, "comfy-relay: %s\n", why);
    free(why);
    *exit_code = error < 0 ? l.exit_code : 0;
    if (error < 0 || l.asked & ~(unsigned)ASK_HEALTH)
        return CONFIG_EXIT;
    return l.asked == ASK_HEALTH ? CONFIG_HEALTH : CONFIG_RUN;
}

void config_deinit(struct config *c)
{
    for (size_t i = 0; i < OPTION_COUNT; i++)
        free(c->settings[i].text);
    option_free_all(&c->options);
    *c = (struct config){.file = NULL};
}

struct span config_next_unknown(const struct config *c, size_t *at)
{
    while (c->env[*at] != NULL) {
        struct span name = env_name(c->env[(*at)++]);
        if (span_starts_with(name, OPTION_ENV_PREFIX) && option_find_env(name) == NULL)
            return name;
    }
    return SPAN_NONE;
}

/* Moves one option from the new configuration to the old, or says that it takes a restart. */
static void take_over(struct config *c, struct config *fresh, size_t i, FILE *told)
{
    const struct option *o = &option_table[i];
    if (o->reloads) {
        struct config_setting old = c->settings[i];
        c->settings[i] = fresh->settings[i];
        fresh->settings[i] = old;
        option_swap(o, &c->options, &fresh->options);
    } else if (strcmp(c->settings[i].text, fresh->settings[i].text) != 0) {
        fprintf(told, "%s%s", ftell(told) == 0 ? "" : ", ", o->name);
    }
}

int config_reload(struct config *c, char **told)
{
    size_t len = 0;
    struct config fresh = {.argc = c->argc, .argv = c->argv, .env = c->env};
    struct loading l = {.config = &fresh, .error = open_memstream(told, &len), .is_reload = true};
    if (l.error == NULL) {
        *told = NULL;
        return -ENOMEM;
    }
    int error = read_command_line(&l);
    if (error == 0)
        error = read_sources(&l);
    for (size_t i = 0; i < OPTION_COUNT && error == 0; i++)
        take_over(c, &fresh, i, l.error);
    fclose(l.error);
    config_deinit(&fresh);
    if (len == 0) {
        free(*told);
        *told = NULL;
    }
    return error;
}
