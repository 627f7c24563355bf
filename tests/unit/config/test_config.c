/* The four sources of an option, the errors, and the reload. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/config.h"

#define ARGS_MAX 12

/* One run of config_load(). */
struct run {
    char path[40]; /* of the configuration file; %F in an argument or an expectation stands for it */
    char *args[ARGS_MAX];
    char *env[ARGS_MAX];
    struct config config;
    enum config_action action;
    int exit_code;
    char *out, *err;
};

static void write_file(const char *path, const char *text, size_t len)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, len, file), len);
    assert_int_equal(fclose(file), 0);
}

static void begin(struct run *r, const char *file_text)
{
    *r = (struct run){.path = "/tmp/comfy-relay-test-XXXXXX"};
    int fd = mkstemp(r->path);
    assert_true(fd >= 0);
    close(fd);
    write_file(r->path, file_text, strlen(file_text));
}

/* Puts the path where %F stands. */
static char *expand(const struct run *r, const char *text)
{
    char *expanded;
    const char *mark = strstr(text, "%F");
    int before = mark == NULL ? (int)strlen(text) : (int)(mark - text);
    assert_true(asprintf(&expanded, "%.*s%s%s", before, text, mark == NULL ? "" : r->path,
                         mark == NULL ? "" : mark + 2) >= 0);
    return expanded;
}

/* args and env are words between spaces. */
static int split(const struct run *r, const char *words, char **list, int count)
{
    char *copy = strdup(words), *rest = copy;
    for (char *word; (word = strsep(&rest, " ")) != NULL;) {
        assert_true(count < ARGS_MAX - 1);
        if (*word != '\0')
            list[count++] = expand(r, word);
    }
    free(copy);
    return count;
}

static void load(struct run *r, const char *args, const char *env)
{
    size_t len;
    r->args[0] = strdup("comfy-relay");
    int argc = split(r, args, r->args, 1);
    split(r, env, r->env, 0);
    FILE *out = open_memstream(&r->out, &len), *err = open_memstream(&r->err, &len);
    r->action = config_load(&r->config, argc, r->args, r->env, out, err, &r->exit_code);
    fclose(out);
    fclose(err);
}

static void end(struct run *r)
{
    config_deinit(&r->config);
    for (int i = 0; i < ARGS_MAX; i++) {
        free(r->args[i]);
        free(r->env[i]);
    }
    free(r->out);
    free(r->err);
    remove(r->path);
}

static void check_text(const struct run *r, const char *got, const char *expected_with_marks)
{
    char *expected = expand(r, expected_with_marks);
    assert_string_equal(got, expected);
    free(expected);
}

static void check_contains(const struct run *r, const char *text, const char *part_with_marks)
{
    char *part = expand(r, part_with_marks);
    if (strstr(text, part) == NULL)
        fail_msg("expected \"%s\" in \"%s\"", part, text);
    free(part);
}

static void defaults_are_those_of_the_table(void **state)
{
    struct run r;
    (void)state;
    begin(&r, "");
    load(&r, "", "");
    assert_int_equal(r.action, CONFIG_RUN);
    assert_string_equal(r.err, "");
    assert_string_equal(r.config.options.listen, "127.0.0.1:8190");
    assert_int_equal(r.config.options.session_ttl_ms, 300000);
    assert_int_equal(r.config.options.session_log_bytes, 16 << 20);
    assert_int_equal(r.config.options.limits_connections, 100000);
    assert_int_equal(r.config.options.session_duplicate, DUPLICATE_REPLACE);
    assert_int_equal(r.config.options.listen_shared, BOOLEAN_FALSE);
    assert_int_equal(r.config.options.log_level, LOG_INFO);
    assert_string_equal(r.config.options.redis_password_file, "");
    end(&r);
}

static void a_stronger_source_wins(void **state)
{
    struct run r;
    (void)state;
    begin(&r, "[ws]\nping_interval = 1s\nping_timeout = 1s\n[drain]\ntime = 1s\n");
    load(&r, "--ws.ping_interval 3s --config %F",
         "COMFY_RELAY_WS_PING_INTERVAL=2s COMFY_RELAY_WS_PING_TIMEOUT=2s");
    assert_int_equal(r.config.options.ws_ping_interval_ms, 3000);
    assert_int_equal(r.config.options.ws_ping_timeout_ms, 2000);
    assert_int_equal(r.config.options.drain_time_ms, 1000);
    assert_int_equal(r.config.options.worker_timeout_ms, 15000);
    end(&r);
}

