#include <setjmp.h>
#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "adapters/redis/batch.h"
#include "adapters/redis/keys.h"
#include "relay/sid.h"

static void expect_key(const struct key *k, const char *want)
{
    char got[KEY_MAX + 1] = "";
    memcpy(got, k->bytes, k->len);
    assert_string_equal(got, want);
}

static void keys_are_named_as_the_contract_says(void **state)
{
    (void)state;
    struct key k;
    key_common(&k, "comfy", "workers");
    expect_key(&k, "comfy:workers");
    key_session(&k, "site", span_str("abc"), "");
    expect_key(&k, "site:sid:{abc}");
    key_session(&k, "comfy", span_str("abc"), ":latest");
    expect_key(&k, "comfy:sid:{abc}:latest");
    assert_int_equal(key_lost(&k, "comfy", span_str("p1")), 0);
    expect_key(&k, "comfy:lost:p1");
}

static void longest_prefix_and_sid_fit(void **state)
{
    (void)state;
    char prefix[KEY_PREFIX_MAX + 1] = "", sid[SID_MAX_BYTES + 1] = "";
    memset(prefix, 'p', KEY_PREFIX_MAX);
    memset(sid, 's', SID_MAX_BYTES);
    struct key k, head;
    key_session(&k, prefix, span_str(sid), "");
    key_session_head(&head, prefix);
    assert_true(span_equals(key_sid(&head, key_span(&k)), span_str(sid)));
    key_session(&k, prefix, span_str(sid), ":latest");
    assert_int_equal(k.len, KEY_PREFIX_MAX + strlen(":sid:{}:latest") + SID_MAX_BYTES);
}

static void overlong_prompt_id_has_no_key(void **state)
{
    (void)state;
    char prompt[KEY_MAX + 1] = "";
    memset(prompt, 'x', KEY_MAX);
    struct key k;
    assert_int_equal(key_lost(&k, "comfy", span_str(prompt)), -ENAMETOOLONG);
}

static void only_a_sessions_channel_has_a_sid(void **state)
{
    (void)state;
    struct key head;
    key_session_head(&head, "comfy");
    assert_true(span_is(key_sid(&head, span_str("comfy:sid:{a}")), "a"));
    const char *others[] = {"comfy:events",      "comfy:sid:{}",  "comfy:sid:{",
                            "comfy:sid:{a}:log", "other:sid:{a}", ""};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        assert_int_equal(key_sid(&head, span_str(others[i])).len, 0);
}

static void batch_is_full_at_its_number_of_channels(void **state)
{
    (void)state;
    static struct batch b;
    batch_clear(&b);
    for (int i = 0; i < BATCH_CHANNELS; i++)
        assert_true(batch_add(&b, BATCH_SUBSCRIBE, span_str("channel")));
    assert_false(batch_add(&b, BATCH_SUBSCRIBE, span_str("channel")));
    assert_int_equal(b.count, BATCH_CHANNELS);
    assert_true(span_is(b.args[0], "SUBSCRIBE"));
    assert_true(span_is(b.args[BATCH_CHANNELS], "channel"));
}

static void batch_is_full_when_its_names_are(void **state)
{
    (void)state;
    static struct batch b;
    static char name[BATCH_BYTES];
    batch_clear(&b);
    assert_true(batch_add(&b, BATCH_SUBSCRIBE, span_of(name, sizeof name - 3)));
    assert_false(batch_add(&b, BATCH_SUBSCRIBE, span_str("four")));
    assert_true(batch_add(&b, BATCH_SUBSCRIBE, span_str("two")));
}

static void batch_keeps_the_order_of_verbs(void **state)
{
    (void)state;
    static struct batch b;
    batch_clear(&b);
    assert_true(batch_add(&b, BATCH_SUBSCRIBE, span_str("a")));
    assert_false(batch_add(&b, BATCH_UNSUBSCRIBE, span_str("a")));
    batch_clear(&b);
    assert_true(batch_add(&b, BATCH_UNSUBSCRIBE, span_str("a")));
    assert_true(span_is(b.args[0], "UNSUBSCRIBE"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_are_named_as_the_contract_says),
        cmocka_unit_test(longest_prefix_and_sid_fit),
        cmocka_unit_test(overlong_prompt_id_has_no_key),
        cmocka_unit_test(only_a_sessions_channel_has_a_sid),
        cmocka_unit_test(batch_is_full_at_its_number_of_channels),
        cmocka_unit_test(batch_is_full_when_its_names_are),
        cmocka_unit_test(batch_keeps_the_order_of_verbs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
