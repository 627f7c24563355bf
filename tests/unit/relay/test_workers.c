/* The workers: shares, liveness, what is said when one is lost. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>

#include "relay/workers.h"

static const uint64_t seed[2] = {1, 2};

/* Writes down what it is told: "w boot=b prompt=p share=3 restart;". */
struct witness {
    struct workers_listener listener;
    char text[1024];
};

static void write_down(struct workers_listener *self, const struct worker *w, const char *what)
{
    struct witness *witness = (struct witness *)self;
    size_t len = strlen(witness->text);
    snprintf(witness->text + len, sizeof witness->text - len, "%.*s boot=%.*s prompt=%.*s share=%lld%s;",
             (int)w->id.len, (const char *)w->id.bytes, (int)w->boot.len, (const char *)w->boot.bytes,
             (int)w->prompt.len, (const char *)w->prompt.bytes, (long long)w->share, what);
}

static void on_lost(struct workers_listener *self, const struct worker *w, enum worker_end how)
{
    static const char *const ends[] = {
        [WORKER_SILENT] = "", [WORKER_RESTARTED] = " restart", [WORKER_LEFT] = " left"};
    write_down(self, w, ends[how]);
}

static void on_doubled(struct workers_listener *self, const struct worker *w)
{
    write_down(self, w, " doubled");
}

struct fixture {
    struct workers workers;
    struct witness witness;
};

static void setup(struct fixture *f)
{
    *f = (struct fixture){.witness = {.listener = {on_lost, on_doubled}}};
    workers_init(&f->workers, seed);
}

static void teardown(struct fixture *f)
{
    workers_deinit(&f->workers);
}

static void share(struct fixture *f, const char *id, int64_t n)
{
    assert_int_equal(workers_share(&f->workers, span_str(id), n, 0), 0);
}

static struct heartbeat beat(const char *boot, int64_t queue_remaining, const char *prompt, int64_t at_ms)
{
    return (struct heartbeat){.boot = span_str(boot),
                              .sid = span_str(prompt[0] ? "a" : ""),
                              .prompt = span_str(prompt),
                              .queue_remaining = queue_remaining,
                              .at_ms = at_ms};
}

static void hear(struct fixture *f, const char *id, struct heartbeat h, uint64_t now_ms)
{
    assert_int_equal(workers_heartbeat(&f->workers, span_str(id), &h, now_ms, &f->witness.listener), 0);
}

static void read_entry(struct fixture *f, const char *id, struct heartbeat h, uint64_t now_ms)
{
    assert_int_equal(workers_entry(&f->workers, span_str(id), &h, now_ms, &f->witness.listener), 0);
}

static void expire(struct fixture *f, uint64_t now_ms)
{
    workers_expire(&f->workers, now_ms, 1000, &f->witness.listener);
}

static void the_sum_is_that_of_all_shares(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f);
    assert_int_equal(f.workers.sum, 0);
    share(&f, "w", 3);
    share(&f, "v", 4);
    assert_int_equal(f.workers.sum, 7);
    share(&f, "w", 1);
    assert_int_equal(f.workers.sum, 5);
    assert_int_equal(f.workers.count, 2);
    teardown(&f);
}

static void shares_without_a_worker_are_those_of_one_without_a_name(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f);
    share(&f, "", 3);
    share(&f, "", 2);
    assert_int_equal(f.workers.sum, 2);
    assert_int_equal(f.workers.count, 1);
    teardown(&f);
}

static void workers_beyond_the_bound_are_refused(void **state)
{
    (void)state;
    struct fixture f;
    char id[16];
    setup(&f);
    for (int i = 0; i < WORKERS_MAX; i++) {
        snprintf(id, sizeof id, "w%d", i);
        share(&f, id, 1);
    }
    assert_int_equal(workers_share(&f.workers, span_str("one more"), 1, 0), -ENOBUFS);
    assert_int_equal(f.workers.sum, WORKERS_MAX);
    share(&f, "w7", 3);
    assert_int_equal(f.workers.sum, WORKERS_MAX + 2);
    teardown(&f);
}