static void the_last_one_on_the_command_line_wins(void **state)
{
    struct run r;
    (void)state;
    begin(&r, "");
    load(&r, "--drain.time=1s --drain.time 2s", "");
    assert_int_equal(r.config.options.drain_time_ms, 2000);
    end(&r);
}

static void an_empty_value_is_a_value(void **state)
{
    struct run r;
    (void)state;
    begin(&r, "");
    load(&r, "--ops.listen=", "COMFY_RELAY_REDIS_PASSWORD_FILE=");
    assert_string_equal(r.config.options.ops_listen, "");
    assert_int_equal(r.config.settings[OPTION_ops_listen].source, CONFIG_COMMAND_LINE);
    assert_int_equal(r.config.settings[OPTION_redis_password_file].source, CONFIG_ENVIRONMENT);
    end(&r);
}

static void a_file_may_have_crlf_a_mark_and_comments(void **state)
{
    struct run r;
    (void)state;
    begin(
        &r,
        "\xEF\xBB\xBF# first\r\n  listen = a:1 # not a comment \r\n; second\r\n\r\n[ log ]\r\n level=debug");
    load(&r, "--config=%F --listen b:1", "");
    assert_int_equal(r.exit_code, 1); /* the comment is part of the value, which no address has */
    check_text(
        &r, r.err,
        "comfy-relay: %F:2: listen = \"a:1 # not a comment\" is not allowed; allowed: 1 to 16 of host:port, "
        "[IPv6]:port or unix:/path, comma-separated; all interfaces are 0.0.0.0:PORT or [::]:PORT\n");
    end(&r);
    begin(&r, "\xEF\xBB\xBFlisten = a:1\r\n; second\r\n\r\n[ log ]\r\n level=debug");
    load(&r, "--config=%F", "");
    assert_string_equal(r.config.options.listen, "a:1");
    assert_int_equal(r.config.options.log_level, LOG_DEBUG);
    end(&r);
}

static void features_keep_their_numbers_digit_for_digit(void **state)
{
    struct run r;
    (void)state;
    begin(&r, "features = {\"x\": 18446744073709551615, \"y\": [0.10000000000000000001, \"\\u0000\"]}\n");
    load(&r, "--config %F", "");
    assert_string_equal(r.err, "");
    assert_string_equal(r.config.options.features,
                        "{\"x\": 18446744073709551615, \"y\": [0.10000000000000000001, \"\\u0000\"]}");
    end(&r);
}

static void features_reach_to_the_end_of_their_line(void **state)
{
    struct run r;
    (void)state;
    begin(&r, "features = {\"a\": \"x = y ; #\", \"b\": [1, 2]}\n");
    load(&r, "--config %F", "");
    assert_string_equal(r.err, "");
    assert_string_equal(r.config.options.features, "{\"a\": \"x = y ; #\", \"b\": [1, 2]}");
    end(&r);
}

struct wrong {
    const char *file, *args, *env;
    int exit_code;
    const char *error; /* between the program's name and the newline */
};

#define TIME_ALLOWED "allowed: a time with unit ms, s, m or h, from "

