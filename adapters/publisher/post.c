#include "adapters/publisher/post.h"

#include <assert.h>
#include <hiredis/hiredis.h>
#include <limits.h>
#include <stdlib.h>

#define ARGS_MAX 16

struct post *post_new(const struct span *args, size_t count)
{
    const char *texts[ARGS_MAX];
    size_t lengths[ARGS_MAX];
    size_t total = 0;
    assert(count <= ARGS_MAX);
    for (size_t i = 0; i < count; i++) {
        texts[i] = (const char *)args[i].bytes;
        lengths[i] = args[i].len;
        total += args[i].len;
    }
    struct post *p = total < INT_MAX / 2 ? calloc(1, sizeof *p) : NULL; /* hiredis counts in int */
    long long len = p ? redisFormatCommandArgv(&p->bytes, (int)count, texts, lengths) : -1;
    if (len < 0) {
        free(p);
        return NULL;
    }
    p->len = (size_t)len;
    return p;
}

void post_free(struct post *p)
{
    if (p)
        redisFreeCommand(p->bytes);
    free(p);
}
