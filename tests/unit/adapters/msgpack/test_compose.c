/* The events that the relay publishes when a worker is lost, and what ends a prompt in a session's log. */
#include "tests/unit/adapters/msgpack/messages.h"

#include "adapters/msgpack/compose.h"

static void expect_composed(struct composed c, const char *sid, const char *payload)
{
    struct span copy = exact_copy(span_of(c.bytes, c.len));
    struct event event;
    struct frame *frame;
    expect_reason(receive(copy, SPAN_NONE, &event, &frame), DROP_NOTHING);
    assert_int_equal(event.to, TO_SESSION);
    expect_span(event.sid, span_str(sid));
    expect_span(event.worker, SPAN_NONE); /* it would be a sign of life */
    expect_span(frame_payload(frame), span_str(payload));
    assert_true(event_ends_prompt(&event));
    frame_unref(frame);
    free_copy(copy);
    free(c.bytes);
}

static void a_lost_worker_makes_the_error_of_the_contract(void **state)
{
    (void)state;
    struct composed c;
    assert_int_equal(
        compose_worker_lost(span_str("w1"), span_str("s"), span_str("p"), BYTES("\2419"), 1795310959693, &c),
        0);
    expect_composed(
        c, "s",
        "{\"type\":\"execution_error\",\"data\":{\"prompt_id\":\"p\",\"node_id\":\"9\",\"node_type\":\"\","
        "\"executed\":[],\"exception_message\":\"worker w1 was lost\",\"exception_type\":\"WorkerLost\","
        "\"traceback\":[],\"current_inputs\":{},\"current_outputs\":{},\"timestamp\":1795310959693}}");
}

static void an_unknown_node_is_null(void **state)
{
    (void)state;
    struct composed c;
    assert_int_equal(compose_worker_lost(SPAN_NONE, span_str("s"), span_str("p"), SPAN_NONE, 1, &c), 0);
    expect_composed(
        c, "s",
        "{\"type\":\"execution_error\",\"data\":{\"prompt_id\":\"p\",\"node_id\":null,\"node_type\":\"\","
        "\"executed\":[],\"exception_message\":\"worker  was lost\",\"exception_type\":\"WorkerLost\","
        "\"traceback\":[],\"current_inputs\":{},\"current_outputs\":{},\"timestamp\":1}}");
}

static void the_end_is_executing_with_node_null(void **state)
{
    (void)state;
    struct composed c;
    assert_int_equal(compose_end(span_str("s"), span_str("p"), &c), 0);
    expect_composed(c, "s", "{\"type\":\"executing\",\"data\":{\"node\":null,\"prompt_id\":\"p\"}}");
}

/* Composed and read again, and no more. */
static void expect_by(struct composed c, struct span bytes, enum effect effect, const char *name,
                      int64_t opened_ms)
{
    struct span copy = exact_copy(span_of(c.bytes, c.len));
    struct sender sender;
    struct codec *codec = codec_msgpack();
    struct event event;
    expect_span(copy, bytes);
    expect_reason(receive(copy, span_str("s"), &event, NULL), DROP_NOTHING);
    assert_int_equal(event_effect(&event), effect);
    expect_reason(codec->read_sender(codec, event.data, &sender), DROP_NOTHING);
    expect_span(sender.name, span_str(name));
    assert_int_equal(sender.opened_ms, opened_ms);
    free_copy(copy);
    free(c.bytes);
}

static void relays_tell_each_other_by_name(void **state)
{
    (void)state;
    struct composed c;
    struct span name = span_str("0123456789abcdef");
    assert_int_equal(compose_takeover(name, 1526919030474, &c), 0);
    expect_by(c,
              BYTES("\x82" TYPE "\256relay.takeover" DATA "\x82\242by\2600123456789abcdef"
                    "\246opened\xcf\x00\x00\x01\x63\x83\x77\x66\xca"),
              EFFECT_TAKEOVER, "0123456789abcdef", 1526919030474);
    assert_int_equal(compose_left(name, 1, &c), 0);
    expect_by(c,
              BYTES("\x82" TYPE "\252relay.left" DATA "\x82\242by\2600123456789abcdef"
                    "\246opened\x01"),
              EFFECT_LEFT, "0123456789abcdef", 1);
}

#define EVENT(type, data) BYTES("\x82" TYPE type DATA data)
#define PROMPT_P          "\xa9prompt_id\xa1p"

static void the_events_that_end_a_prompt_are_known_in_a_log(void **state)
{
    (void)state;
    struct span p = span_str("p");
    assert_true(compose_log_entry_ends(EVENT("\261execution_success", "\x81" PROMPT_P), p));
    assert_true(compose_log_entry_ends(EVENT("\265execution_interrupted", "\x81" PROMPT_P), p));
    assert_true(compose_log_entry_ends(EVENT("\257execution_error", "\x81" PROMPT_P), p));
    assert_true(compose_log_entry_ends(EVENT("\251executing", "\x82" PROMPT_P "\xa4node" NIL), p));
    assert_true(compose_log_entry_ends(
        BYTES("\x83" TYPE "\261execution_success" SID "\x07" DATA "\x81" PROMPT_P), p));
}

static void what_does_not_end_this_prompt_is_known_too(void **state)
{
    (void)state;
    struct span p = span_str("p");
    assert_false(compose_log_entry_ends(EVENT("\261execution_success", "\x81" PROMPT_P), span_str("q")));
    assert_false(compose_log_entry_ends(EVENT("\261execution_success", "\x80"), p));
    assert_false(compose_log_entry_ends(EVENT("\251executing", "\x82" PROMPT_P "\xa4node\2419"), p));
    assert_false(compose_log_entry_ends(EVENT("\257execution_start", "\x81" PROMPT_P), p));
    assert_false(compose_log_entry_ends(
        EVENT("\257execution_error", "\x82" PROMPT_P "\256exception_type\260ExecutionBlocked"), p));
    assert_false(compose_log_entry_ends(EVENT("\x07", "\xc4\x00"), p));
}

static void a_malformed_entry_ends_nothing(void **state)
{
    (void)state;
    struct span p = span_str("p");
    assert_false(compose_log_entry_ends(SPAN_NONE, p));
    assert_false(compose_log_entry_ends(EVENT("\261execution_success", "\x82" PROMPT_P), p));
    assert_false(compose_log_entry_ends(EVENT("\261execution_success", "\x82" PROMPT_P "\x01\xc1"), p));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_lost_worker_makes_the_error_of_the_contract),
        cmocka_unit_test(an_unknown_node_is_null),
        cmocka_unit_test(the_end_is_executing_with_node_null),
        cmocka_unit_test(relays_tell_each_other_by_name),
        cmocka_unit_test(the_events_that_end_a_prompt_are_known_in_a_log),
        cmocka_unit_test(what_does_not_end_this_prompt_is_known_too),
        cmocka_unit_test(a_malformed_entry_ends_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
