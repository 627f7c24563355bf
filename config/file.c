/* A whole file in memory. */
#include "config/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* Up to size bytes, fewer only at the end of the file. */
static int read_fully(int fd, char *bytes, size_t size, size_t *len)
{
    for (*len = 0; *len < size;) {
        ssize_t n = read(fd, bytes + *len, size - *len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            return 0;
        *len += (size_t)n;
    }
    return 0;
}

/* Takes the fd on every path. */
static int read_all(int take_fd, size_t limit, char **bytes, size_t *len)
{
    char *read_bytes = malloc(limit + 1);
    int error = read_bytes == NULL ? -ENOMEM : read_fully(take_fd, read_bytes, limit + 1, len);
    if (error == 0 && *len > limit)
        error = -EFBIG;
    close(take_fd);
    if (error < 0) {
        free(read_bytes);
        return error;
    }
    read_bytes[*len] = '\0';
    *bytes = read_bytes;
    return 0;
}

int file_read(const char *path, size_t limit, char **bytes, size_t *len)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    return fd < 0 ? -errno : read_all(fd, limit, bytes, len);
}

int file_read_regular(const char *path, size_t limit, char **bytes, size_t *len)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return -errno;
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
        close(fd);
        return -EINVAL;
    }
    return read_all(fd, limit, bytes, len);
}
