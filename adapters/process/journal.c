#include "adapters/process/journal.h"

#include "relay/sid.h"

#define INTERVAL_MS    10000
#define BURST          5
#define ID_SHOWN_BYTES 64 /* workers choose how long theirs are */

#define NOTE_LINE(NAME, is_warning, about, text) \
    [NOTE_##NAME] = {is_warning ? LOG_WARN : LOG_INFO, ABOUT_##about, text},

enum about { ABOUT_SESSION, ABOUT_WORKER };

static const struct {
    enum log_level level;
    enum about about;
    const char *text;
} lines[NOTES_COUNT] = {NOTES(NOTE_LINE)};

static void write_note(struct journal *self, enum note note, struct span about);

void journal_init(struct log_journal *j, uv_loop_t *loop, struct logger *logger)
{
    *j = (struct log_journal){.port = {write_note}, .loop = loop, .logger = logger};
    for (int i = 0; i < NOTES_COUNT; i++)
        j->limits[i] = (struct log_limit){.interval_ms = INTERVAL_MS, .burst = BURST};
}

/* A sid is a secret; a worker's id is not. */
static struct log_field name(enum about about, struct span id, char shortened[SID_SHORT_BYTES])
{
    if (about == ABOUT_WORKER)
        return (struct log_field)LOG_SPAN(
            "worker", span_of(id.bytes, id.len < ID_SHOWN_BYTES ? id.len : ID_SHOWN_BYTES));
    sid_shorten(id, shortened);
    return (struct log_field)LOG_STR("sid", shortened);
}

static void write_line(struct log_journal *j, enum note note, struct span about, uint64_t suppressed)
{
    char shortened[SID_SHORT_BYTES];
    struct log_field fields[3] = {0};
    size_t count = 0;
    if (about.len > 0)
        fields[count++] = name(lines[note].about, about, shortened);
    if (suppressed > 0)
        fields[count++] = (struct log_field)LOG_INT("suppressed", suppressed);
    logger_write(j->logger, lines[note].level, lines[note].text, fields);
}

/* The port */

static void write_note(struct journal *self, enum note note, struct span about)
{
    struct log_journal *j = (struct log_journal *)((char *)self - offsetof(struct log_journal, port));
    uint64_t suppressed = 0;
    if (log_limit_pass(&j->limits[note], uv_now(j->loop), &suppressed))
        write_line(j, note, about, suppressed);
}
