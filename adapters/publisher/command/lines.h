/* Events as lines of JSON on standard input. */
#ifndef COMMAND_LINES_H
#define COMMAND_LINES_H

#include "adapters/publisher/command/desk.h"

/* Publishes them until the input ends or a signal comes. A line that is wrong is told of, by its number, and costs only
 * itself. 0, or -1: there was one, or Redis did not answer in time. */
int lines_publish(struct desk *d, uint64_t timeout_ms);

#endif
