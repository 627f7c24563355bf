/* Binary codes, the fields that routing needs, and what becomes of a wrong shape. */
#include "tests/unit/adapters/msgpack/messages.h"

#define CODE(n)          "\x82" TYPE n DATA
#define TEXT_EVENT(data) BYTES("\x82" TYPE "\xa1t" DATA data)

#define PNG  "\xa3PNG"
#define JPEG "\xa4JPEG"
#define IMG  "\xc4\x03img"

static struct event encoded(struct span message)
{
    struct event event;
    expect_reason(receive(message, SPAN_NONE, &event, NULL), DROP_NOTHING);
    return event;
}

static void a_code_with_bin_is_sent_untouched(void **state)
{
    (void)state;
    expect_payload(BYTES(CODE("\x00") "\xc4\x01x"), BYTES("\0\0\0\0x"));
    expect_payload(BYTES(CODE("\x01") "\xc4\x03\x00\x01\x02"), BYTES("\0\0\0\x01\x00\x01\x02"));
    expect_payload(BYTES(CODE("\x03") "\xc4\x02xy"), BYTES("\0\0\0\x03xy"));
    expect_payload(BYTES(CODE("\x04") "\xc5\x00\x02xy"), BYTES("\0\0\0\x04xy"));
    expect_payload(BYTES(CODE("\x07") "\xc4\x00"), BYTES("\0\0\0\x07"));
    expect_payload(BYTES(CODE("\xce\xff\xff\xff\xff") "\xc6\0\0\0\x01z"), BYTES("\xff\xff\xff\xffz"));
}

static void code_2_with_bin_is_dropped(void **state)
{
    (void)state;
    expect_drop(BYTES(CODE("\x02") "\xc4\x01x"), DROP_BAD_DATA);
}

static void code_1_frames_an_encoded_picture(void **state)
{
    (void)state;
    expect_payload(BYTES(CODE("\x01") "\x92" PNG IMG), BYTES("\0\0\0\x01\0\0\0\x02img"));
    expect_payload(BYTES(CODE("\x01") "\x92" JPEG IMG), BYTES("\0\0\0\x01\0\0\0\x01img"));
    expect_payload(BYTES(CODE("\x01") "\x92\xa3png" IMG), BYTES("\0\0\0\x01\0\0\0\x01img"));
    expect_payload(BYTES(CODE("\x01") "\x92\xa0\xc4\x00"), BYTES("\0\0\0\x01\0\0\0\x01"));
}

static void code_2_is_sent_as_code_1(void **state)
{
    (void)state;
    expect_payload(BYTES(CODE("\x02") "\x93" PNG IMG NIL), BYTES("\0\0\0\x01\0\0\0\x02img"));
    expect_payload(BYTES(CODE("\x02") "\x93" JPEG IMG "\xcd\x02\x00"), BYTES("\0\0\0\x01\0\0\0\x01img"));
    expect_payload(BYTES(CODE("\x02") "\x93" JPEG IMG "\x82\x01\x90\x02\x80"),
                   BYTES("\0\0\0\x01\0\0\0\x01img"));
}

static void code_3_frames_a_text_of_a_node(void **state)
{
    (void)state;
    expect_payload(BYTES(CODE("\x03") "\x92\24257\xa2hi"), BYTES("\0\0\0\x03\0\0\0\00257hi"));
    expect_payload(BYTES(CODE("\x03") "\x92\xa0\xa0"), BYTES("\0\0\0\x03\0\0\0\0"));
    expect_payload(BYTES(CODE("\x03") "\x92\xa1x\xc4\x02\xff\n"), BYTES("\0\0\0\x03\0\0\0\x01x\xff\n"));
}

#define SIZED(format) "\x93" format IMG NIL

static void code_4_appends_the_image_type_to_the_metadata(void **state)
{
    (void)state;
    expect_payload(BYTES(CODE("\x04") "\x92" SIZED(PNG) "\x81\xa1n\x01"),
                   BYTES("\0\0\0\x04\0\0\0\x20{\"n\":1,\"image_type\":\"image/png\"}img"));
    expect_payload(BYTES(CODE("\x04") "\x92" SIZED(JPEG) NIL),
                   BYTES("\0\0\0\x04\0\0\0\x1b{\"image_type\":\"image/jpeg\"}img"));
    expect_payload(BYTES(CODE("\x04") "\x92" SIZED("\xa4WEBP") "\x80"),
                   BYTES("\0\0\0\x04\0\0\0\x1b{\"image_type\":\"image/jpeg\"}img"));
}