static void huge_shares_do_not_overflow(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f);
    share(&f, "w", INT64_MAX);
    share(&f, "v", INT64_MAX);
    assert_int_equal(f.workers.sum, 2 * WORKERS_SHARE_MAX);
    share(&f, "w", 1);
    share(&f, "v", 1);
    assert_int_equal(f.workers.sum, 2);
    teardown(&f);
}

static void a_heartbeat_carries_a_share(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f);
    share(&f, "w", 3);
    hear(&f, "w", beat("b", 5, "", 1), 0);
    assert_int_equal(f.workers.sum, 5);
    assert_string_equal(f.witness.text, "");
    teardown(&f);
}

static void a_silent_worker_is_lost_once_with_its_share(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f);
    hear(&f, "w", beat("b", 5, "p", 1), 100);
    share(&f, "v", 2);
    expire(&f, 1099);
    assert_string_equal(f.witness.text, "");
    expire(&f, 1100);
    assert_string_equal(f.witness.text, "w boot=b prompt=p share=5;");
    assert_int_equal(f.workers.sum, 2);
    expire(&f, 5000);
    assert_string_equal(f.witness.text, "w boot=b prompt=p share=5;");
    teardown(&f);
}

static void several_are_lost_at_once(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f);
    const char *ids[] = {"u", "v", "w", "x"};
    for (int i = 0; i < 4; i++)
        hear(&f, ids[i], beat("b", 1, "", 1), i == 2 ? 500 : 0);
    expire(&f, 1000);
    assert_int_equal(f.workers.count, 1);
    assert_int_equal(f.workers.sum, 1);
    assert_non_null(strstr(f.witness.text, "u boot"));
    assert_non_null(strstr(f.witness.text, "v boot"));
    assert_non_null(strstr(f.witness.text, "x boot"));
    assert_null(strstr(f.witness.text, "w boot"));
    teardown(&f);
}

static void any_event_is_a_sign_of_life(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f);
    hear(&f, "w", beat("b", 5, "", 1), 0);
    assert_int_equal(workers_share(&f.workers, span_str("w"), 4, 500), 0);
    workers_saw(&f.workers, span_str("w"), 900);
    workers_saw(&f.workers, span_str("unknown"), 900);
    expire(&f, 1899);
    assert_string_equal(f.witness.text, "");
    assert_int_equal(f.workers.count, 1);
    expire(&f, 1900);
    assert_int_equal(f.workers.count, 0);
    teardown(&f);
}

static void one_that_never_sent_a_heartbeat_is_never_lost(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f);
    share(&f, "", 3);
    share(&f, "w", 4);
    assert_int_equal(workers_next_ms(&f.workers, 1000), UINT64_MAX);
    expire(&f, 1000000);
    assert_int_equal(f.workers.sum, 7);
    teardown(&f);
}

static void another_boot_is_a_restart_and_told_before_the_entry_changes(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f);
    hear(&f, "w", beat("b", 5, "p", 1), 0);
    hear(&f, "w", beat("b2", 1, "", 2), 10);
    assert_string_equal(f.witness.text, "w boot=b prompt=p share=5 restart;");
    assert_int_equal(f.workers.sum, 1);
    hear(&f, "w", beat("b2", 1, "", 3), 20);
    assert_string_equal(f.witness.text, "w boot=b prompt=p share=5 restart;");
    assert_int_equal(f.workers.count, 1);
    teardown(&f);
}

static void one_that_leaves_in_good_order_is_not_lost(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f);
    hear(&f, "w", beat("b", 5, "", 1), 0);
    hear(&f, "v", beat("b", 2, "", 1), 0);
    hear(&f, "w", (struct heartbeat){.is_gone = true}, 10);
    hear(&f, "stranger", (struct heartbeat){.is_gone = true}, 10);
    assert_string_equal(f.witness.text, "");
    assert_int_equal(f.workers.sum, 2);
    assert_int_equal(f.workers.count, 1);
    teardown(&f);
}

