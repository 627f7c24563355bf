#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

#include "adapters/process/heap.h"
#include "adapters/websocket/receiver.h"

#define LIMIT 1000

/* Bytes that a client sends. */
struct wire {
    uint8_t bytes[4096];
    size_t len;
};

static void add(struct wire *w, const void *bytes, size_t len)
{
    assert_true(w->len + len <= sizeof w->bytes);
    memcpy(w->bytes + w->len, bytes, len);
    w->len += len;
}

/* The header of a masked frame whose payload is `len` bytes. */
static void add_header(struct wire *w, uint8_t first, uint64_t len)
{
    uint8_t h[14] = {first};
    size_t n = len > 65535 ? 8 : len > 125 ? 2 : 0;
    h[1] = (uint8_t)(0x80 | (n == 8 ? 127 : n == 2 ? 126 : len));
    for (size_t i = 0; i < n; i++)
        h[2 + i] = (uint8_t)(len >> 8 * (n - 1 - i));
    memcpy(h + 2 + n, "\x01\x02\x03\x04", 4);
    add(w, h, 6 + n);
}

static void add_frame(struct wire *w, uint8_t first, const void *payload, size_t len)
{
    const uint8_t *from = payload;
    add_header(w, first, len);
    for (size_t i = 0; i < len; i++)
        add(w, &(uint8_t){(uint8_t)(from[i] ^ (i % 4 + 1))}, 1);
}

static void add_str(struct wire *w, uint8_t first, const char *payload)
{
    add_frame(w, first, payload, strlen(payload));
}

/* What came of it, in words: "text:hello ping:x failed:1002". */
static void describe(char *out, size_t size, const struct receiver_event *e)
{
    static const char *const names[] = {"",     "text",   "ignored", "ping",
                                        "pong", "closed", "failed",  "no memory"};
    size_t n = strlen(out);
    const char *gap = n > 0 ? " " : "";
    if (e->kind == RECEIVER_CLOSE || e->kind == RECEIVER_FAILURE)
        snprintf(out + n, size - n, "%s%s:%d", gap, names[e->kind], e->code);
    else
        snprintf(out + n, size - n, "%s%s:%.*s", gap, names[e->kind], (int)e->payload.len,
                 (const char *)e->payload.bytes);
}

static void feed(struct receiver *r, const uint8_t *bytes, size_t len, bool wants_text, char *out,
                 size_t size)
{
    struct receiver_event e;
    receiver_feed(r, bytes, len);
    while ((e = receiver_next(r, LIMIT, wants_text)).kind != RECEIVER_NOTHING)
        describe(out, size, &e);
}

/* The same must come of it however the bytes are cut; then the receiver must be idle, or not. */
static void expect(const struct wire *w, bool wants_text, const char *expected, bool is_idle)
{
    for (size_t step = 1; step <= w->len; step = step < 8 ? step + 1 : step * 2) {
        struct receiver *r = receiver_new();
        char got[4096] = "";
        for (size_t at = 0; at < w->len; at += step)
            feed(r, w->bytes + at, w->len - at < step ? w->len - at : step, wants_text, got, sizeof got);
        assert_string_equal(got, expected);
        assert_int_equal(receiver_is_idle(r), is_idle);
        receiver_free(r);
    }
}

static void messages_and_control_frames_come_out_in_order(void **state)
{
    (void)state;
    struct wire w = {.len = 0};
    add_str(&w, 0x81, "hello");
    add_str(&w, 0x89, "a");
    add_str(&w, 0x8a, "b");
    add_str(&w, 0x89, "");
    add_str(&w, 0x82, "binary");
    add_str(&w, 0x81, "");
    expect(&w, true, "text:hello ping:a pong:b ping: ignored: text:", true);
    expect(&w, false, "ignored: ping:a pong:b ping: ignored: ignored:", true);
}

static void a_ping_within_a_fragmented_text_comes_first(void **state)
{
    (void)state;
    struct wire w = {.len = 0};
    add_str(&w, 0x01, "one ");
    add_str(&w, 0x89, "mid");
    add_str(&w, 0x00, "");
    add_str(&w, 0x00, "two ");
    add_str(&w, 0x80, "three");
    expect(&w, true, "ping:mid text:one two three", true);
}

