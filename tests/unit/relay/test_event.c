/* What an event does, which ends a prompt, and the table of classes, row by row. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "relay/event.h"

static const uint64_t seed[2] = {3, 4};

static struct event text_event(const char *type)
{
    return (struct event){.type = span_str(type), .to = TO_ALL};
}

/* Fields that are not named are absent. */
static struct event of(const char *type, const char *prompt, const char *node)
{
    struct event e = text_event(type);
    e.prompt = span_str(prompt);
    e.node = span_str(node);
    return e;
}

static struct event binary(uint32_t code, enum picture picture, const char *node)
{
    return (struct event){.is_binary = true, .code = code, .picture = picture, .node = span_str(node)};
}

static struct event wishing(struct event e, enum keep_wish keep)
{
    e.keep = keep;
    return e;
}

static struct event from_worker(struct event e, const char *worker)
{
    e.worker = span_str(worker);
    return e;
}

static uint64_t key(struct event e)
{
    return event_conflation_key(&e, seed);
}

static enum effect effect(struct event e)
{
    return event_effect(&e);
}

static bool ends(struct event e)
{
    return event_ends_prompt(&e);
}

static void effects_follow_from_the_type(void **state)
{
    (void)state;
    assert_int_equal(effect(text_event("execution_start")), EFFECT_START);
    assert_int_equal(effect(text_event("executing")), EFFECT_EXECUTING);
    assert_int_equal(effect(text_event("execution_success")), EFFECT_END);
    assert_int_equal(effect(text_event("execution_interrupted")), EFFECT_END);
    assert_int_equal(effect(text_event("execution_error")), EFFECT_ERROR);
    assert_int_equal(effect(text_event("status")), EFFECT_STATUS);
    assert_int_equal(effect(text_event("relay.worker")), EFFECT_WORKER);
    assert_int_equal(effect(text_event("relay.takeover")), EFFECT_TAKEOVER);
    assert_int_equal(effect(text_event("relay.left")), EFFECT_LEFT);
    assert_int_equal(effect(text_event("relay.taken")), EFFECT_CONTRACT);
    assert_int_equal(effect(text_event("relay.")), EFFECT_CONTRACT);
}

static void other_types_have_no_effect(void **state)
{
    (void)state;
    const char *others[] = {"progress", "executed", "execution_cached", "execution_starts",
                            "executin", "relay",    "relayed.worker",   "Status",
                            "",         "logs"};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        assert_int_equal(effect(text_event(others[i])), EFFECT_NONE);
    assert_int_equal(effect(binary(1, PICTURE_JPEG, "")), EFFECT_NONE);
}

static void a_prompt_ends_with_success_interruption_or_error(void **state)
{
    (void)state;
    assert_true(ends(text_event("execution_success")));
    assert_true(ends(text_event("execution_interrupted")));
    assert_true(ends(text_event("execution_error")));
    assert_false(ends(text_event("execution_start")));
    assert_false(ends(text_event("execution_cached")));
    assert_false(ends(text_event("executed")));
    assert_false(ends(text_event("status")));
}

static void executing_without_a_node_ends_a_prompt_and_with_one_does_not(void **state)
{
    (void)state;
    assert_true(ends(of("executing", "p", "")));
    assert_false(ends(of("executing", "p", "1")));
}

static void execution_blocked_does_not_end_a_prompt(void **state)
{
    (void)state;
    struct event e = text_event("execution_error");
    e.is_blocked = true;
    assert_false(ends(e));
    struct event success = text_event("execution_success");
    success.is_blocked = true;
    assert_true(ends(success));
}

static void progress_is_one_for_each_prompt_and_node(void **state)
{
    (void)state;
    uint64_t k = key(of("progress", "p", "1"));
    assert_int_not_equal(k, 0);
    assert_int_equal(k, key(of("progress", "p", "1")));
    assert_int_equal(k, key(from_worker(of("progress", "p", "1"), "w")));
    assert_int_not_equal(k, key(of("progress", "q", "1")));
    assert_int_not_equal(k, key(of("progress", "p", "2")));
    assert_int_not_equal(k, key(of("progress_state", "p", "1")));
    assert_int_not_equal(key(of("progress", "1", "p")), k);
}

static void progress_without_a_node_is_a_marker_and_is_kept(void **state)
{
    (void)state;
    assert_int_equal(key(of("progress", "p", "")), 0);
}

static void progress_state_is_one_for_each_prompt(void **state)
{
    (void)state;
    uint64_t k = key(of("progress_state", "p", ""));
    assert_int_not_equal(k, 0);
    assert_int_equal(k, key(of("progress_state", "p", "1")));
    assert_int_not_equal(k, key(of("progress_state", "q", "")));
}

static void crystools_monitor_is_one_for_each_worker(void **state)
{
    (void)state;
    uint64_t k = key(from_worker(text_event("crystools.monitor"), "w"));
    assert_int_not_equal(k, 0);
    assert_int_equal(k, key(from_worker(of("crystools.monitor", "p", "1"), "w")));
    assert_int_not_equal(k, key(from_worker(text_event("crystools.monitor"), "v")));
    assert_int_not_equal(k, key(text_event("crystools.monitor")));
}