static void one_that_leaves_in_mid_prompt_is_told_of_once(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f);
    hear(&f, "w", beat("b", 5, "p", 1), 0);
    hear(&f, "v", beat("b", 2, "q", 1), 0);
    workers_prompt_ended(&f.workers, SPAN_NONE, span_str("q"));
    for (int i = 0; i < 2; i++) {
        hear(&f, "w", (struct heartbeat){.is_gone = true}, 10);
        hear(&f, "v", (struct heartbeat){.is_gone = true}, 10);
    }
    assert_string_equal(f.witness.text, "w boot=b prompt=p share=5 left;");
    assert_int_equal(f.workers.sum, 0);
    assert_int_equal(f.workers.count, 0);
    teardown(&f);
}

/* Only the first change looks like a restart. */
static void two_processes_with_one_id_end_no_prompt_of_each_other(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f);
    hear(&f, "w", beat("a", 1, "", 1), 0);
    hear(&f, "w", beat("b", 2, "p", 2), 0);
    hear(&f, "w", beat("b", 2, "p", 3), 0);
    hear(&f, "w", beat("a", 1, "q", 4), 0);
    assert_int_equal(f.workers.sum, 1);
    hear(&f, "w", beat("b", 2, "p", 5), 0);
    assert_string_equal(f.witness.text, "w boot=a prompt= share=1 restart;"
                                        "w boot=b prompt=p share=2 doubled;"
                                        "w boot=a prompt=q share=1 doubled;");
    assert_int_equal(f.workers.sum, 2);
    assert_int_equal(f.workers.count, 1);
    teardown(&f);
}

static void the_goodbye_of_one_of_two_processes_ends_no_prompt_of_the_other(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f);
    hear(&f, "w", beat("a", 1, "", 1), 0);
    hear(&f, "w", beat("b", 1, "", 2), 0);
    hear(&f, "w", beat("a", 1, "p", 3), 0);
    f.witness.text[0] = '\0';
    hear(&f, "w", (struct heartbeat){.is_gone = true}, 10);
    hear(&f, "w", beat("a", 1, "p", 4), 0);
    assert_string_equal(f.witness.text, "");
    assert_int_equal(f.workers.sum, 1);
    teardown(&f);
}

static void an_entry_of_the_other_of_two_processes_is_no_restart(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f);
    read_entry(&f, "w", beat("a", 1, "", 1), 0);
    hear(&f, "w", beat("b", 2, "p", 2), 0);
    read_entry(&f, "w", beat("a", 1, "", 3), 0);
    assert_string_equal(f.witness.text,
                        "w boot=a prompt= share=1 restart;w boot=b prompt=p share=2 doubled;");
    teardown(&f);
}

static char *boot_name(char name[16], int i)
{
    snprintf(name, 16, "b%d", i);
    return name;
}

static void as_many_processes_as_boots_are_known_end_no_prompt_of_each_other(void **state)
{
    (void)state;
    struct fixture f;
    char name[16];
    setup(&f);
    for (int i = 0; i <= WORKER_BOOTS; i++)
        hear(&f, "w", beat(boot_name(name, i), 1, "", i), 0);
    f.witness.text[0] = '\0';
    for (int i = 0; i <= WORKER_BOOTS; i++)
        hear(&f, "w", beat(boot_name(name, i), 1, "p", 100 + i), 0);
    assert_non_null(strstr(f.witness.text, "doubled"));
    assert_null(strstr(f.witness.text, "restart"));
    teardown(&f);
}

static void a_new_boot_is_a_restart_after_two_processes_too(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f);
    hear(&f, "w", beat("a", 1, "", 1), 0);
    hear(&f, "w", beat("b", 1, "", 2), 0);
    hear(&f, "w", beat("a", 1, "p", 3), 0);
    f.witness.text[0] = '\0';
    hear(&f, "w", beat("c", 1, "", 4), 0);
    assert_string_equal(f.witness.text, "w boot=a prompt=p share=1 restart;");
    teardown(&f);
}