static void code_4_replaces_an_image_type_where_it_stands(void **state)
{
    (void)state;
    expect_payload(BYTES(CODE("\x04") "\x92" SIZED(PNG) "\x82\xaaimage_type\x81\x01\x90\xa1n\x01"),
                   BYTES("\0\0\0\x04\0\0\0\x20{\"image_type\":\"image/png\",\"n\":1}img"));
}

static void the_form_without_metadata_is_code_1(void **state)
{
    (void)state;
    struct event event;
    struct frame *frame;
    expect_reason(receive(BYTES(CODE("\x04") "\x92" SIZED(PNG) NIL), SPAN_NONE, &event, &frame),
                  DROP_NOTHING);
    struct frame *plain = frame_without_metadata(frame);
    expect_span(frame_payload(plain), BYTES("\0\0\0\x01\0\0\0\x02img"));
    frame_unref(plain);
    frame_unref(frame);
    expect_reason(receive(BYTES(CODE("\x04") "\x92" SIZED("\xa3gif") NIL), SPAN_NONE, &event, &frame),
                  DROP_NOTHING);
    plain = frame_without_metadata(frame);
    expect_span(frame_payload(plain), BYTES("\0\0\0\x01\0\0\0\x01img"));
    frame_unref(plain);
    frame_unref(frame);
}

static void only_code_4_as_an_array_has_two_forms(void **state)
{
    (void)state;
    const struct span messages[] = {
        BYTES(CODE("\x04") "\xc4\011123456789"), BYTES(CODE("\x01") "\x92" PNG IMG),
        BYTES(CODE("\x02") "\x93" PNG IMG NIL), BYTES(CODE("\x03") "\x92\xa1n\xa1t")};
    for (size_t i = 0; i < sizeof messages / sizeof messages[0]; i++) {
        struct event event;
        struct frame *frame;
        expect_reason(receive(messages[i], SPAN_NONE, &event, &frame), DROP_NOTHING);
        assert_int_equal(frame->picture_at, 0);
        frame_unref(frame);
    }
}

static void data_of_the_wrong_shape_for_its_code_is_dropped(void **state)
{
    (void)state;
    const struct span messages[] = {
        BYTES("\x81" TYPE "\x01"), /* no data */
        BYTES(CODE("\x01") NIL),
        BYTES(CODE("\x01") "\xa3str"),
        BYTES(CODE("\x01") "\x80"),
        BYTES(CODE("\x01") "\x90"),
        BYTES(CODE("\x01") "\x91" PNG),
        BYTES(CODE("\x01") "\x93" PNG IMG NIL),
        BYTES(CODE("\x01") "\x92\xc4\x03PNG" IMG), /* the format is a str */
        BYTES(CODE("\x01") "\x92\x02" IMG),
        BYTES(CODE("\x01") "\x92" PNG "\xa3img"), /* the image is bin */
        BYTES(CODE("\x02") "\x92" PNG IMG),
        BYTES(CODE("\x02") "\x94" PNG IMG NIL NIL),
        BYTES(CODE("\x03") "\x91\xa1n"),
        BYTES(CODE("\x03") "\x93\xa1n\xa1t\xa1p"),
        BYTES(CODE("\x03") "\x92\x01\xa1t"),
        BYTES(CODE("\x03") "\x92\xa1n\x01"),
        BYTES(CODE("\x04") "\x92" PNG IMG),
        BYTES(CODE("\x04") "\x91" SIZED(PNG)),
        BYTES(CODE("\x04") "\x93" SIZED(PNG) NIL NIL),
        BYTES(CODE("\x04") "\x92\x92" PNG IMG NIL),
        BYTES(CODE("\x04") "\x92" SIZED(PNG) "\xa2{}"),
        BYTES(CODE("\x04") "\x92" SIZED(PNG) "\x90"),
        BYTES(CODE("\x07") "\x92" PNG IMG),
        BYTES(CODE("\x07") "\xa1x"),
        BYTES(CODE("\x00") NIL),
    };
    for (size_t i = 0; i < sizeof messages / sizeof messages[0]; i++)
        expect_drop(messages[i], DROP_BAD_DATA);
}

