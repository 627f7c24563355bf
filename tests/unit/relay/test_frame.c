/* Frames and their builder. What happens without memory is in test_out_of_memory.c. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>

#include "relay/frame.h"

static struct frame *frame_of(size_t len, enum frame_kind kind)
{
    struct frame_builder b;
    frame_builder_init(&b, len);
    for (size_t i = 0; i < len; i++) {
        uint8_t c = (uint8_t)(i * 7);
        frame_builder_add(&b, &c, 1);
    }
    struct frame *f = frame_builder_finish(&b, kind);
    assert_non_null(f);
    return f;
}

static void expect_header(size_t len, enum frame_kind kind, const char *header, size_t header_len)
{
    struct frame *f = frame_of(len, kind);
    struct span wire = frame_wire(f), payload = frame_payload(f);
    assert_int_equal(wire.len, header_len + len);
    assert_memory_equal(wire.bytes, header, header_len);
    assert_int_equal(payload.len, len);
    assert_ptr_equal(payload.bytes, wire.bytes + header_len);
    for (size_t i = 0; i < len; i++)
        assert_int_equal(payload.bytes[i], (uint8_t)(i * 7));
    frame_unref(f);
}

static void the_header_has_the_shortest_length_that_fits(void **state)
{
    (void)state;
    expect_header(0, FRAME_TEXT, "\x81\x00", 2);
    expect_header(1, FRAME_TEXT, "\x81\x01", 2);
    expect_header(125, FRAME_TEXT, "\x81\x7d", 2);
    expect_header(126, FRAME_TEXT, "\x81\x7e\x00\x7e", 4);
    expect_header(65535, FRAME_TEXT, "\x81\x7e\xff\xff", 4);
    expect_header(65536, FRAME_TEXT, "\x81\x7f\0\0\0\0\0\x01\0\0", 10);
}

static void binary_frames_have_opcode_2(void **state)
{
    (void)state;
    expect_header(5, FRAME_BINARY, "\x82\x05", 2);
    expect_header(300, FRAME_BINARY, "\x82\x7e\x01\x2c", 4);
}

static void the_builder_grows_beyond_what_was_expected(void **state)
{
    (void)state;
    struct frame_builder b;
    frame_builder_init(&b, 0);
    for (int i = 0; i < 5000; i++)
        frame_builder_add_str(&b, "0123456789");
    struct frame *f = frame_builder_finish(&b, FRAME_TEXT);
    assert_int_equal(frame_payload(f).len, 50000);
    assert_memory_equal(frame_payload(f).bytes + 49990, "0123456789", 10);
    frame_unref(f);
}

static void reserved_bytes_count_only_when_committed(void **state)
{
    (void)state;
    struct frame_builder b;
    frame_builder_init(&b, 8);
    uint8_t *to = frame_builder_reserve(&b, 1000);
    assert_non_null(to);
    memcpy(to, "abc", 3);
    frame_builder_commit(&b, 3);
    frame_builder_add_str(&b, "d");
    struct frame *f = frame_builder_finish(&b, FRAME_TEXT);
    assert_int_equal(frame_payload(f).len, 4);
    assert_memory_equal(frame_payload(f).bytes, "abcd", 4);
    frame_unref(f);
}

static void numbers_are_big_endian(void **state)
{
    (void)state;
    struct frame_builder b;
    frame_builder_init(&b, 4);
    frame_builder_add_u32(&b, 0x01020380);
    struct frame *f = frame_builder_finish(&b, FRAME_BINARY);
    assert_memory_equal(frame_payload(f).bytes, "\x01\x02\x03\x80", 4);
    frame_unref(f);
}

static void adding_nothing_adds_nothing(void **state)
{
    (void)state;
    struct frame_builder b;
    frame_builder_init(&b, 0);
    frame_builder_add(&b, NULL, 0);
    frame_builder_add_str(&b, "");
    struct frame *f = frame_builder_finish(&b, FRAME_TEXT);
    assert_int_equal(frame_payload(f).len, 0);
    frame_unref(f);
}

static void an_aborted_frame_is_freed_and_finishes_as_none(void **state)
{
    (void)state;
    struct frame_builder b;
    frame_builder_init(&b, 100);
    frame_builder_add_str(&b, "abc");
    frame_builder_abort(&b);
    assert_null(frame_builder_reserve(&b, 1));
    frame_builder_add_str(&b, "more");
    frame_builder_mark_picture(&b, 1);
    assert_null(frame_builder_finish(&b, FRAME_TEXT));
    frame_builder_abort(&b);
}

static void a_length_beyond_all_memory_is_a_failed_allocation(void **state)
{
    (void)state;
    struct frame_builder b;
    frame_builder_init(&b, SIZE_MAX);
    assert_null(frame_builder_finish(&b, FRAME_TEXT));
    frame_builder_init(&b, 10);
    frame_builder_add_str(&b, "abc");
    assert_null(frame_builder_reserve(&b, SIZE_MAX));
    assert_null(frame_builder_finish(&b, FRAME_TEXT));
    frame_builder_init(&b, 10);
    frame_builder_add_str(&b, "abc");
    assert_null(frame_builder_reserve(&b, SIZE_MAX - 3));
    assert_null(frame_builder_finish(&b, FRAME_TEXT));
}

static void the_last_reference_frees(void **state)
{
    (void)state;
    struct frame *f = frame_of(3, FRAME_TEXT);
    assert_int_equal(f->refs, 1);
    assert_ptr_equal(frame_ref(f), f);
    frame_unref(f);
    assert_int_equal(frame_payload(f).len, 3);
    frame_unref(f);
    frame_unref(NULL);
}

static struct frame *preview(const char *picture, uint32_t type)
{
    struct frame_builder b;
    frame_builder_init(&b, 0);
    frame_builder_add_u32(&b, 4);
    frame_builder_add_str(&b, "{metadata}");
    frame_builder_mark_picture(&b, type);
    frame_builder_add_str(&b, picture);
    struct frame *f = frame_builder_finish(&b, FRAME_BINARY);
    assert_non_null(f);
    return f;
}

static void a_preview_without_metadata_is_code_1_image_type_and_picture(void **state)
{
    (void)state;
    struct frame *f = preview("PNGDATA", 2);
    struct frame *old = frame_without_metadata(f);
    assert_int_equal(frame_wire(old).len, 2 + 8 + 7);
    assert_memory_equal(frame_wire(old).bytes, "\x82\x0f\0\0\0\x01\0\0\0\x02PNGDATA", 17);
    assert_int_equal(old->picture_at, 0);
    assert_memory_equal(frame_payload(f).bytes, "\0\0\0\x04{metadata}PNGDATA", 21);
    frame_unref(old);
    frame_unref(f);
}

static void a_preview_of_no_bytes_has_two_forms_too(void **state)
{
    (void)state;
    struct frame *f = preview("", 1);
    struct frame *old = frame_without_metadata(f);
    assert_int_equal(frame_payload(old).len, 8);
    frame_unref(old);
    frame_unref(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_header_has_the_shortest_length_that_fits),
        cmocka_unit_test(binary_frames_have_opcode_2),
        cmocka_unit_test(the_builder_grows_beyond_what_was_expected),
        cmocka_unit_test(reserved_bytes_count_only_when_committed),
        cmocka_unit_test(numbers_are_big_endian),
        cmocka_unit_test(adding_nothing_adds_nothing),
        cmocka_unit_test(an_aborted_frame_is_freed_and_finishes_as_none),
        cmocka_unit_test(a_length_beyond_all_memory_is_a_failed_allocation),
        cmocka_unit_test(the_last_reference_frees),
        cmocka_unit_test(a_preview_without_metadata_is_code_1_image_type_and_picture),
        cmocka_unit_test(a_preview_of_no_bytes_has_two_forms_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