/* It was silent for too long and goes on: what it executes was given up, and stays so when it ends. */
static void a_lost_worker_that_goes_on_is_known_again(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f);
    hear(&f, "w", beat("b", 5, "p", 1), 0);
    expire(&f, 1000);
    assert_string_equal(f.witness.text, "w boot=b prompt=p share=5;");
    workers_saw(&f.workers, span_str("w"), 1100);
    assert_int_equal(f.workers.count, 0);
    hear(&f, "w", beat("b", 5, "p", 2), 1200);
    assert_int_equal(f.workers.sum, 5);
    workers_prompt_ended(&f.workers, span_str("w"), span_str("p"));
    hear(&f, "w", beat("b", 4, "", 3), 1300);
    expire(&f, 2299);
    assert_int_equal(f.workers.count, 1);
    assert_string_equal(f.witness.text, "w boot=b prompt=p share=5;");
    teardown(&f);
}

static void after_an_outage_everyone_gets_the_whole_time_again(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f);
    hear(&f, "w", beat("b", 5, "", 1), 0);
    workers_pardon(&f.workers, 60000);
    expire(&f, 60999);
    assert_int_equal(f.workers.count, 1);
    expire(&f, 61000);
    assert_int_equal(f.workers.count, 0);
    teardown(&f);
}

static void an_entry_of_an_unknown_worker_gives_it_the_whole_time(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f);
    read_entry(&f, "w", beat("b", 5, "p", 1), 5000);
    assert_int_equal(f.workers.sum, 5);
    expire(&f, 5999);
    assert_string_equal(f.witness.text, "");
    expire(&f, 6000);
    assert_string_equal(f.witness.text, "w boot=b prompt=p share=5;");
    teardown(&f);
}

static void an_entry_that_is_older_than_a_heartbeat_does_not_count(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f);
    hear(&f, "w", beat("b2", 1, "q", 20), 0);
    read_entry(&f, "w", beat("b", 5, "p", 19), 10);
    assert_string_equal(f.witness.text, "");
    assert_int_equal(f.workers.sum, 1);
    read_entry(&f, "w", beat("b2", 2, "q", 21), 10);
    assert_int_equal(f.workers.sum, 2);
    teardown(&f);
}

static void an_entry_with_another_boot_is_a_restart(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f);
    hear(&f, "w", beat("b", 5, "p", 1), 0);
    read_entry(&f, "w", beat("b2", 1, "", 2), 10);
    assert_string_equal(f.witness.text, "w boot=b prompt=p share=5 restart;");
    teardown(&f);
}

static void an_entry_counts_for_one_that_only_sent_its_share(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f);
    share(&f, "w", 9);
    read_entry(&f, "w", beat("b", 5, "", -5), 0);
    assert_int_equal(f.workers.sum, 5);
    assert_int_equal(workers_next_ms(&f.workers, 1000), 1000);
    teardown(&f);
}

static void a_prompt_that_ended_is_not_ended_again_when_its_worker_is_lost(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f);
    hear(&f, "w", beat("b", 5, "p", 1), 0);
    hear(&f, "v", beat("b", 2, "q", 1), 500);
    workers_prompt_ended(&f.workers, SPAN_NONE, SPAN_NONE);
    workers_prompt_ended(&f.workers, SPAN_NONE, span_str("p"));
    expire(&f, 1000);
    assert_string_equal(f.witness.text, "w boot=b prompt= share=5;");
    expire(&f, 1500);
    assert_string_equal(f.witness.text, "w boot=b prompt= share=5;v boot=b prompt=q share=2;");
    teardown(&f);
}

static void a_heartbeat_that_still_names_an_ended_prompt_does_not_bring_it_back(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f);
    hear(&f, "w", beat("b", 1, "", 1), 0);
    workers_prompt_ended(&f.workers, span_str("w"), span_str("p"));
    hear(&f, "w", beat("b", 1, "p", 2), 0);
    read_entry(&f, "w", beat("b", 1, "p", 2), 0);
    hear(&f, "v", beat("b", 1, "q", 1), 0);
    workers_prompt_ended(&f.workers, SPAN_NONE, span_str("q"));
    read_entry(&f, "v", beat("b", 1, "q", 1), 0);
    expire(&f, 1000);
    assert_string_equal(f.witness.text, "v boot=b prompt= share=1;w boot=b prompt= share=1;");
    teardown(&f);
}