static const struct wrong wrongs[] = {
    {"", "--drain.time 5", "", 2, "command line: drain.time = \"5\" is not allowed; " TIME_ALLOWED "0 to 1h"},
    {"", "--drain.time=61m", "", 2,
     "command line: drain.time = \"61m\" is not allowed; " TIME_ALLOWED "0 to 1h"},
    {"", "", "COMFY_RELAY_SESSION_TTL=0", 1,
     "env COMFY_RELAY_SESSION_TTL: session.ttl = \"0\" is not allowed; " TIME_ALLOWED "1ms to 168h"},
    {"\n[session]\nttl = soon\n", "--config %F --session.ttl 5s", "COMFY_RELAY_SESSION_TTL=5s", 1,
     "%F:3: session.ttl = \"soon\" is not allowed; " TIME_ALLOWED "1ms to 168h"},
    {"", "--limits.header_bytes 63", "", 2,
     "command line: limits.header_bytes = \"63\" is not allowed; allowed: bytes, or a size with unit KiB, "
     "MiB or "
     "GiB, from 64 to 1MiB"},
    {"", "--session.log_events -1", "", 2,
     "command line: session.log_events = \"-1\" is not allowed; allowed: a whole number, from 1 to 1048576"},
    {"", "--session.duplicate both", "", 2,
     "command line: session.duplicate = \"both\" is not allowed; allowed: replace or share"},
    {"", "--log.level Info", "", 2,
     "command line: log.level = \"Info\" is not allowed; allowed: error, warn, info or debug"},
    {"", "--log.format=", "", 2, "command line: log.format = \"\" is not allowed; allowed: text or json"},
    {"", "--listen.shared yes", "", 2,
     "command line: listen.shared = \"yes\" is not allowed; allowed: false or true"},
    {"listen = a:1, unix:/s\n[listen]\nshared = true\n", "--check --config %F", "", 1,
     "%F:3: listen.shared = \"true\" is not allowed with unix:/s in listen; allowed: with host:port only, "
     "since a "
     "unix socket is one process's"},
    {"", "--features []", "", 2,
     "command line: features = \"[]\" is not allowed; allowed: a JSON object without duplicate keys"},
    {"", "--features {\"a\":1,\"a\":2}", "", 2,
     "command line: features = \"{\"a\":1,\"a\":2}\" is not allowed; allowed: a JSON object without "
     "duplicate keys"},
    {"", "--listen=", "", 2,
     "command line: listen = \"\" is not allowed; allowed: 1 to 16 of host:port, [IPv6]:port or unix:/path, "
     "comma-separated; all interfaces are 0.0.0.0:PORT or [::]:PORT"},
    {"", "--ops.listen a:1,b:1", "", 2,
     "command line: ops.listen = \"a:1,b:1\" is not allowed; allowed: host:port, [IPv6]:port or unix:/path, "
     "or nothing; all interfaces are 0.0.0.0:PORT or [::]:PORT"},
    {"", "--redis.prefix {x}", "", 2,
     "command line: redis.prefix = \"{x}\" is not allowed; allowed: 1 to 64 visible ASCII characters other "
     "than { "
     "and }"},
    {"", "--ws.origins null", "", 2,
     "command line: ws.origins = \"null\" is not allowed; allowed: same-host, *, or a comma-separated list "
     "of "
     "scheme://host[:port]"},
    {"", "--redis.url http://u:SECRET@h", "", 2,
     "command line: redis.url = \"http://u:***@h\" is not allowed; allowed: "
     "redis://[user:password@]host[:port][/db] "
     "or redis+unix://[user:password@]/path[?db=N], the path of at most 107 bytes"},
    {"", "", "COMFY_RELAY_REDIS_URL=rediss://u:SECRET@h", 1,
     "env COMFY_RELAY_REDIS_URL: redis.url = \"rediss://u:***@h\" is not supported by this version; allowed: "
     "redis://[user:password@]host[:port][/db] or redis+unix://[user:password@]/path[?db=N], the path of at "
     "most "
     "107 bytes"},
    {"", "--drain.tme 5s", "", 2,
     "command line: unknown option drain.tme = \"5s\"; allowed are the options that comfy-relay --help "
     "lists"},
    {"[redis]\npassword = SECRET\n", "--config %F", "", 1,
     "%F:2: unknown option redis.password = \"***\"; allowed are the options that comfy-relay --help lists"},
    {"[log]\nlisten = a:1\n", "--config %F", "", 1,
     "%F:2: unknown option log.listen = \"a:1\"; allowed are the options that comfy-relay --help lists"},
    {"listen = a:1\n\nlisten = b:1\n", "--config %F", "", 1,
     "%F:3: listen was set in line 1 already; allowed: once"},
    {"listen a:1\n", "--config %F", "", 1, "%F:1: neither `name = value` nor [section] nor a comment"},
    {"\n[log\n", "--config %F", "", 1, "%F:2: a section without a ] at its end"},
    {"[ ]\n", "--config %F", "", 1, "%F:1: a section without a name"},
    {"= a\n", "--config %F", "", 1, "%F:1: a value without a name"},
    {"", "--config /nonexistent/x", "", 1, "cannot read \"/nonexistent/x\": No such file or directory"},
    {"", "--config /", "", 1, "cannot read \"/\": Is a directory"},
    {"", "--config /dev/zero", "", 1, "cannot read \"/dev/zero\": larger than 1 MiB"},
    {"", "--check --redis.password_file /nonexistent/p", "", 1,
     "command line: redis.password_file: cannot read \"/nonexistent/p\": No such file or directory"},
    {"[redis]\npassword_file = /nonexistent/p\n", "--check --config %F", "", 1,
     "%F:2: redis.password_file: cannot read \"/nonexistent/p\": No such file or directory"},
    {"", "--listen", "", 2,
     "command line: no value after \"listen\"; allowed: --OPTION VALUE or --OPTION=VALUE"},
    {"", "--config", "", 2,
     "command line: no value after \"config\"; allowed: --OPTION VALUE or --OPTION=VALUE"},
    {"", "start", "", 2,
     "command line: unexpected argument \"start\"; comfy-relay --help says what is allowed"},
    {"", "--", "", 2, "command line: unexpected argument \"--\"; comfy-relay --help says what is allowed"},
    {"", "-h", "", 2, "command line: unexpected argument \"-h\"; comfy-relay --help says what is allowed"},
    {"", "--check=yes", "", 2, "command line: a value after \"check\"; allowed: none"},
    {"", "--drain.time x\ny", "", 2,
     "command line: drain.time = \"x\\x0ay\" is not allowed; " TIME_ALLOWED "0 to 1h"},
};

