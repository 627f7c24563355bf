/* The text of /metrics, from the tables of relay/metrics.h. */
#include "adapters/http/metrics.h"

#include <inttypes.h>
#include <sys/resource.h>
#include <unistd.h>

#include "adapters/process/heap.h"

static void write_head(const char *name, const char *kind, const char *help, FILE *to)
{
    fprintf(to, "# HELP comfy_relay_%s %s\n# TYPE comfy_relay_%s %s\n", name, help, name, kind);
}

static void write_value(const char *name, const char *kind, const char *help, uint64_t value, FILE *to)
{
    write_head(name, kind, help, to);
    fprintf(to, "comfy_relay_%s %" PRIu64 "\n", name, value);
}

static void write_reason(const char *name, const char *reason, uint64_t value, FILE *to)
{
    fprintf(to, "comfy_relay_%s{reason=\"%s\"} %" PRIu64 "\n", name, reason, value);
}

static void write_reasons(const struct metrics *m, FILE *to)
{
    write_head("messages_dropped_total", "counter", "Messages from Redis that were dropped.", to);
    for (int i = DROP_NOTHING + 1; i < DROP_REASONS_COUNT; i++)
        write_reason("messages_dropped_total", drop_reason_label(i), m->dropped[i], to);
    write_head("handshakes_rejected_total", "counter", "WebSocket upgrades that were refused.", to);
    for (int i = REJECT_NOTHING + 1; i < REJECT_REASONS_COUNT; i++)
        write_reason("handshakes_rejected_total", reject_reason_label(i), m->rejected[i], to);
    write_head("connections_closed_total", "counter", "WebSocket connections that ended.", to);
    for (int i = CLOSE_NOTHING + 1; i < CLOSE_REASONS_COUNT; i++)
        write_reason("connections_closed_total", close_reason_label(i), m->closed[i], to);
}

static void write_memory(const struct metrics *m, FILE *to)
{
    size_t allocated = heap_allocated_bytes();
    write_head("memory_bytes", "gauge",
               "Memory by what it is used for; a frame that is in several logs counts in each.", to);
    for (int i = 0; i < MEMORY_KINDS_COUNT; i++)
        fprintf(to, "comfy_relay_memory_bytes{kind=\"%s\"} %" PRIu64 "\n", memory_kind_label(i),
                m->memory[i]);
    if (allocated == 0)
        return;
    write_value("heap_allocated_bytes", "gauge", "Memory that is allocated, as the allocator counts it.",
                allocated, to);
    write_value("heap_free_bytes", "gauge",
                "Memory that the allocator keeps, for later or given back in part.", heap_free_bytes(), to);
}

static double seconds(struct timeval t)
{
    return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

static uint64_t resident_bytes(void)
{
    uint64_t size, resident = 0;
    FILE *statm = fopen("/proc/self/statm", "re");
    if (statm == NULL)
        return 0;
    if (fscanf(statm, "%" SCNu64 " %" SCNu64, &size, &resident) != 2)
        resident = 0;
    fclose(statm);
    return resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void write_process(time_t started_at, FILE *to)
{
    struct rusage usage = {.ru_maxrss = 0};
    getrusage(RUSAGE_SELF, &usage);
    write_head("build_info", "gauge", "1, with the version as a label.", to);
    fputs("comfy_relay_build_info{version=\"" COMFY_RELAY_VERSION "\"} 1\n", to);
    write_value("start_time_seconds", "gauge", "When the process started, in seconds since 1970.",
                (uint64_t)started_at, to);
    write_value("resident_memory_bytes", "gauge", "Memory of the process that is in RAM.", resident_bytes(),
                to);
    write_head("cpu_seconds_total", "counter", "User and system time of the process.", to);
    fprintf(to, "comfy_relay_cpu_seconds_total %.6f\n", seconds(usage.ru_utime) + seconds(usage.ru_stime));
}

void metrics_write(const struct metrics *m, time_t started_at, FILE *to)
{
#define WRITE(field, kind, name, help) write_value(name, #kind, help, m->field, to);
    METRICS(WRITE)
#undef WRITE
    write_reasons(m, to);
    write_memory(m, to);
    write_process(started_at, to);
}
