/* What the command line can be asked for instead of a start. */
#include "config/print.h"

#include "config/quote.h"

void print_version(FILE *to)
{
    fputs("comfy-relay " COMFY_RELAY_VERSION "\n", to);
}

static void print_option(const struct option *o, FILE *to)
{
    fprintf(to, "  --%s ", o->name);
    option_write_word(o, to);
    fprintf(to, "\n      %s\n      allowed: ", o->help);
    option_write_allowed(o, to);
    fprintf(to, "\n      default: %s\n", *o->fallback == '\0' ? "nothing" : o->fallback);
}

void print_help(FILE *to)
{
    fputs(
        "Relays the events of ComfyUI workers from Redis to the WebSockets of its clients.\n"
        "\n"
        "Usage: comfy-relay [--config FILE] [--OPTION VALUE | --OPTION=VALUE]...\n"
        "       comfy-relay --check          read everything, say what was read or what is wrong, and exit\n"
        "       comfy-relay --print-config   print every option and where it was set, and exit\n"
        "       comfy-relay --health         ask the relay with these options whether it works, and exit\n"
        "       comfy-relay --help | --version\n"
        "\n"
        "An option is set, weakest first, by its default, the file, the environment, the command line:\n"
        "`[redis]` and `url = VALUE` in the file, COMFY_RELAY_REDIS_URL=VALUE, --redis.url VALUE.\n"
        "Times take ms s m h, sizes KiB MiB GiB or plain bytes.\n"
        "\n"
        "Options:\n",
        to);
    for (size_t i = 0; i < OPTION_COUNT; i++)
        print_option(&option_table[i], to);
}

void print_source(const struct config *c, const struct option *o, enum config_source source, unsigned line,
                  FILE *to)
{
    char env_name[OPTION_ENV_SIZE];
    switch (source) {
    case CONFIG_DEFAULT:
        fputs("default", to);
        break;
    case CONFIG_FILE:
        quote_write(span_str(c->file), SIZE_MAX, to);
        fprintf(to, ":%u", line);
        break;
    case CONFIG_ENVIRONMENT:
        option_env_name(o, env_name);
        fprintf(to, "env %s", env_name);
        break;
    case CONFIG_COMMAND_LINE:
        fputs("command line", to);
        break;
    }
}

void print_config(const struct config *c, FILE *to)
{
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        const struct option *o = &option_table[i];
        const struct config_setting *setting = &c->settings[i];
        fprintf(to, "%s = ", o->name);
        option_write_value(o, setting->text, SIZE_MAX, to);
        fputs("   # ", to);
        print_source(c, o, setting->source, setting->line, to);
        fputs("\n", to);
    }
}

static void print_files(const struct config *c, FILE *to)
{
    if (c->file != NULL) {
        fputs("read ", to);
        quote_write(span_str(c->file), SIZE_MAX, to);
        fputs("\n", to);
    }
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        if (!option_is_filename(&option_table[i]) || *c->settings[i].text == '\0')
            continue;
        fputs("read ", to);
        quote_write(span_str(c->settings[i].text), SIZE_MAX, to);
        fprintf(to, " (%s)\n", option_table[i].name);
    }
}

void print_summary(const struct config *c, FILE *to)
{
    unsigned counts[CONFIG_COMMAND_LINE + 1] = {0};
    for (size_t i = 0; i < OPTION_COUNT; i++)
        counts[c->settings[i].source]++;
    print_files(c, to);
    fprintf(
        to, "options: %u by default, %u from the file, %u from the environment, %u from the command line\n",
        counts[CONFIG_DEFAULT], counts[CONFIG_FILE], counts[CONFIG_ENVIRONMENT], counts[CONFIG_COMMAND_LINE]);
    fputs("the configuration is good\n", to);
}
