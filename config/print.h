/* What the command line can be asked for instead of a start. */
#ifndef CONFIG_PRINT_H
#define CONFIG_PRINT_H

#include "config/config.h"

void print_help(FILE *to);
void print_version(FILE *to);
/* A line for each option: name = value   # where it was set */
void print_config(const struct config *c, FILE *to);
/* What was read, for --check. */
void print_summary(const struct config *c, FILE *to);
/* Where an option was set: default | FILE:LINE | env NAME | command line */
void print_source(const struct config *c, const struct option *o, enum config_source source, unsigned line,
                  FILE *to);

#endif