static void what_is_within_binary_data_must_be_well_formed_too(void **state)
{
    (void)state;
    expect_drop(BYTES(CODE("\x04") "\x92" SIZED(PNG) "\x81\xa1n\xc1"), DROP_MALFORMED);
    expect_drop(BYTES(CODE("\x04") "\x92" SIZED(PNG) "\x82\xaaimage_type\xc1\xa1n\x01"), DROP_MALFORMED);
    expect_drop(BYTES(CODE("\x04") "\x92\x93" PNG IMG "\x91\xc1" NIL), DROP_MALFORMED);
    expect_drop(BYTES(CODE("\x04") "\x92" SIZED(PNG) "\x81\xa1n"), DROP_TRUNCATED);
    expect_drop(BYTES(CODE("\x04") "\x92" SIZED(PNG) NIL NIL), DROP_TRAILING);
    expect_drop(BYTES(CODE("\x01") "\x92" PNG IMG NIL), DROP_TRAILING);
}

static void metadata_deeper_than_64_is_dropped(void **state)
{
    (void)state;
    uint8_t message[256];
    struct span head = BYTES(CODE("\x04") "\x92" SIZED(PNG) "\x81\xa1n"); /* its value is on level 4 */
    for (int levels = CODEC_DEPTH_MAX - 3; levels <= CODEC_DEPTH_MAX - 2; levels++) {
        memcpy(message, head.bytes, head.len);
        memset(message + head.len, 0x91, (size_t)levels);
        message[head.len + (size_t)levels] = 0x01;
        struct event event;
        enum drop_reason reason = levels > CODEC_DEPTH_MAX - 3 ? DROP_TOO_DEEP : DROP_NOTHING;
        expect_reason(receive(span_of(message, head.len + (size_t)levels + 1), SPAN_NONE, &event, NULL),
                      reason);
    }
}

static void expect_picture(struct span message, enum picture picture)
{
    assert_int_equal(encoded(message).picture, picture);
}

static void only_exactly_jpeg_is_a_preview_that_may_be_conflated(void **state)
{
    (void)state;
    expect_picture(BYTES(CODE("\x01") "\x92" JPEG IMG), PICTURE_JPEG);
    expect_picture(BYTES(CODE("\x02") "\x93" JPEG IMG NIL), PICTURE_JPEG);
    expect_picture(BYTES(CODE("\x04") "\x92" SIZED(JPEG) NIL), PICTURE_JPEG);
    expect_picture(BYTES(CODE("\x01") "\xc4\x05\0\0\0\x01x"), PICTURE_JPEG);
    expect_picture(BYTES(CODE("\x01") "\x92" PNG IMG), PICTURE_OTHER);
    expect_picture(BYTES(CODE("\x01") "\x92\xa4jpeg" IMG), PICTURE_OTHER);
    expect_picture(BYTES(CODE("\x04") "\x92" SIZED("\xa5JPEG2") NIL), PICTURE_OTHER);
    expect_picture(BYTES(CODE("\x01") "\xc4\x05\0\0\0\x02x"), PICTURE_OTHER);
    expect_picture(BYTES(CODE("\x01") "\xc4\x03\0\0\0"), PICTURE_OTHER);
    expect_picture(BYTES(CODE("\x04") "\xc4\x05\0\0\0\x01x"), PICTURE_OTHER);
    expect_picture(BYTES(CODE("\x03") "\xc4\x05\0\0\0\x01x"), PICTURE_NONE);
    expect_picture(BYTES(CODE("\x07") "\xc4\x05\0\0\0\x01x"), PICTURE_NONE);
    expect_picture(TEXT_EVENT("\x80"), PICTURE_NONE);
}

static void a_previews_node_and_prompt_are_its_metadatas(void **state)
{
    (void)state;
    struct event e =
        encoded(BYTES(CODE("\x04") "\x92" SIZED(JPEG) "\x83\xa7node_id\2419\xa9prompt_id\xa1p\xa4node\x01"));
    expect_span(e.node, BYTES("\2419"));
    expect_span(e.prompt, BYTES("\xa1p"));
    e = encoded(BYTES(CODE("\x04") "\x92" SIZED(JPEG) "\x82\xa7node_id" NIL "\xa9prompt_id" NIL));
    expect_span(e.node, SPAN_NONE);
    expect_span(e.prompt, SPAN_NONE);
}