static void the_end_of_one_prompt_does_not_hide_another_that_its_worker_runs(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f);
    hear(&f, "w", beat("b", 1, "p", 1), 0);
    hear(&f, "w", beat("b", 1, "q", 2), 0);
    workers_prompt_ended(&f.workers, span_str("w"), span_str("p"));
    expire(&f, 1000);
    assert_string_equal(f.witness.text, "w boot=b prompt=q share=1;");
    teardown(&f);
}

static void the_next_expiry_is_that_of_the_one_silent_longest(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f);
    assert_int_equal(workers_next_ms(&f.workers, 1000), UINT64_MAX);
    hear(&f, "w", beat("b", 5, "", 1), 300);
    hear(&f, "v", beat("b", 5, "", 1), 100);
    assert_int_equal(workers_next_ms(&f.workers, 1000), 1100);
    workers_saw(&f.workers, span_str("v"), 700);
    expire(&f, 1100); /* nobody is lost: it only looks again */
    assert_string_equal(f.witness.text, "");
    assert_int_equal(workers_next_ms(&f.workers, 1000), 1300);
    teardown(&f);
}

static void a_thousand_workers_are_told_apart(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f);
    char id[32];
    for (int i = 0; i < 1000; i++) {
        snprintf(id, sizeof id, "worker-%d", i);
        share(&f, id, i);
    }
    assert_int_equal(f.workers.sum, 499500);
    share(&f, "worker-999", 0);
    assert_int_equal(f.workers.sum, 498501);
    assert_int_equal(f.workers.count, 1000);
    teardown(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_sum_is_that_of_all_shares),
        cmocka_unit_test(shares_without_a_worker_are_those_of_one_without_a_name),
        cmocka_unit_test(workers_beyond_the_bound_are_refused),
        cmocka_unit_test(huge_shares_do_not_overflow),
        cmocka_unit_test(a_heartbeat_carries_a_share),
        cmocka_unit_test(a_silent_worker_is_lost_once_with_its_share),
        cmocka_unit_test(several_are_lost_at_once),
        cmocka_unit_test(any_event_is_a_sign_of_life),
        cmocka_unit_test(one_that_never_sent_a_heartbeat_is_never_lost),
        cmocka_unit_test(another_boot_is_a_restart_and_told_before_the_entry_changes),
        cmocka_unit_test(one_that_leaves_in_good_order_is_not_lost),
        cmocka_unit_test(one_that_leaves_in_mid_prompt_is_told_of_once),
        cmocka_unit_test(two_processes_with_one_id_end_no_prompt_of_each_other),
        cmocka_unit_test(the_goodbye_of_one_of_two_processes_ends_no_prompt_of_the_other),
        cmocka_unit_test(an_entry_of_the_other_of_two_processes_is_no_restart),
        cmocka_unit_test(as_many_processes_as_boots_are_known_end_no_prompt_of_each_other),
        cmocka_unit_test(a_new_boot_is_a_restart_after_two_processes_too),
        cmocka_unit_test(a_lost_worker_that_goes_on_is_known_again),
        cmocka_unit_test(after_an_outage_everyone_gets_the_whole_time_again),
        cmocka_unit_test(an_entry_of_an_unknown_worker_gives_it_the_whole_time),
        cmocka_unit_test(an_entry_that_is_older_than_a_heartbeat_does_not_count),
        cmocka_unit_test(an_entry_with_another_boot_is_a_restart),
        cmocka_unit_test(an_entry_counts_for_one_that_only_sent_its_share),
        cmocka_unit_test(a_prompt_that_ended_is_not_ended_again_when_its_worker_is_lost),
        cmocka_unit_test(a_heartbeat_that_still_names_an_ended_prompt_does_not_bring_it_back),
        cmocka_unit_test(the_end_of_one_prompt_does_not_hide_another_that_its_worker_runs),
        cmocka_unit_test(the_next_expiry_is_that_of_the_one_silent_longest),
        cmocka_unit_test(a_thousand_workers_are_told_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
