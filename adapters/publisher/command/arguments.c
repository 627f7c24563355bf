#include "adapters/publisher/command/arguments.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "adapters/publisher/comfy_publisher.h"
#include "config/redis_url.h"
#include "config/value.h"
#include "relay/sid.h"

#define EXIT_USAGE  2
#define WORKERS_MAX 1024
#define MANY        1000000
#define SLOWEST     0.001

enum kind { TEXT, FLAG, TIME, COUNT, SPEED };

struct option_row {
    const char *name, *word, *env;
    enum kind kind;
    bool is_of_playing;
    size_t at; /* in struct arguments */
    uint64_t min, max;
    const char *help;
};

#define AT(field) offsetof(struct arguments, field)

static const struct option_row rows[] = {
    {"redis.url", "URL", "COMFY_RELAY_REDIS_URL", TEXT, false, AT(redis_url), 0, 0,
     "where Redis is: " REDIS_URL_ALLOWED " (" COMFY_PUBLISHER_DEFAULT_URL ")"},
    {"redis.prefix", "TEXT", "COMFY_RELAY_REDIS_PREFIX", TEXT, false, AT(redis_prefix), 0, 0,
     "first part of every channel and key (comfy)"},
    {"redis.password_file", "FILE", "COMFY_RELAY_REDIS_PASSWORD_FILE", TEXT, false, AT(password_file), 0, 0,
     "a file with the password, instead of one in the URL"},
    {"session.ttl", "TIME", "COMFY_RELAY_SESSION_TTL", TIME, false, AT(session_ttl_ms), 1000, UINT64_MAX,
     "as the relays have it (300s)"},
    {"session.log_events", "COUNT", "COMFY_RELAY_SESSION_LOG_EVENTS", COUNT, false, AT(session_log_events), 1,
     MANY, "as the relays have it (4096)"},
    {"worker", "ID", "COMFY_RELAY_WORKER_ID", TEXT, false, AT(worker), 0, 0,
     "the worker's id (<hostname>:<process id>); with --workers, what -1, -2, ... follow"},
    {"timeout", "TIME", NULL, TIME, false, AT(timeout_ms), 0, UINT32_MAX,
     "how long to wait at the end, or with a full queue, for a Redis that does not answer (10s)"},
    {"play", "FILE", NULL, TEXT, false, AT(play), 0, 0,
     "play a recording, a file of events one after the other"},
    {"sid", "SID", NULL, TEXT, true, AT(sid), 0, 0,
     "the session to play for (those of the recording); with --sessions, what -1, -2, ... follow"},
    {"speed", "NUMBER", NULL, SPEED, true, AT(speed), 0, 0,
     "times the recorded pace (1), from 0.001 on; 0: as fast as Redis takes it"},
    {"loop", NULL, NULL, FLAG, true, AT(loop), 0, 0, "play over and over, until SIGINT or SIGTERM"},
    {"times", "COUNT", NULL, COUNT, true, AT(times), 1, MANY, "play so often for each session (1)"},
    {"pause", "TIME", NULL, TIME, true, AT(pause_ms), 0, UINT32_MAX,
     "between one run and the next of a worker (2s)"},
    {"workers", "COUNT", NULL, COUNT, true, AT(workers), 1, WORKERS_MAX, "so many workers (1)"},
    {"sessions", "COUNT", NULL, COUNT, true, AT(sessions), 1, MANY,
     "play for so many sessions, spread over the workers at random"},
    {"seed", "COUNT", NULL, COUNT, true, AT(seed), 0, UINT64_MAX, "of that chance (0)"},
};

static void print_row(const struct option_row *row)
{
    printf("  --%s%s%s\n      %s\n", row->name, row->word ? " " : "", row->word ? row->word : "", row->help);
    if (row->env)
        printf("      environment: %s\n", row->env);
}

static void print_help(void)
{
    fputs("Publishes the events of ComfyUI workers to Redis, for comfy-relay.\n"
          "\n"
          "Usage: comfy-publish [--OPTION VALUE | --OPTION=VALUE]...   events from standard input, a line "
          "each\n"
          "       comfy-publish --play FILE [--OPTION VALUE]...       the events of a recording, as a worker "
          "would\n"
          "       comfy-publish --help | --version\n"
          "\n"
          "A line is a JSON object, with the keys of an event (adapters/WORKERS.md):\n"
          "  "
          "{\"type\":\"progress\",\"sid\":\"S\",\"data\":{\"value\":1,\"max\":20,\"prompt_id\":\"p\","
          "\"node\":\"3\"}}\n"
          "  {\"type\":4,\"sid\":\"S\",\"data\":[[\"JPEG\",\"<base64>\",null],{\"node_id\":\"3\"}]}\n"
          "  {\"type\":10,\"data\":\"<base64>\",\"keep\":false}\n"
          "Without `sid` it is for every session. Where an event of a binary code has bytes, the line has "
          "them in base64.\n"
          "A line that is wrong costs only itself, and in the end exit code 1.\n"
          "\n"
          "A recording is played with new prompt ids and timestamps, heartbeats and a goodbye.\n"
          "Times take ms s m h.\n"
          "\n"
          "Options:\n",
          stdout);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        print_row(&rows[i]);
}