static void every_error_is_one_line_that_says_where_what_and_what_is_allowed(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(wrongs) / sizeof(wrongs[0]); i++) {
        struct run r;
        char *expected;
        begin(&r, wrongs[i].file);
        load(&r, wrongs[i].args, wrongs[i].env);
        assert_true(asprintf(&expected, "comfy-relay: %s\n", wrongs[i].error) >= 0);
        check_text(&r, r.err, expected);
        assert_string_equal(r.out, "");
        assert_int_equal(r.action, CONFIG_EXIT);
        assert_int_equal(r.exit_code, wrongs[i].exit_code);
        free(expected);
        end(&r);
    }
}

static void a_nul_byte_in_the_file_is_an_error(void **state)
{
    struct run r;
    (void)state;
    begin(&r, "");
    write_file(r.path, "#\nlisten = a:1\0b\n", 17);
    load(&r, "--config %F", "");
    check_text(&r, r.err, "comfy-relay: %F:2: a NUL byte\n");
    assert_int_equal(r.exit_code, 1);
    end(&r);
}

static void a_long_value_is_shown_in_part(void **state)
{
    struct run r;
    char args[1000] = "--drain.time ";
    (void)state;
    memset(args + strlen(args), '9', 900);
    begin(&r, "");
    load(&r, args, "");
    check_contains(&r, r.err, "999…\" is not allowed");
    assert_true(strlen(r.err) < 400);
    end(&r);
}

static void an_unknown_name_in_the_environment_is_ignored_with_a_warning(void **state)
{
    struct run r;
    size_t at = 0;
    (void)state;
    begin(&r, "");
    load(&r, "", "COMFY_RELAY_PORT=tcp://10.0.0.1 HOME=/ COMFY_RELAY_LOG_LEVEL=warn COMFY_RELAYS=1");
    assert_int_equal(r.action, CONFIG_RUN);
    assert_int_equal(r.config.options.log_level, LOG_WARN);
    assert_true(span_is(config_next_unknown(&r.config, &at), "COMFY_RELAY_PORT"));
    assert_null(config_next_unknown(&r.config, &at).bytes);
    end(&r);
    begin(&r, "");
    load(&r, "--check", "COMFY_RELAY_PORT=tcp://10.0.0.1");
    assert_string_equal(r.err, "comfy-relay: warning: env COMFY_RELAY_PORT is no option and is ignored\n");
    assert_int_equal(r.exit_code, 0);
    end(&r);
}