static void jpeg_previews_of_a_node_share_one_key_whatever_their_code(void **state)
{
    (void)state;
    uint64_t k = key(binary(4, PICTURE_JPEG, "1"));
    assert_int_not_equal(k, 0);
    assert_int_equal(k, key(binary(1, PICTURE_JPEG, "1")));
    assert_int_equal(k, key(binary(2, PICTURE_JPEG, "1")));
    assert_int_not_equal(k, key(binary(4, PICTURE_JPEG, "2")));
    uint64_t none = key(binary(1, PICTURE_JPEG, ""));
    assert_int_not_equal(none, 0);
    assert_int_not_equal(none, k);
    assert_int_equal(none, key(binary(2, PICTURE_JPEG, "")));
}

static void pictures_that_are_not_jpeg_may_be_results_and_are_kept(void **state)
{
    (void)state;
    assert_int_equal(key(binary(1, PICTURE_OTHER, "")), 0);
    assert_int_equal(key(binary(4, PICTURE_OTHER, "1")), 0);
    assert_int_equal(key(binary(2, PICTURE_NONE, "")), 0);
}

static void everything_else_is_kept(void **state)
{
    (void)state;
    assert_int_equal(key(binary(3, PICTURE_NONE, "")), 0);
    assert_int_equal(key(binary(10, PICTURE_NONE, "")), 0);
    const char *others[] = {
        "execution_start", "execution_cached",      "executing",    "executed", "execution_success",
        "execution_error", "execution_interrupted", "notification", "logs",     "",
        "progress_stat"};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        assert_int_equal(key(of(others[i], "p", "1")), 0);
}

static void keep_true_keeps_what_would_be_conflated(void **state)
{
    (void)state;
    assert_int_equal(key(wishing(of("progress", "p", "1"), KEEP_ALWAYS)), 0);
    assert_int_equal(key(wishing(of("progress_state", "p", ""), KEEP_ALWAYS)), 0);
    assert_int_equal(key(wishing(text_event("crystools.monitor"), KEEP_ALWAYS)), 0);
    assert_int_equal(key(wishing(binary(1, PICTURE_JPEG, ""), KEEP_ALWAYS)), 0);
}

static void keep_false_conflates_any_type_by_prompt_and_node(void **state)
{
    (void)state;
    uint64_t k = key(wishing(of("my.type", "p", "1"), KEEP_NEWEST));
    assert_int_not_equal(k, 0);
    assert_int_equal(k, key(wishing(of("my.type", "p", "1"), KEEP_NEWEST)));
    assert_int_not_equal(k, key(wishing(of("my.type", "q", "1"), KEEP_NEWEST)));
    assert_int_not_equal(k, key(wishing(of("my.type", "p", "2"), KEEP_NEWEST)));
    assert_int_not_equal(k, key(wishing(of("my.typf", "p", "1"), KEEP_NEWEST)));
    assert_int_not_equal(key(wishing(of("progress", "p", ""), KEEP_NEWEST)), 0);
}

static void keep_false_on_binary_events_conflates_by_code(void **state)
{
    (void)state;
    uint64_t k = key(wishing(binary(10, PICTURE_NONE, ""), KEEP_NEWEST));
    assert_int_not_equal(k, 0);
    assert_int_equal(k, key(wishing(binary(10, PICTURE_NONE, ""), KEEP_NEWEST)));
    assert_int_not_equal(k, key(wishing(binary(11, PICTURE_NONE, ""), KEEP_NEWEST)));
}

static void keep_false_changes_no_key_of_the_table(void **state)
{
    (void)state;
    assert_int_equal(key(wishing(of("progress", "p", "1"), KEEP_NEWEST)), key(of("progress", "p", "1")));
    assert_int_equal(key(wishing(of("progress_state", "p", ""), KEEP_NEWEST)),
                     key(of("progress_state", "p", "")));
    assert_int_equal(key(wishing(binary(4, PICTURE_JPEG, "1"), KEEP_NEWEST)),
                     key(binary(4, PICTURE_JPEG, "1")));
}

static void keys_depend_on_the_seed(void **state)
{
    (void)state;
    const uint64_t other[2] = {5, 6};
    struct event e = of("progress", "p", "1"), picture = binary(1, PICTURE_JPEG, "");
    assert_int_not_equal(event_conflation_key(&e, seed), event_conflation_key(&e, other));
    assert_int_not_equal(event_conflation_key(&picture, seed), event_conflation_key(&picture, other));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(effects_follow_from_the_type),
        cmocka_unit_test(other_types_have_no_effect),
        cmocka_unit_test(a_prompt_ends_with_success_interruption_or_error),
        cmocka_unit_test(executing_without_a_node_ends_a_prompt_and_with_one_does_not),
        cmocka_unit_test(execution_blocked_does_not_end_a_prompt),
        cmocka_unit_test(progress_is_one_for_each_prompt_and_node),
        cmocka_unit_test(progress_without_a_node_is_a_marker_and_is_kept),
        cmocka_unit_test(progress_state_is_one_for_each_prompt),
        cmocka_unit_test(crystools_monitor_is_one_for_each_worker),
        cmocka_unit_test(jpeg_previews_of_a_node_share_one_key_whatever_their_code),
        cmocka_unit_test(pictures_that_are_not_jpeg_may_be_results_and_are_kept),
        cmocka_unit_test(everything_else_is_kept),
        cmocka_unit_test(keep_true_keeps_what_would_be_conflated),
        cmocka_unit_test(keep_false_conflates_any_type_by_prompt_and_node),
        cmocka_unit_test(keep_false_on_binary_events_conflates_by_code),
        cmocka_unit_test(keep_false_changes_no_key_of_the_table),
        cmocka_unit_test(keys_depend_on_the_seed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
