/* What is written about the options for people, from their table. */
#include "config/reference.h"

#include "config/option.h"

/* `redis` of redis.url; empty when its name has no dot. */
static struct span section_of(const struct option *o)
{
    const char *dot = strchr(o->name, '.');
    return dot == NULL ? SPAN_NONE : span_of(o->name, (size_t)(dot - o->name));
}

static void write_entry(const struct option *o, FILE *to)
{
    const char *dot = strchr(o->name, '.');
    fprintf(to, "\n# %s\n# Allowed: ", o->help);
    option_write_allowed(o, to);
    fprintf(to, ".%s\n#%s =%s%s\n", o->reloads ? " Taken over on SIGHUP." : "",
            dot == NULL ? o->name : dot + 1, *o->fallback == '\0' ? "" : " ", o->fallback);
}

static bool is_first_of_section(size_t i, struct span section)
{
    for (size_t before = 0; before < i; before++) {
        if (span_equals(section_of(&option_table[before]), section))
            return false;
    }
    return true;
}

static void write_section(struct span section, FILE *to)
{
    if (section.len > 0)
        fprintf(to, "\n[%.*s]\n", (int)section.len, (const char *)section.bytes);
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        if (span_equals(section_of(&option_table[i]), section))
            write_entry(&option_table[i], to);
    }
}

/* Options without a section must stand before the first one. */
void reference_write_example(FILE *to)
{
    fputs("# comfy-relay --config FILE: every option, at its default.\n"
          "# Comments begin at the start of a line; a value goes to the end of its line, without quotes.\n",
          to);
    write_section(SPAN_NONE, to);
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        struct span section = section_of(&option_table[i]);
        if (section.len > 0 && is_first_of_section(i, section))
            write_section(section, to);
    }
}

/* A | would end the cell. */
static void write_cell(const char *text, FILE *to)
{
    for (const char *p = text; *p != '\0'; p++)
        fprintf(to, "%s%c", *p == '|' ? "\\" : "", *p);
}

static void write_row(const struct option *o, FILE *to)
{
    char env_name[OPTION_ENV_SIZE];
    option_env_name(o, env_name);
    fprintf(to, "| `%s`<br>`%s` | ", o->name, env_name);
    if (*o->fallback != '\0')
        fprintf(to, "`%s`", o->fallback);
    fputs(" | ", to);
    write_cell(o->help, to);
    fputs(" | ", to);
    option_write_allowed(o, to);
    fprintf(to, " | %s |\n", o->reloads ? "SIGHUP" : "restart");
}

void reference_write_page(FILE *to)
{
    fputs("# Options\n"
          "\n"
          "Made from `config/options.h` by `cmake --build build --target options-reference`.\n"
          "\n"
          "An option is set, weakest first, by its default, the file (`comfy-relay --config FILE`), the "
          "environment and\n"
          "the command line (`--redis.url VALUE` or `--redis.url=VALUE`). In the file `redis.url` is `url = "
          "VALUE` under\n"
          "`[redis]`, and options without a dot stand before the first section. `comfy-relay --print-config` "
          "says what\n"
          "holds and where it was set.\n"
          "\n"
          "| option, environment | default | meaning | allowed | changes with |\n"
          "|---|---|---|---|---|\n",
          to);
    for (size_t i = 0; i < OPTION_COUNT; i++)
        write_row(&option_table[i], to);
}