static void print_config_names_the_source_of_every_option(void **state)
{
    struct run r;
    unsigned lines = 0;
    (void)state;
    begin(&r, "[redis]\nurl = redis://u:SECRET@h/1\n");
    load(&r, "--print-config --config %F --drain.time=3s", "COMFY_RELAY_LOG_LEVEL=debug");
    assert_int_equal(r.action, CONFIG_EXIT);
    assert_int_equal(r.exit_code, 0);
    check_contains(&r, r.out, "\nredis.url = redis://u:***@h/1   # %F:2\n");
    check_contains(&r, r.out, "\nlog.level = debug   # env COMFY_RELAY_LOG_LEVEL\n");
    check_contains(&r, r.out, "\ndrain.time = 3s   # command line\n");
    check_contains(&r, r.out, "\nsession.ttl = 300s   # default\n");
    for (const char *c = r.out; *c != '\0'; c++)
        lines += *c == '\n';
    assert_int_equal(lines, OPTION_COUNT);
    end(&r);
}

static void check_says_what_was_read(void **state)
{
    struct run r;
    char *expected;
    (void)state;
    begin(&r, "[log]\nlevel = warn\n");
    load(&r, "--check --redis.password_file /dev/null --config %F", "COMFY_RELAY_LOG_FORMAT=json");
    assert_true(
        asprintf(&expected,
                 "read %%F\nread /dev/null (redis.password_file)\noptions: %d by default, 1 from the file, 1 "
                 "from the environment, 1 from the command line\nthe configuration is good\n",
                 OPTION_COUNT - 3) >= 0);
    check_text(&r, r.out, expected);
    assert_int_equal(r.exit_code, 0);
    free(expected);
    end(&r);
}

static void help_names_every_option(void **state)
{
    struct run r;
    (void)state;
    begin(&r, "");
    load(&r, "--help --config /nonexistent/x", "COMFY_RELAY_DRAIN_TIME=wrong");
    assert_int_equal(r.action, CONFIG_EXIT);
    assert_int_equal(r.exit_code, 0);
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        check_contains(&r, r.out, option_table[i].name);
        check_contains(&r, r.out, option_table[i].help);
        check_contains(&r, r.out, option_table[i].fallback);
    }
    end(&r);
}

static void version_is_one_line(void **state)
{
    struct run r;
    (void)state;
    begin(&r, "");
    load(&r, "--version", "");
    assert_string_equal(r.out, "comfy-relay " COMFY_RELAY_VERSION "\n");
    end(&r);
}

static void output_that_cannot_be_written_is_an_error(void **state)
{
    struct config c;
    char program[] = "comfy-relay", print[] = "--print-config", *err;
    char *argv[] = {program, print}, *env[] = {NULL};
    size_t len;
    int exit_code;
    FILE *full = fopen("/dev/full", "w"), *to = open_memstream(&err, &len);
    (void)state;
    assert_int_equal(config_load(&c, 2, argv, env, full, to, &exit_code), CONFIG_EXIT);
    fclose(to);
    fclose(full);
    assert_int_equal(exit_code, 1);
    assert_string_equal(err, "comfy-relay: cannot write to standard output\n");
    config_deinit(&c);
    free(err);
}

static int reload(struct run *r, const char *text, char **told)
{
    write_file(r->path, text, strlen(text));
    return config_reload(&r->config, told);
}

static void a_reload_takes_over_what_may_change(void **state)
{
    struct run r;
    char *told;
    (void)state;
    begin(&r, "[log]\nlevel = info\n[ws]\norigins = *\n");
    load(&r, "--config %F", "");
    assert_int_equal(reload(&r, "[log]\nlevel = debug\n[ws]\norigins = https://a.example\n", &told), 0);
    assert_null(told);
    assert_int_equal(r.config.options.log_level, LOG_DEBUG);
    assert_string_equal(r.config.options.ws_origins, "https://a.example");
    assert_int_equal(reload(&r, "", &told), 0);
    assert_int_equal(r.config.options.log_level, LOG_INFO);
    assert_string_equal(r.config.options.ws_origins, "same-host");
    assert_int_equal(r.config.settings[OPTION_ws_origins].source, CONFIG_DEFAULT);
    end(&r);
}

