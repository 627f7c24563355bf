#include "relay/metrics.h"

#define LABEL(NAME, label) label,

static const char *const drop_labels[] = {"", DROP_REASONS(LABEL)};
static const char *const reject_labels[] = {"", REJECT_REASONS(LABEL)};
static const char *const close_labels[] = {"", CLOSE_REASONS(LABEL)};
static const char *const memory_labels[] = {MEMORY_KINDS(LABEL)};
static const char *const class_labels[] = {CLASSES(LABEL)};
static const char *const timestamp_labels[] = {TIMESTAMP_FAULTS(LABEL)};
static const char *const redis_labels[] = {REDIS_CONNECTIONS(LABEL)};
static const char *const version_labels[] = {COMFY_RELAY_VERSION};

#define ROW_OF(row_shape, field, row_kind, row_name, row_help, row_look)                                 \
    .shape = (row_shape), .at = offsetof(struct metrics, field), .kind = (row_kind), .name = (row_name), \
    .help = (row_help), .look = (row_look)

#define GROUP(text)                         {.title = (text)},
#define ONE(field, kind, name, help, look)  {ROW_OF(METRIC_ONE, field, #kind, name, help, look)},
#define TIME(field, kind, name, help, look) {ROW_OF(METRIC_TIME, field, #kind, name, help, look)},
#define LAG(field, name, help, look)        {ROW_OF(METRIC_LAG, field, "histogram", name, help, look)},
#define PER(field, labels, from, to, kind, name, key, help, look)                            \
    {ROW_OF(METRIC_PER, field, #kind, name, help, look), .label = (key), .values = (labels), \
     .first = (from), .count = (to)},

const struct metric metric_table[] = {METRICS(GROUP, ONE, TIME, PER, LAG){.title = NULL}};

const char *drop_reason_label(enum drop_reason reason)
{
    return drop_labels[reason];
}

const char *reject_reason_label(enum reject_reason reason)
{
    return reject_labels[reason];
}

const char *close_reason_label(enum close_reason reason)
{
    return close_labels[reason];
}
