#include "adapters/http/metrics.h"

#include <inttypes.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "adapters/process/heap.h"

#define PREFIX    "comfy_relay_"
#define SECOND_NS UINT64_C(1000000000)

/* The process */

/* The second number of a file of /proc; 0: it is not there. */
static uint64_t second_number(const char *path)
{
    uint64_t first, second = 0;
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return 0;
    if (fscanf(file, "%" SCNu64 " %" SCNu64, &first, &second) != 2)
        second = 0;
    fclose(file);
    return second;
}

static uint64_t resident_bytes(void)
{
    return second_number("/proc/self/statm") * (uint64_t)sysconf(_SC_PAGESIZE);
}

static uint64_t nanoseconds(struct timeval t)
{
    return (uint64_t)t.tv_sec * SECOND_NS + (uint64_t)t.tv_usec * 1000;
}

/* How long the thread of the loop could have run and did not: another one had the core. */
static uint64_t waited_ns(void)
{
    return second_number("/proc/self/schedstat");
}

static void measure_process(struct metrics *m, time_t started_at)
{
    struct rusage usage = {.ru_maxrss = 0};
    getrusage(RUSAGE_SELF, &usage);
    m->build[0] = 1;
    m->start_time = (uint64_t)started_at;
    m->cpu_ns = nanoseconds(usage.ru_utime) + nanoseconds(usage.ru_stime);
    m->busy_ns = m->cpu_ns + waited_ns();
    m->resident_bytes = resident_bytes();
    m->heap_allocated = heap_allocated_bytes();
    m->heap_free = heap_free_bytes();
}

/* The text */

static void write_head(const struct metric *x, FILE *to)
{
    fprintf(to, "# HELP " PREFIX "%s %s\n# TYPE " PREFIX "%s %s\n", x->name, x->help, x->name, x->kind);
}

static void write_one(const struct metric *x, const uint64_t *value, FILE *to)
{
    fprintf(to, PREFIX "%s %" PRIu64 "\n", x->name, *value);
}

static void write_time(const struct metric *x, const uint64_t *ns, FILE *to)
{
    fprintf(to, PREFIX "%s %" PRIu64 ".%09" PRIu64 "\n", x->name, *ns / SECOND_NS, *ns % SECOND_NS);
}

static void write_per(const struct metric *x, const uint64_t *values, FILE *to)
{
    for (size_t i = x->first; i < x->count; i++)
        fprintf(to, PREFIX "%s{%s=\"%s\"} %" PRIu64 "\n", x->name, x->label, x->values[i], values[i]);
}

static void write_seconds(uint64_t ms, FILE *to)
{
    fprintf(to, "%" PRIu64 ".%03" PRIu64, ms / 1000, ms % 1000);
}

static void write_bucket(const struct metric *x, unsigned i, uint64_t sum, FILE *to)
{
    fprintf(to, PREFIX "%s_bucket{le=\"", x->name);
    if (i < HISTOGRAM_BOUNDS)
        write_seconds(histogram_bound_ms(i), to);
    else
        fputs("+Inf", to);
    fprintf(to, "\"} %" PRIu64 "\n", sum);
}

static void write_lag(const struct metric *x, const struct histogram *h, FILE *to)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i <= HISTOGRAM_BOUNDS; i++) {
        sum += h->counts[i];
        write_bucket(x, i, sum, to);
    }
    fprintf(to, PREFIX "%s_sum ", x->name);
    write_seconds(h->sum_ms, to);
    fprintf(to, "\n" PREFIX "%s_count %" PRIu64 "\n", x->name, sum);
}

static void write_metric(const struct metric *x, const struct metrics *m, FILE *to)
{
    const void *value = (const char *)m + x->at;
    write_head(x, to);
    switch (x->shape) {
    case METRIC_ONE:
        write_one(x, value, to);
        break;
    case METRIC_TIME:
        write_time(x, value, to);
        break;
    case METRIC_PER:
        write_per(x, value, to);
        break;
    case METRIC_LAG:
        write_lag(x, value, to);
        break;
    }
}

static bool is_end(const struct metric *x)
{
    return x->title == NULL && x->name == NULL;
}

void metrics_write(const struct metrics *m, time_t started_at, FILE *to)
{
    struct metrics now = *m;
    measure_process(&now, started_at);
    for (const struct metric *x = metric_table; !is_end(x); x++)
        if (x->name != NULL)
            write_metric(x, &now, to);
}

/* The page */

static const char *unit_of(const struct metric *x)
{
    return strstr(x->name, "_bytes") ? "bytes" : strstr(x->name, "_seconds") ? "seconds" : "";
}

static void write_labels(const struct metric *x, FILE *to)
{
    if (x->shape == METRIC_LAG)
        fputs("<br>`le`: 0.001, 0.002, 0.004 … 16.384, +Inf", to);
    if (x->shape != METRIC_PER)
        return;
    fprintf(to, "<br>`%s`", x->label);
    for (size_t i = x->first; i < x->count && x->count - x->first > 1; i++)
        fprintf(to, "%s `%s`", i == x->first ? ":" : "", x->values[i]);
}

static void write_row(const struct metric *x, FILE *to)
{
    fprintf(to, "| `" PREFIX "%s`", x->name);
    write_labels(x, to);
    fprintf(to, " | %s | %s | %s | %s |\n", x->kind, unit_of(x), x->help, x->look);
}

static void write_title(const struct metric *x, FILE *to)
{
    fprintf(to,
            "\n## %s\n\n"
            "| metric, labels | type | unit | meaning | look at it when |\n"
            "|---|---|---|---|---|\n",
            x->title);
}

void metrics_write_page(FILE *to)
{
    fputs("# Metrics\n"
          "\n"
          "Made from `relay/metrics.h` by `cmake --build build --target metrics-reference`.\n"
          "\n"
          "`GET /metrics` on `ops.listen` answers with all of these in Prometheus' text format. How to "
          "scrape, rules for "
          "alerts\n"
          "and a board for Grafana: [deploy/prometheus](../../deploy/prometheus/README.md). Each relay tells "
          "its own "
          "figures;\n"
          "counters begin with 0 when the process starts. No label names a session or a worker.\n",
          to);
    for (const struct metric *x = metric_table; !is_end(x); x++)
        (x->title != NULL ? write_title : write_row)(x, to);
}
