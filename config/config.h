/* The configuration: every option's value, and where it was set. The weakest first: default, file,
 * environment, command line. */
#ifndef CONFIG_CONFIG_H
#define CONFIG_CONFIG_H

#include "config/option.h"

enum config_source { CONFIG_DEFAULT, CONFIG_FILE, CONFIG_ENVIRONMENT, CONFIG_COMMAND_LINE };

struct config_setting {
    char *text; /* owned; the value as it was written */
    enum config_source source;
    unsigned line; /* of the file */
};

struct config {
    struct options options; /* what others borrow */
    struct config_setting settings[OPTION_COUNT];
    const char *file; /* borrowed from argv; NULL: none */
    int argc;
    char **argv; /* borrowed, like env, for config_reload() */
    char **env;
};

enum config_action { CONFIG_RUN, CONFIG_EXIT, CONFIG_HEALTH };

/* Reads all of it; argv and env are borrowed for the life of *c. With --help, --version, --check or
 * --print-config it writes to `out` what was asked. CONFIG_EXIT: end with *exit_code; when that is not 0, one
 * line in `err` says why. CONFIG_RUN: start; the program logs what config_next_unknown() finds. CONFIG_HEALTH: ask the
 * relay that has these options how it is (--health alone; with another question, that one is answered). In all
 * cases *c needs a deinit. */
enum config_action config_load(struct config *c, int argc, char **argv, char **env, FILE *out, FILE *err,
                               int *exit_code);
void config_deinit(struct config *c);

/* Names in the environment that look like options and are none: start with *at = 0; NULL after the last.
 * Borrowed; the name ends at its '='. */
struct span config_next_unknown(const struct config *c, size_t *at);

/* Reads the file again (SIGHUP) and takes over, in place, those options that may change while the relay runs.
 * 0, or a negative errno-valued code: then nothing has changed. *told is to be freed by the caller. It is NULL,
 * or a text without a newline: the error; else the names of changed options that need a restart. */
int config_reload(struct config *c, char **told) __attribute__((warn_unused_result));

#endif
