/* Numbers as options spell them: times, sizes, counts. */
#ifndef CONFIG_VALUE_H
#define CONFIG_VALUE_H

#include <stddef.h>
#include <stdint.h>

#define VALUE_TEXT_SIZE 32

/* Each reads a whole text: digits and a unit, with nothing before, between or after. 0, or -EINVAL when it is
 * no such number or beyond 64 bits. */
int value_parse_time(const char *text, uint64_t *ms) __attribute__((warn_unused_result)); /* unit: ms s m h */
int value_parse_bytes(const char *text, uint64_t *bytes)
    __attribute__((warn_unused_result)); /* unit: KiB MiB GiB, or none */
int value_parse_count(const char *text, uint64_t *count) __attribute__((warn_unused_result)); /* no unit */

/* The shortest spelling that is read back as this number. */
void value_format_time(uint64_t ms, char text[VALUE_TEXT_SIZE]);
void value_format_bytes(uint64_t bytes, char text[VALUE_TEXT_SIZE]);
void value_format_count(uint64_t count, char text[VALUE_TEXT_SIZE]);

#endif
