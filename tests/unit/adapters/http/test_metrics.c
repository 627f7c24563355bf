/* The text of /metrics. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "adapters/http/metrics.h"
#include "config/file.h"

static char *text_of(const struct metrics *m)
{
    char *text;
    size_t len;
    FILE *to = open_memstream(&text, &len);
    assert_non_null(to);
    metrics_write(m, 1700000000, to);
    assert_int_equal(fclose(to), 0);
    return text;
}

static void check_contains(const char *text, const char *part)
{
    if (strstr(text, part) == NULL)
        fail_msg("expected \"%s\" in:\n%s", part, text);
}

static void the_fixed_names_are_there(void **state)
{
    static const char *const names[] = {"connections",
                                        "sessions",
                                        "redis_up",
                                        "events_total",
                                        "frames_total",
                                        "messages_dropped_total{reason=\"malformed\"}",
                                        "handshakes_rejected_total{reason=\"origin\"}",
                                        "conflated_total",
                                        "replayed_total",
                                        "replay_gaps_total",
                                        "workers",
                                        "queue_remaining"};
    const struct metrics m = {.connections = 0};
    char *text = text_of(&m), line[100];
    (void)state;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        snprintf(line, sizeof(line), "\ncomfy_relay_%s 0\n", names[i]);
        check_contains(text, line);
    }
    free(text);
}

static void values_are_those_that_were_counted(void **state)
{
    struct metrics m = {.connections = 7, .events = UINT64_MAX};
    (void)state;
    m.dropped[DROP_TOO_DEEP] = 3;
    m.rejected[REJECT_TIMEOUT] = 4;
    m.closed[CLOSE_PING_TIMEOUT] = 5;
    m.memory[MEMORY_LOGS] = 6;
    char *text = text_of(&m);
    check_contains(text, "\ncomfy_relay_connections 7\n");
    check_contains(text, "\ncomfy_relay_events_total 18446744073709551615\n");
    check_contains(text, "\ncomfy_relay_messages_dropped_total{reason=\"too_deep\"} 3\n");
    check_contains(text, "\ncomfy_relay_handshakes_rejected_total{reason=\"timeout\"} 4\n");
    check_contains(text, "\ncomfy_relay_connections_closed_total{reason=\"ping_timeout\"} 5\n");
    check_contains(text, "\ncomfy_relay_memory_bytes{kind=\"logs\"} 6\n");
    check_contains(text, "\ncomfy_relay_heap_allocated_bytes ");
    check_contains(text, "\ncomfy_relay_start_time_seconds 1700000000\n");
    check_contains(text, "\ncomfy_relay_build_info{version=\"" COMFY_RELAY_VERSION "\"} 1\n");
    check_contains(text, "\ncomfy_relay_cpu_seconds_total ");
    assert_null(strstr(text, "comfy_relay_resident_memory_bytes 0\n"));
    free(text);
}

static void every_reason_is_there_from_the_start(void **state)
{
    const struct metrics m = {.connections = 0};
    char *text = text_of(&m);
    (void)state;
#define CHECK(metric, label)      check_contains(text, "\ncomfy_relay_" metric "{reason=\"" label "\"} 0\n");
#define CHECK_DROP(NAME, label)   CHECK("messages_dropped_total", label)
#define CHECK_REJECT(NAME, label) CHECK("handshakes_rejected_total", label)
#define CHECK_CLOSE(NAME, label)  CHECK("connections_closed_total", label)
    DROP_REASONS(CHECK_DROP)
    REJECT_REASONS(CHECK_REJECT)
    CLOSE_REASONS(CHECK_CLOSE)
    free(text);
}

static void every_metric_begins_with_the_name_of_the_relay_and_has_help_and_type(void **state)
{
    const struct metrics m = {.connections = 0};
    char *text = text_of(&m), *rest = text, name[128], head[200];
    (void)state;
    for (char *line; (line = strsep(&rest, "\n")) != NULL && *line != '\0';) {
        if (*line == '#') {
            assert_int_equal(sscanf(line, "# %*s %127s", name), 1);
            continue;
        }
        snprintf(head, sizeof(head), "%.*s", (int)strcspn(line, "{ "), line);
        assert_memory_equal(head, name, strlen(name)); /* of the HELP and TYPE before it */
        const char *end = head + strlen(name);
        assert_true(*end == '\0' || strcmp(end, "_bucket") == 0 || strcmp(end, "_sum") == 0 ||
                    strcmp(end, "_count") == 0);
        assert_memory_equal(line, "comfy_relay_", strlen("comfy_relay_"));
    }
    free(text);
}

