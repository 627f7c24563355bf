/* The text of /metrics (Prometheus text format 0.0.4), from the tables of relay/metrics.h. */
#ifndef HTTP_METRICS_H
#define HTTP_METRICS_H

#include <stdio.h>
#include <time.h>

#include "relay/metrics.h"

#define METRICS_CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"

/* Every metric with HELP and TYPE, every reason from the start, and those of the process itself. */
void metrics_write(const struct metrics *m, time_t started_at, FILE *to);

#endif
