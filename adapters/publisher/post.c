#include "adapters/publisher/post.h"

#include <stdio.h>
#include <stdlib.h>

#define HEAD_MAX 24 /* of "*3\r\n", "$12\r\n" */

static size_t write_head(uint8_t *to, char kind, size_t n)
{
    return (size_t)snprintf((char *)to, HEAD_MAX, "%c%zu\r\n", kind, n);
}

static size_t write_argument(uint8_t *to, struct span argument)
{
    size_t n = write_head(to, '$', argument.len);
    if (argument.len > 0)
        memcpy(to + n, argument.bytes, argument.len);
    memcpy(to + n + argument.len, "\r\n", 2);
    return n + argument.len + 2;
}

struct post *post_new(const struct span *args, size_t count)
{
    size_t most = HEAD_MAX;
    for (size_t i = 0; i < count; i++)
        most += HEAD_MAX + args[i].len + 2;
    struct post *p = malloc(sizeof *p + most);
    if (!p)
        return NULL;
    p->is_event = false;
    p->len = write_head(p->bytes, '*', count);
    for (size_t i = 0; i < count; i++)
        p->len += write_argument(p->bytes + p->len, args[i]);
    return p;
}

void post_free(struct post *p)
{
    free(p);
}
