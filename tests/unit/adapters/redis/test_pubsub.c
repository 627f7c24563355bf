#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "adapters/redis/pubsub.h"

#define GIANT (5 << 20)

/* What the parser told, as text. */
struct told {
    struct pubsub_user user;
    struct pubsub pubsub;
    char text[4096];
    size_t giants;
};

static void say(struct told *t, const char *what, struct span a, struct span b)
{
    size_t used = strlen(t->text);
    snprintf(t->text + used, sizeof t->text - used, "%s %.*s %.*s\n", what, (int)a.len, (const char *)a.bytes,
             (int)b.len, b.len > 0 ? (const char *)b.bytes : "");
}

static struct told *told_of(struct pubsub_user *user)
{
    return (struct told *)((char *)user - offsetof(struct told, user));
}

static void on_message(struct pubsub_user *user, struct span channel, struct span payload)
{
    if (payload.len == GIANT && payload.bytes[0] == 'x' && payload.bytes[GIANT - 1] == 'y')
        told_of(user)->giants++;
    else
        say(told_of(user), "message", channel, payload);
}

static void on_subscribed(struct pubsub_user *user, struct span channel)
{
    say(told_of(user), "subscribed", channel, SPAN_NONE);
}

static void on_pong(struct pubsub_user *user, struct span payload)
{
    say(told_of(user), "pong", payload, SPAN_NONE);
}

static void on_error(struct pubsub_user *user, struct span text)
{
    say(told_of(user), "error", text, SPAN_NONE);
}

static void open_parser(struct told *t)
{
    *t = (struct told){.user = {on_message, on_subscribed, on_pong, on_error}};
    pubsub_init(&t->pubsub, &t->user);
}

static const char stream[] = "*3\r\n$9\r\nsubscribe\r\n$12\r\ncomfy:events\r\n:1\r\n"
                             "*3\r\n$7\r\nmessage\r\n$12\r\ncomfy:events\r\n$5\r\nhello\r\n"
                             "*2\r\n$4\r\npong\r\n$0\r\n\r\n"
                             "*2\r\n$4\r\npong\r\n$2\r\n17\r\n"
                             "*3\r\n$7\r\nmessage\r\n$3\r\na:b\r\n$0\r\n\r\n"
                             "*3\r\n$11\r\nunsubscribe\r\n$3\r\na:b\r\n:1\r\n"
                             "-NOPERM no\r\n"
                             "*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$4\r\n\r\n*1\r\n";
static const char told_of_stream[] =
    "subscribed comfy:events \nmessage comfy:events hello\npong  \npong 17 \nmessage a:b \n"
    "error NOPERM no \nmessage c \r\n*1\n";

static void stream_cut_anywhere_says_the_same(void **state)
{
    (void)state;
    struct span all = span_str(stream);
    for (size_t cut = 0; cut <= all.len; cut++) {
        struct told t;
        open_parser(&t);
        assert_int_equal(pubsub_feed(&t.pubsub, span_of(all.bytes, cut)), 0);
        assert_int_equal(pubsub_feed(&t.pubsub, span_of(all.bytes + cut, all.len - cut)), 0);
        assert_string_equal(t.text, told_of_stream);
        pubsub_deinit(&t.pubsub);
    }
}

static void stream_byte_by_byte_says_the_same(void **state)
{
    (void)state;
    struct told t;
    open_parser(&t);
    for (const char *at = stream; *at; at++)
        assert_int_equal(pubsub_feed(&t.pubsub, span_of(at, 1)), 0);
    assert_string_equal(t.text, told_of_stream);
    pubsub_deinit(&t.pubsub);
}