static int refuse(const char *from, const char *value, const char *allowed)
{
    fprintf(stderr, "comfy-publish: %s: \"%s\" is not allowed; allowed: %s\n", from, value, allowed);
    return EXIT_USAGE;
}

static int refuse_time(const char *from, const char *value, const struct option_row *row)
{
    char allowed[96];
    snprintf(allowed, sizeof allowed, "a time with its unit, ms s m h, %" PRIu64 "ms to %" PRIu64 "ms",
             row->min, row->max);
    return refuse(from, value, allowed);
}

static int refuse_count(const char *from, const char *value, const struct option_row *row)
{
    char allowed[64];
    snprintf(allowed, sizeof allowed, "a number, %" PRIu64 " to %" PRIu64, row->min, row->max);
    return refuse(from, value, allowed);
}

static bool parse_speed(const char *text, double *speed)
{
    char *end;
    *speed = strtod(text, &end);
    return end != text && *end == '\0' && (*speed == FASTEST || (*speed >= SLOWEST && *speed <= MANY));
}

static int set(struct arguments *a, const struct option_row *row, const char *from, const char *value)
{
    void *field = (char *)a + row->at;
    uint64_t *number = field;
    switch (row->kind) {
    case TEXT:
        *(const char **)field = value;
        return -1;
    case FLAG:
        *(bool *)field = true;
        return -1;
    case SPEED:
        return parse_speed(value, field) ? -1 : refuse(from, value, "0, or a number, 0.001 to 1000000");
    case TIME:
        if (value_parse_time(value, number) == 0 && *number >= row->min && *number <= row->max)
            return -1;
        return refuse_time(from, value, row);
    default:
        if (value_parse_count(value, number) == 0 && *number >= row->min && *number <= row->max)
            return -1;
        return refuse_count(from, value, row);
    }
}

/* `name` ends at a NUL or at '='. */
static const struct option_row *find(const char *name)
{
    size_t len = strcspn(name, "=");
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (strlen(rows[i].name) == len && memcmp(rows[i].name, name, len) == 0)
            return &rows[i];
    return NULL;
}

static int complain(const char *what, const char *argument)
{
    fprintf(stderr, "comfy-publish: %s %s; --help lists the options\n", what, argument);
    return EXIT_USAGE;
}

/* One option; *at becomes the last argument that belongs to it. */
static int read_one(struct arguments *a, int argc, char **argv, int *at)
{
    const char *argument = argv[*at];
    const struct option_row *row = strncmp(argument, "--", 2) == 0 ? find(argument + 2) : NULL;
    if (!row)
        return complain("unknown option", argument);
    const char *value = strchr(argument, '=');
    if (row->is_of_playing && !a->of_playing)
        a->of_playing = row->name;
    if (row->kind == FLAG)
        return value ? complain("no value belongs to", argument) : set(a, row, argument, "");
    if (!value && *at + 1 >= argc)
        return complain("a value is missing for", argument);
    return set(a, row, row->name, value ? value + 1 : argv[++*at]);
}

static int read_environment(struct arguments *a)
{
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const char *value = rows[i].env ? getenv(rows[i].env) : NULL;
        int code = value && *value ? set(a, &rows[i], rows[i].env, value) : -1;
        if (code >= 0)
            return code;
    }
    return -1;
}

static int check(const struct arguments *a)
{
    if (a->sid && !sid_is_valid(span_str(a->sid)))
        return refuse("sid", "it", "1 to 128 bytes of UTF-8 without control characters, { or }");
    if (!a->play && a->of_playing) {
        fprintf(stderr,
                "comfy-publish: --%s: there is nothing to play: missing --play; --help lists the options\n",
                a->of_playing);
        return EXIT_USAGE;
    }
    if (a->sessions && (!a->sid || strlen(a->sid) > SID_MAX_BYTES - 8))
        return complain("a --sid, not too long, is needed with", "--sessions");
    return -1;
}

static bool asks_for(int argc, char **argv, const char *option)
{
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], option) == 0)
            return true;
    return false;
}

int arguments_read(struct arguments *a, int argc, char **argv)
{
    *a = (struct arguments){.speed = 1, .times = 1, .pause_ms = 2000, .workers = 1, .timeout_ms = 10000};
    if (asks_for(argc, argv, "--help")) {
        print_help();
        return 0;
    }
    if (asks_for(argc, argv, "--version")) {
        puts("comfy-publish " COMFY_RELAY_VERSION);
        return 0;
    }
    int code = read_environment(a);
    for (int i = 1; i < argc && code < 0; i++)
        code = read_one(a, argc, argv, &i);
    return code < 0 ? check(a) : code;
}