static void the_fields_for_routing_are_the_values_as_they_stand(void **state)
{
    (void)state;
    struct event e =
        encoded(TEXT_EVENT("\x83\xa9prompt_id\xa1p\xa4node\xcd\x00\x07\254display_node\x91\x01"));
    expect_span(e.prompt, BYTES("\xa1p"));
    expect_span(e.node, BYTES("\xcd\x00\x07"));
    expect_span(e.display_node, BYTES("\x91\x01"));
    assert_false(e.is_blocked);
}

static void fields_that_are_nil_or_absent_are_empty(void **state)
{
    (void)state;
    struct event e = encoded(TEXT_EVENT("\x82\xa4node" NIL "\xa9prompt_id" NIL));
    expect_span(e.prompt, SPAN_NONE);
    expect_span(e.node, SPAN_NONE);
    expect_span(e.display_node, SPAN_NONE);
    e = encoded(TEXT_EVENT("\x92\xa4node\x01"));
    expect_span(e.node, SPAN_NONE);
}

static void fields_deeper_in_the_data_do_not_count(void **state)
{
    (void)state;
    struct event e = encoded(TEXT_EVENT("\x81\xa1x\x81\xa4node\x01"));
    expect_span(e.node, SPAN_NONE);
    e = encoded(TEXT_EVENT("\x81\xc4\x04node\x01")); /* a bin is no such key */
    expect_span(e.node, SPAN_NONE);
}

static void of_equal_fields_the_last_one_counts_as_it_does_for_the_client(void **state)
{
    (void)state;
    expect_span(encoded(TEXT_EVENT("\x82\xa4node\x01\xa4node\x02")).node, BYTES("\x02"));
    expect_span(encoded(TEXT_EVENT("\x82\xa4node\x01\xa4node" NIL)).node, SPAN_NONE);
}

static void an_execution_blocked_is_known_by_its_exception_type(void **state)
{
    (void)state;
    assert_true(encoded(TEXT_EVENT("\x81\256exception_type\260ExecutionBlocked")).is_blocked);
    assert_false(encoded(TEXT_EVENT("\x81\256exception_type\261ExecutionBlocked2")).is_blocked);
    assert_false(encoded(TEXT_EVENT("\x81\256exception_type\xc4\020ExecutionBlocked")).is_blocked);
}

static void the_fields_are_known_without_a_frame_as_with_one(void **state)
{
    (void)state;
    struct event with, without;
    struct frame *frame;
    struct span message = TEXT_EVENT("\x82\xa4node\2415\xa9prompt_id\xa1p");
    expect_reason(receive(message, SPAN_NONE, &with, &frame), DROP_NOTHING);
    expect_reason(receive(message, SPAN_NONE, &without, NULL), DROP_NOTHING);
    expect_span(with.node, without.node);
    expect_span(with.prompt, without.prompt);
    frame_unref(frame);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_code_with_bin_is_sent_untouched),
        cmocka_unit_test(code_2_with_bin_is_dropped),
        cmocka_unit_test(code_1_frames_an_encoded_picture),
        cmocka_unit_test(code_2_is_sent_as_code_1),
        cmocka_unit_test(code_3_frames_a_text_of_a_node),
        cmocka_unit_test(code_4_appends_the_image_type_to_the_metadata),
        cmocka_unit_test(code_4_replaces_an_image_type_where_it_stands),
        cmocka_unit_test(the_form_without_metadata_is_code_1),
        cmocka_unit_test(only_code_4_as_an_array_has_two_forms),
        cmocka_unit_test(data_of_the_wrong_shape_for_its_code_is_dropped),
        cmocka_unit_test(what_is_within_binary_data_must_be_well_formed_too),
        cmocka_unit_test(metadata_deeper_than_64_is_dropped),
        cmocka_unit_test(only_exactly_jpeg_is_a_preview_that_may_be_conflated),
        cmocka_unit_test(a_previews_node_and_prompt_are_its_metadatas),
        cmocka_unit_test(the_fields_for_routing_are_the_values_as_they_stand),
        cmocka_unit_test(fields_that_are_nil_or_absent_are_empty),
        cmocka_unit_test(fields_deeper_in_the_data_do_not_count),
        cmocka_unit_test(of_equal_fields_the_last_one_counts_as_it_does_for_the_client),
        cmocka_unit_test(an_execution_blocked_is_known_by_its_exception_type),
        cmocka_unit_test(the_fields_are_known_without_a_frame_as_with_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