static void a_histogram_has_buckets_that_add_up(void **state)
{
    struct metrics m = {.connections = 0};
    (void)state;
    histogram_add(&m.delivery_lag, 1, 1);
    histogram_add(&m.delivery_lag, 50, 2);
    histogram_add(&m.delivery_lag, 60000, 4);
    char *text = text_of(&m);
    check_contains(text, "\n# TYPE comfy_relay_delivery_lag_seconds histogram\n"
                         "comfy_relay_delivery_lag_seconds_bucket{le=\"0.001\"} 1\n");
    check_contains(text, "\ncomfy_relay_delivery_lag_seconds_bucket{le=\"0.032\"} 1\n"
                         "comfy_relay_delivery_lag_seconds_bucket{le=\"0.064\"} 3\n");
    check_contains(text, "\ncomfy_relay_delivery_lag_seconds_bucket{le=\"16.384\"} 3\n"
                         "comfy_relay_delivery_lag_seconds_bucket{le=\"+Inf\"} 7\n"
                         "comfy_relay_delivery_lag_seconds_sum 240.101\n"
                         "comfy_relay_delivery_lag_seconds_count 7\n");
    free(text);
}

/* The loop cannot have been busy for less time than it had a core. */
static void busy_time_is_cpu_time_and_what_was_waited_for_a_core(void **state)
{
    const struct metrics m = {.connections = 0};
    double busy, cpu;
    char *text = text_of(&m);
    (void)state;
    assert_int_equal(sscanf(strstr(text, "\ncomfy_relay_loop_busy_seconds_total "), "%*s %lf", &busy), 1);
    assert_int_equal(sscanf(strstr(text, "\ncomfy_relay_cpu_seconds_total "), "%*s %lf", &cpu), 1);
    assert_true(cpu > 0 && busy >= cpu && busy < cpu + 600);
    free(text);
}

static void the_page_is_up_to_date(void **state)
{
    char *expected, *found;
    size_t expected_len, found_len;
    (void)state;
    FILE *to = open_memstream(&expected, &expected_len);
    metrics_write_page(to);
    fclose(to);
    if (file_read(METRICS_PAGE_PATH, 1 << 20, &found, &found_len) != 0)
        fail_msg("%s cannot be read", METRICS_PAGE_PATH);
    assert_string_equal(found, expected); /* else: cmake --build build --target metrics-reference */
    free(expected);
    free(found);
}

/* What Prometheus' own checker says, where it is installed. */
static void promtool_finds_nothing(void **state)
{
    const struct metrics m = {.connections = 1};
    (void)state;
    if (system("command -v promtool >/dev/null") != 0)
        skip();
    FILE *promtool = popen("promtool check metrics 2>&1", "w");
    assert_non_null(promtool);
    metrics_write(&m, 1700000000, promtool);
    assert_int_equal(pclose(promtool), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_fixed_names_are_there),
        cmocka_unit_test(values_are_those_that_were_counted),
        cmocka_unit_test(every_reason_is_there_from_the_start),
        cmocka_unit_test(every_metric_begins_with_the_name_of_the_relay_and_has_help_and_type),
        cmocka_unit_test(a_histogram_has_buckets_that_add_up),
        cmocka_unit_test(busy_time_is_cpu_time_and_what_was_waited_for_a_core),
        cmocka_unit_test(the_page_is_up_to_date),
        cmocka_unit_test(promtool_finds_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