static void a_receiver_holds_on_while_something_is_incomplete(void **state)
{
    (void)state;
    struct wire w = {.len = 0};
    add_str(&w, 0x01, "one");
    expect(&w, true, "", false);
    w.len = 0;
    add_str(&w, 0x81, "one");
    w.len--;
    expect(&w, true, "", false);
    w.len = 1;
    expect(&w, true, "", false);
}

static void a_close_is_told_with_its_code_and_ends_it(void **state)
{
    (void)state;
    static const struct {
        const char *payload;
        size_t len;
        const char *expected;
    } cases[] = {
        {"", 0, "closed:1005"},
        {"\x03\xe8", 2, "closed:1000"},
        {"\x03\xe9going", 7, "closed:1001"},
        {"\x03\xf4", 2, "closed:1012"},
        {"\x0f\xa0\xc3\xbc", 4, "closed:4000"},
        {"\x03", 1, "failed:1002"},
        {"\x03\xed", 2, "failed:1002"}, /* 1005 */
        {"\x03\xe7", 2, "failed:1002"}, /* 999 */
        {"\x07\xd0", 2, "failed:1002"}, /* 2000 */
        {"\x13\x88", 2, "failed:1002"}, /* 5000 */
        {"\x03\xe8\xc3", 3, "failed:1007"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct wire w = {.len = 0};
        add_frame(&w, 0x88, cases[i].payload, cases[i].len);
        add_str(&w, 0x81, "after it");
        expect(&w, true, cases[i].expected, false);
    }
}

static void broken_framing_is_1002(void **state)
{
    (void)state;
    static const struct {
        uint8_t first[2]; /* of each of two frames; 0: one only, for 0x00 see below */
        const char *expected;
    } cases[] = {
        {{0xc1, 0xff}, "failed:1002"},        /* RSV1 */
        {{0xa2, 0xff}, "failed:1002"},        /* RSV2 */
        {{0x99, 0xff}, "failed:1002"},        /* RSV3 on a ping */
        {{0x83, 0xff}, "failed:1002"},        /* unknown */
        {{0x8b, 0xff}, "failed:1002"},        /* unknown control */
        {{0x09, 0xff}, "failed:1002"},        /* fragmented ping */
        {{0x08, 0xff}, "failed:1002"},        /* fragmented close */
        {{0x80, 0xff}, "failed:1002"},        /* continues nothing */
        {{0x00, 0xff}, "failed:1002"},        /* likewise */
        {{0x01, 0x81}, "failed:1002"},        /* a message within a message */
        {{0x02, 0x01}, "failed:1002"},        /* likewise */
        {{0x81, 0x80}, "text:x failed:1002"}, /* continues what has ended */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct wire w = {.len = 0};
        add_str(&w, cases[i].first[0], "x");
        if (cases[i].first[1] != 0xff)
            add_str(&w, cases[i].first[1], "x");
        expect(&w, true, cases[i].expected, false);
    }
}

static void lengths_that_break_the_rules_are_1002(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t len;
    } cases[] = {
        {"\x81\x02", 2},                          /* not masked; the payload is not waited for */
        {"\xc1\x82\x01\x02\x03\x04", 6},          /* RSV1, likewise */
        {"\x81\x02{}", 4},                        /* not masked */
        {"\x89\xfe\x00\x7e\x01\x02\x03\x04x", 9}, /* a ping of 126 bytes */
        {"\x81\xfe\x00\x05\x01\x02\x03\x04x", 9}, /* 16 bits for a short length */
        {"\x81\xff\x00\x00\x00\x00\x00\x00\x00\x05\x01\x02\x03\x04x", 15}, /* 64 bits */
        {"\x81\xff\x80\x00\x00\x00\x00\x00\x00\x00\x01\x02\x03\x04x", 15}, /* the highest bit */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct wire w = {.len = 0};
        add(&w, cases[i].bytes, cases[i].len);
        expect(&w, true, "failed:1002", false);
    }
}

static void text_that_is_not_utf8_is_1007_also_when_nobody_wants_it(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "\xff",         "a\x80",        "\xc0\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80",
        "\xf0\x9f\x98", "ok \xe2\x82x", "\xc3"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct wire w = {.len = 0};
        add_str(&w, 0x81, texts[i]);
        expect(&w, true, "failed:1007", false);
        expect(&w, false, "failed:1007", false);
    }
}

