/* The committed texts about the options are those that the table makes. Runs in the root of the tree. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

#include "config/config.h"
#include "config/file.h"
#include "config/reference.h"

static void check_file(const char *path, void (*write)(FILE *to))
{
    char *expected, *found;
    size_t expected_len, found_len;
    FILE *to = open_memstream(&expected, &expected_len);
    write(to);
    fclose(to);
    if (file_read(path, 1 << 20, &found, &found_len) != 0)
        fail_msg("%s cannot be read", path);
    assert_string_equal(found, expected); /* else: cmake --build build --target options-reference */
    free(expected);
    free(found);
}

static void the_example_file_is_up_to_date(void **state)
{
    (void)state;
    check_file(REFERENCE_EXAMPLE_PATH, reference_write_example);
}

static void the_page_of_options_is_up_to_date(void **state)
{
    (void)state;
    check_file(REFERENCE_PAGE_PATH, reference_write_page);
}

/* Takes the # off every line that sets an option. */
static void uncomment(char *text)
{
    char *to = text;
    for (char *from = text; *from != '\0'; from++) {
        bool begins = from == text || from[-1] == '\n';
        if (!(begins && *from == '#' && from[1] != ' '))
            *to++ = *from;
    }
    *to = '\0';
}

static void the_example_file_sets_every_option_to_its_default(void **state)
{
    char path[] = "/tmp/comfy-relay-test-XXXXXX", program[] = "comfy-relay", option[] = "--config";
    char *argv[] = {program, option, path}, *env[] = {NULL};
    char *text;
    size_t len;
    int exit_code;
    struct config c;
    (void)state;
    assert_int_equal(file_read(REFERENCE_EXAMPLE_PATH, 1 << 20, &text, &len), 0);
    uncomment(text);
    FILE *file = fdopen(mkstemp(path), "w");
    fputs(text, file);
    fclose(file);
    enum config_action action = config_load(&c, 3, argv, env, stdout, stderr, &exit_code);
    remove(path);
    assert_int_equal(action, CONFIG_RUN);
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        assert_int_equal(c.settings[i].source, CONFIG_FILE);
        assert_string_equal(c.settings[i].text, option_table[i].fallback);
    }
    config_deinit(&c);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_example_file_is_up_to_date),
        cmocka_unit_test(the_page_of_options_is_up_to_date),
        cmocka_unit_test(the_example_file_sets_every_option_to_its_default),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
