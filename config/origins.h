/* The origins that `ws.origins` may name. */
#ifndef CONFIG_ORIGINS_H
#define CONFIG_ORIGINS_H

#include "relay/span.h"

#define ORIGINS_ANY       "*"
#define ORIGINS_SAME_HOST "same-host"

/* An origin as a browser sends it (RFC 6454, section 6.2): scheme://host[:port], nothing after it. */
bool origins_is_origin(struct span text);

/* 0 when the text is `same-host`, `*`, or a comma-separated list of origins; else -EINVAL. */
int origins_check(const char *text) __attribute__((warn_unused_result));

#endif