static void a_character_may_be_cut_by_fragments(void **state)
{
    (void)state;
    struct wire w = {.len = 0};
    add_str(&w, 0x01, "\xf0");
    add_str(&w, 0x00, "\x9f\x98");
    add_str(&w, 0x80, "\x80!");
    expect(&w, true, "text:\xf0\x9f\x98\x80!", true);
    expect(&w, false, "ignored:", true);
    w.len = 0;
    add_str(&w, 0x01, "\xf0\x9f");
    add_str(&w, 0x80, "x\x98");
    expect(&w, true, "failed:1007", false);
}

static void binary_need_not_be_utf8(void **state)
{
    (void)state;
    struct wire w = {.len = 0};
    add_str(&w, 0x02, "\xff\xfe");
    add_str(&w, 0x80, "\x80");
    add_str(&w, 0x81, "a");
    expect(&w, true, "ignored: text:a", true);
}

static void a_message_at_the_limit_passes_and_one_above_it_is_1009(void **state)
{
    (void)state;
    struct wire w = {.len = 0};
    char payload[LIMIT + 1];
    memset(payload, 'x', sizeof payload);
    add_frame(&w, 0x82, payload, LIMIT);
    expect(&w, true, "ignored:", true);
    w.len = 0;
    add_frame(&w, 0x82, payload, LIMIT + 1);
    expect(&w, true, "failed:1009", false);
    w.len = 0;
    add_frame(&w, 0x01, payload, LIMIT - 10);
    add_str(&w, 0x89, "0123456789abcdef");
    add_frame(&w, 0x80, payload, 11);
    expect(&w, false, "ping:0123456789abcdef failed:1009", false);
}

/* The header alone is enough, and nothing of that size is ever allocated. */
static void a_giant_declared_length_is_1009_before_a_byte_of_it_has_come(void **state)
{
    (void)state;
    static const uint64_t lengths[] = {LIMIT + 1, 65535, 65536, 1ull << 40, 1ull << 62, (1ull << 63) - 1};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        struct wire w = {.len = 0};
        add_str(&w, 0x89, "p");
        add_header(&w, 0x81, lengths[i]);
        expect(&w, true, "ping:p failed:1009", false);
    }
}

static void an_idle_receiver_serves_another_socket(void **state)
{
    (void)state;
    struct receiver *r = receiver_new();
    for (int i = 0; i < 3; i++) {
        struct wire w = {.len = 0};
        char got[64] = "";
        add_str(&w, 0x01, "a");
        add_str(&w, 0x80, "b");
        assert_true(receiver_is_idle(r));
        feed(r, w.bytes, w.len, true, got, sizeof got);
        assert_string_equal(got, "text:ab");
    }
    receiver_free(r);
}

/* What /metrics tells of it. */
static void it_tells_how_much_memory_it_takes(void **state)
{
    (void)state;
    struct receiver *r[20];
    struct wire w = {.len = 0};
    char got[4096] = "";
    size_t before = heap_allocated_bytes();
    for (int i = 0; i < 20; i++)
        assert_non_null(r[i] = receiver_new());
    size_t each = (heap_allocated_bytes() - before) / 20, empty = receiver_bytes(r[0]);
    assert_in_range(empty, each - each / 10, each + each / 10);
    add_str(&w, 0x01, "the beginning of a text");
    feed(r[0], w.bytes, w.len, true, got, sizeof got);
    assert_true(receiver_bytes(r[0]) >= empty + strlen("the beginning of a text"));
    assert_int_equal(receiver_bytes(NULL), 0);
    for (int i = 0; i < 20; i++)
        receiver_free(r[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_and_control_frames_come_out_in_order),
        cmocka_unit_test(a_ping_within_a_fragmented_text_comes_first),
        cmocka_unit_test(a_receiver_holds_on_while_something_is_incomplete),
        cmocka_unit_test(a_close_is_told_with_its_code_and_ends_it),
        cmocka_unit_test(broken_framing_is_1002),
        cmocka_unit_test(lengths_that_break_the_rules_are_1002),
        cmocka_unit_test(text_that_is_not_utf8_is_1007_also_when_nobody_wants_it),
        cmocka_unit_test(a_character_may_be_cut_by_fragments),
        cmocka_unit_test(binary_need_not_be_utf8),
        cmocka_unit_test(a_message_at_the_limit_passes_and_one_above_it_is_1009),
        cmocka_unit_test(a_giant_declared_length_is_1009_before_a_byte_of_it_has_come),
        cmocka_unit_test(an_idle_receiver_serves_another_socket),
        cmocka_unit_test(it_tells_how_much_memory_it_takes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
