/* What a person is told by the core: a line, a few in a while, and no secret in it. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>

#include "adapters/process/journal.h"

#define SECRET "secret-session-id-of-someone"

struct fixture {
    uv_loop_t loop;
    struct logger logger;
    struct log_journal journal;
    char *text;
    size_t len;
};

static int set_up(void **state)
{
    struct fixture *f = *state = calloc(1, sizeof *f);
    f->logger = (struct logger){.stream = open_memstream(&f->text, &f->len), .level = LOG_INFO};
    assert_int_equal(uv_loop_init(&f->loop), 0);
    journal_init(&f->journal, &f->loop, &f->logger);
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    fclose(f->logger.stream);
    free(f->text);
    int error = uv_loop_close(&f->loop);
    free(f);
    return error;
}

static void write_note(struct fixture *f, enum note note, const char *sid)
{
    f->journal.port.note(&f->journal.port, note, span_str(sid));
}

static int count(const char *in, const char *text)
{
    int n = 0;
    for (const char *at = in; (at = strstr(at, text)); at += strlen(text))
        n++;
    return n;
}

static void note_is_a_line_that_names_its_session_shortened(void **state)
{
    struct fixture *f = *state;
    write_note(f, NOTE_GAP, SECRET);
    assert_non_null(strstr(f->text, "level=warn msg=\"a client has missed events: the log did not reach back "
                                    "to its place\" sid=secret-s...\n"));
    assert_int_equal(count(f->text, SECRET), 0);
}

static void note_about_no_session_names_none(void **state)
{
    struct fixture *f = *state;
    write_note(f, NOTE_DATA_LOST, "");
    assert_non_null(strstr(f->text, "level=warn msg=\"Redis has lost what it knew of a session\"\n"));
}

static void note_about_a_worker_names_it_and_no_longer_than_needed(void **state)
{
    struct fixture *f = *state;
    write_note(f, NOTE_DOUBLED, "gpu-3.example.org:8188");
    assert_non_null(strstr(f->text, "level=warn msg=\"two processes have the same worker id\" "
                                    "worker=gpu-3.example.org:8188\n"));
    char id[1000];
    memset(id, 'w', sizeof id - 1);
    id[sizeof id - 1] = '\0';
    write_note(f, NOTE_DOUBLED, id);
    assert_in_range(count(f->text, "ww"), 1, 40);
}

static void no_note_of_a_session_shows_its_sid_whole(void **state)
{
    struct fixture *f = *state;
    for (enum note note = 0; note < NOTES_COUNT; note++)
        if (note != NOTE_DOUBLED)
            write_note(f, note, SECRET);
    assert_int_equal(count(f->text, " sid=secret-s..."), NOTES_COUNT - 1);
    assert_int_equal(count(f->text, SECRET), 0);
}

static void takeover_is_no_warning(void **state)
{
    struct fixture *f = *state;
    write_note(f, NOTE_TAKEN_OVER, SECRET);
    assert_non_null(strstr(f->text, "level=info msg=\"session taken over by another relay\" sid="));
}

static void flood_of_one_note_is_told_a_few_times_and_hides_no_other(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < 1000; i++)
        write_note(f, NOTE_TAKEN_OVER, SECRET);
    write_note(f, NOTE_GIVEN_UP, SECRET);
    assert_in_range(count(f->text, "taken over"), 1, 10);
    assert_int_equal(count(f->text, "log of an idle session given up"), 1);
}

static void what_was_held_back_is_told_with_the_next_line(void **state)
{
    struct fixture *f = *state;
    f->journal.limits[NOTE_GAP].interval_ms = UINT64_MAX;
    f->journal.limits[NOTE_GAP].burst = 1;
    write_note(f, NOTE_GAP, SECRET);
    write_note(f, NOTE_GAP, SECRET);
    write_note(f, NOTE_GAP, SECRET);
    f->journal.limits[NOTE_GAP].interval_ms = 0;
    write_note(f, NOTE_GAP, SECRET);
    assert_int_equal(count(f->text, "missed"), 2);
    assert_non_null(strstr(f->text, " suppressed=2\n"));
}

#define promise(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        promise(note_is_a_line_that_names_its_session_shortened),
        promise(note_about_no_session_names_none),
        promise(note_about_a_worker_names_it_and_no_longer_than_needed),
        promise(no_note_of_a_session_shows_its_sid_whole),
        promise(takeover_is_no_warning),
        promise(flood_of_one_note_is_told_a_few_times_and_hides_no_other),
        promise(what_was_held_back_is_told_with_the_next_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
