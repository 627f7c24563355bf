#include "relay/metrics.h"

#define LABEL(NAME, label) label,

static const char *const drop_labels[] = {"", DROP_REASONS(LABEL)};
static const char *const reject_labels[] = {"", REJECT_REASONS(LABEL)};
static const char *const close_labels[] = {"", CLOSE_REASONS(LABEL)};
static const char *const memory_labels[] = {MEMORY_KINDS(LABEL)};

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

const char *memory_kind_label(enum memory_kind kind)
{
    return memory_labels[kind];
}
