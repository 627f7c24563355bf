/* What is written about the options for people, from their table. */
#ifndef CONFIG_REFERENCE_H
#define CONFIG_REFERENCE_H

#include <stdio.h>

#define REFERENCE_EXAMPLE_PATH "config/comfy-relay.conf.example"
#define REFERENCE_PAGE_PATH    "config/OPTIONS.md"

/* A configuration file with every option at its default, commented out. */
void reference_write_example(FILE *to);
/* A page in Markdown. */
void reference_write_page(FILE *to);

#endif
