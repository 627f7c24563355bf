/* The text of /metrics (Prometheus text format 0.0.4), and the page about it, from the table of relay/metrics.h. */
#ifndef HTTP_METRICS_H
#define HTTP_METRICS_H

#include <stdio.h>
#include <time.h>

#include "relay/metrics.h"

#define METRICS_CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"
#define METRICS_PAGE_PATH    "adapters/http/METRICS.md"

/* Every metric with HELP and TYPE, every value of a label from the start. Those of the process itself are measured now. */
void metrics_write(const struct metrics *m, time_t started_at, FILE *to);

/* The page about them, in Markdown. */
void metrics_write_page(FILE *to);

#endif
