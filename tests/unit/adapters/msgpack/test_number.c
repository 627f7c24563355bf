/* Numbers as text. A million random ones are compared with Python's repr in tests/differential. */
#include "tests/unit/adapters/msgpack/messages.h"

#include <stdio.h>

#include "adapters/msgpack/number.h"

static void expect_double(double v, const char *text)
{
    uint8_t written[NUMBER_MAX];
    size_t n = number_double(written, v);
    assert_true(n <= NUMBER_MAX);
    expect_span(span_of(written, n), span_str(text));
}

static void expect_float(float v, const char *text)
{
    uint8_t written[NUMBER_MAX];
    size_t n = number_float(written, v);
    assert_true(n <= NUMBER_MAX);
    expect_span(span_of(written, n), span_str(text));
}

static void whole_doubles_keep_their_point(void **state)
{
    (void)state;
    expect_double(0.0, "0.0");
    expect_double(-0.0, "-0.0");
    expect_double(1.0, "1.0");
    expect_double(67.0, "67.0");
    expect_double(-1795310959693.0, "-1795310959693.0");
    expect_double(999999999999999.0, "999999999999999.0");
    expect_double(1e15, "1000000000000000.0");
    expect_double(9007199254740993.0, "9007199254740992.0");
    expect_double(9999999999999998.0, "9999999999999998.0");
}

static void exponents_begin_where_python_has_them(void **state)
{
    (void)state;
    expect_double(1e16, "1e+16");
    expect_double(1e22, "1e+22");
    expect_double(1.5e100, "1.5e+100");
    expect_double(0.001, "0.001");
    expect_double(0.0001, "0.0001");
    expect_double(0.00012, "0.00012");
    expect_double(0.00001, "1e-05");
    expect_double(1.25e-7, "1.25e-07");
    expect_double(-1e-300, "-1e-300");
}

static void doubles_have_the_fewest_digits_that_read_back(void **state)
{
    (void)state;
    expect_double(0.1, "0.1");
    expect_double(0.1 + 0.2, "0.30000000000000004");
    expect_double(9.470509434538348, "9.470509434538348");
    expect_double(1.0 / 3, "0.3333333333333333");
    expect_double(123456.789, "123456.789");
    expect_double(4.79, "4.79");
    expect_double(5e-324, "5e-324");
    expect_double(2.2250738585072014e-308, "2.2250738585072014e-308");
    expect_double(2.225073858507201e-308, "2.225073858507201e-308");
    expect_double(1.7976931348623157e308, "1.7976931348623157e+308");
}

static void powers_of_two_use_the_wider_half_of_their_interval(void **state)
{
    (void)state;
    expect_double(0x1p-44,
                  "5.684341886080802e-14"); /* the nearest 16 digits, ...801, read back as its neighbour */
    expect_double(0x1p-1022, "2.2250738585072014e-308");
    expect_double(0x1p89, "6.189700196426902e+26");
}

static void floats_have_the_fewest_digits_that_read_back_as_a_float(void **state)
{
    (void)state;
    expect_float(0.1F, "0.1");
    expect_float(67.0F, "67.0");
    expect_float(-0.0F, "-0.0");
    expect_float(16777216.0F, "16777216.0");
    expect_float(1e-45F, "1e-45");
    expect_float(3.4028235e38F, "3.4028235e+38");
    expect_float(1.17549435e-38F, "1.1754944e-38");
    expect_float(0x1p-12F, "0.00024414062");
    expect_float(1e16F, "1e+16");
    expect_float(0.33333334F, "0.33333334");
}

/* Every decimal with four places below 20: what people write comes back as they wrote it. */
static void short_decimals_are_written_as_they_were_read(void **state)
{
    (void)state;
    for (unsigned i = 1; i < 200000; i++) {
        char text[32];
        int n = snprintf(text, sizeof text, "%u.%04u", i / 10000, i % 10000);
        while (text[n - 1] == '0' && text[n - 2] != '.')
            text[--n] = 0;
        expect_double(strtod(text, NULL), text);
    }
}

static void integers_are_written_to_their_limits(void **state)
{
    (void)state;
    uint8_t written[NUMBER_MAX];
    expect_span(span_of(written, number_unsigned(written, 0)), span_str("0"));
    expect_span(span_of(written, number_unsigned(written, UINT64_MAX)), span_str("18446744073709551615"));
    expect_span(span_of(written, number_signed(written, INT64_MIN)), span_str("-9223372036854775808"));
    expect_span(span_of(written, number_signed(written, INT64_MAX)), span_str("9223372036854775807"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_doubles_keep_their_point),
        cmocka_unit_test(exponents_begin_where_python_has_them),
        cmocka_unit_test(doubles_have_the_fewest_digits_that_read_back),
        cmocka_unit_test(powers_of_two_use_the_wider_half_of_their_interval),
        cmocka_unit_test(floats_have_the_fewest_digits_that_read_back_as_a_float),
        cmocka_unit_test(short_decimals_are_written_as_they_were_read),
        cmocka_unit_test(integers_are_written_to_their_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