static void a_reload_names_what_needs_a_restart_and_leaves_it(void **state)
{
    struct run r;
    char *told;
    (void)state;
    begin(&r, "listen = a:1\n");
    load(&r, "--config %F", "");
    assert_int_equal(reload(&r, "listen = b:1\n[log]\nformat = json\nlevel = debug\n", &told), 0);
    assert_string_equal(told, "listen, log.format");
    assert_string_equal(r.config.options.listen, "a:1");
    assert_int_equal(r.config.options.log_format, LOG_TEXT);
    assert_int_equal(r.config.options.log_level, LOG_DEBUG);
    free(told);
    end(&r);
}

static void a_reload_keeps_the_order_of_the_sources(void **state)
{
    struct run r;
    char *told;
    (void)state;
    begin(&r, "");
    load(&r, "--config %F --drain.time 3s", "COMFY_RELAY_WORKER_TIMEOUT=4s");
    assert_int_equal(
        reload(&r, "[drain]\ntime = 1s\n[worker]\ntimeout = 1s\n[status]\ninterval = 1s\n", &told), 0);
    assert_int_equal(r.config.options.drain_time_ms, 3000);
    assert_int_equal(r.config.options.worker_timeout_ms, 4000);
    assert_int_equal(r.config.options.status_interval_ms, 1000);
    end(&r);
}

static void a_reload_does_not_wait_for_a_pipe(void **state)
{
    struct run r;
    char *told;
    (void)state;
    begin(&r, "[log]\nlevel = warn\n");
    load(&r, "--config %F", "");
    remove(r.path);
    assert_int_equal(mkfifo(r.path, 0600), 0);
    assert_int_equal(config_reload(&r.config, &told), -EINVAL);
    check_text(&r, told, "cannot read \"%F\": no regular file, and only such a one is read again");
    assert_int_equal(r.config.options.log_level, LOG_WARN);
    free(told);
    end(&r);
}

static void a_reload_in_error_changes_nothing(void **state)
{
    struct run r;
    char *told;
    (void)state;
    begin(&r, "[log]\nlevel = warn\n");
    load(&r, "--config %F", "");
    assert_int_equal(reload(&r, "[log]\nlevel = debug\n[ws]\norigins = nowhere\n", &told), -EINVAL);
    check_text(
        &r, told,
        "%F:4: ws.origins = \"nowhere\" is not allowed; allowed: same-host, *, or a comma-separated list of "
        "scheme://host[:port]");
    assert_int_equal(r.config.options.log_level, LOG_WARN);
    assert_int_equal(r.config.settings[OPTION_log_level].line, 2);
    free(told);
    remove(r.path);
    assert_int_equal(config_reload(&r.config, &told), -ENOENT);
    check_text(&r, told, "cannot read \"%F\": No such file or directory");
    assert_int_equal(r.config.options.log_level, LOG_WARN);
    free(told);
    end(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_are_those_of_the_table),
        cmocka_unit_test(a_stronger_source_wins),
        cmocka_unit_test(the_last_one_on_the_command_line_wins),
        cmocka_unit_test(an_empty_value_is_a_value),
        cmocka_unit_test(a_file_may_have_crlf_a_mark_and_comments),
        cmocka_unit_test(features_reach_to_the_end_of_their_line),
        cmocka_unit_test(features_keep_their_numbers_digit_for_digit),
        cmocka_unit_test(every_error_is_one_line_that_says_where_what_and_what_is_allowed),
        cmocka_unit_test(a_nul_byte_in_the_file_is_an_error),
        cmocka_unit_test(a_long_value_is_shown_in_part),
        cmocka_unit_test(an_unknown_name_in_the_environment_is_ignored_with_a_warning),
        cmocka_unit_test(print_config_names_the_source_of_every_option),
        cmocka_unit_test(check_says_what_was_read),
        cmocka_unit_test(help_names_every_option),
        cmocka_unit_test(version_is_one_line),
        cmocka_unit_test(output_that_cannot_be_written_is_an_error),
        cmocka_unit_test(a_reload_takes_over_what_may_change),
        cmocka_unit_test(a_reload_names_what_needs_a_restart_and_leaves_it),
        cmocka_unit_test(a_reload_keeps_the_order_of_the_sources),
        cmocka_unit_test(a_reload_does_not_wait_for_a_pipe),
        cmocka_unit_test(a_reload_in_error_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