static void replies_of_other_shapes_are_stepped_over(void **state)
{
    (void)state;
    const char *others = "+PONG\r\n:7\r\n$-1\r\n*-1\r\n*0\r\n$5\r\nhello\r\n"
                         "*2\r\n$7\r\nmessage\r\n$1\r\na\r\n"
                         "*3\r\n$7\r\nmessage\r\n$1\r\na\r\n:5\r\n"
                         "*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$-1\r\n"
                         "*4\r\n$8\r\npmessage\r\n$1\r\n*\r\n$1\r\na\r\n$1\r\nb\r\n"
                         "*3\r\n*1\r\n$7\r\nmessage\r\n$1\r\na\r\n$1\r\nb\r\n"
                         "*3\r\n$7\r\nmessage\r\n$1\r\na\r\n*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$1\r\nb\r\n"
                         "*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$4\r\nlast\r\n";
    struct told t;
    open_parser(&t);
    assert_int_equal(pubsub_feed(&t.pubsub, span_str(others)), 0);
    assert_string_equal(t.text, "message a last\n");
    pubsub_deinit(&t.pubsub);
}

static void overlong_channel_is_none_of_ours(void **state)
{
    (void)state;
    char message[2 * PUBSUB_CHANNEL_MAX];
    for (int len = PUBSUB_CHANNEL_MAX; len <= PUBSUB_CHANNEL_MAX + 1; len++) {
        struct told t;
        open_parser(&t);
        snprintf(message, sizeof message, "*3\r\n$7\r\nmessage\r\n$%d\r\n%0*d\r\n$2\r\nok\r\n", len, len, 0);
        assert_int_equal(pubsub_feed(&t.pubsub, span_str(message)), 0);
        assert_int_equal(t.text[0] != '\0', len == PUBSUB_CHANNEL_MAX);
        pubsub_deinit(&t.pubsub);
    }
}

static void garbage_is_a_protocol_error(void **state)
{
    (void)state;
    const char *garbage[] = {"HTTP/1.1 400 Bad Request\r\n",
                             "*3\r\nx",
                             "$99999999999999999999\r\n",
                             "*-7\r\n",
                             "$-2\r\n",
                             "*2147483648\r\n",
                             "*\r\n",
                             ":-\r\n",
                             ":1x\r\n",
                             "+\n",
                             "*1\n",
                             "$1\r\nab\r\n",
                             "$1\r\na\n\n"};
    for (size_t i = 0; i < sizeof garbage / sizeof *garbage; i++) {
        struct told t;
        open_parser(&t);
        assert_int_equal(pubsub_feed(&t.pubsub, span_str(garbage[i])), -EPROTO);
        assert_string_equal(t.text, "");
        pubsub_deinit(&t.pubsub);
    }
}

static void memory_of_a_giant_message_is_given_back(void **state)
{
    (void)state;
    struct told t;
    char head[64];
    open_parser(&t);
    char *payload = calloc(1, GIANT);
    assert_non_null(payload);
    payload[0] = 'x';
    payload[GIANT - 1] = 'y';
    snprintf(head, sizeof head, "*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$%d\r\n", GIANT);
    assert_int_equal(pubsub_feed(&t.pubsub, span_str(head)), 0);
    assert_int_equal(pubsub_feed(&t.pubsub, span_of(payload, GIANT)), 0);
    free(payload);
    assert_true(t.pubsub.held_cap >= GIANT);
    assert_int_equal(pubsub_feed(&t.pubsub, span_str("\r\n*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$4\r\nne")), 0);
    assert_int_equal(t.giants, 1);
    assert_in_range(t.pubsub.held_cap, 0, 65536);
    assert_int_equal(pubsub_feed(&t.pubsub, span_str("xt\r\n")), 0);
    assert_string_equal(t.text, "message a next\n");
    pubsub_deinit(&t.pubsub);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stream_cut_anywhere_says_the_same),
        cmocka_unit_test(stream_byte_by_byte_says_the_same),
        cmocka_unit_test(replies_of_other_shapes_are_stepped_over),
        cmocka_unit_test(overlong_channel_is_none_of_ours),
        cmocka_unit_test(garbage_is_a_protocol_error),
        cmocka_unit_test(memory_of_a_giant_message_is_given_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
