/* A whole file in memory. */
#ifndef CONFIG_FILE_H
#define CONFIG_FILE_H

#include <stddef.h>

/* Reads at most `limit` bytes; *bytes is the caller's to free, and ends in a NUL that *len does not count. 0;
 * -EFBIG: there are more; -ENOMEM; or another negative errno-valued code of open() or read(). */
int file_read(const char *path, size_t limit, char **bytes, size_t *len) __attribute__((warn_unused_result));

/* As file_read(), and never waits: -EINVAL when it is no regular file, such as a pipe. */
int file_read_regular(const char *path, size_t limit, char **bytes, size_t *len)
    __attribute__((warn_unused_result));

#endif
