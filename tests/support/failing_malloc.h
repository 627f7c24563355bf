/* Allocations that fail when a test says so. Tests named *out_of_memory are linked with --wrap, so that the
 * allocations of our own code, and only these, come by here; in any other program this must not be used. */
#ifndef TESTS_FAILING_MALLOC_H
#define TESTS_FAILING_MALLOC_H

#include <stdbool.h>
#include <stddef.h>

/* The n-th allocation from now fails (the first is 1), and so do `more` after it. */
void fail_at(size_t n, size_t more);
void fail_nothing(void);

/* Since the last of these two: whether an allocation has failed, and how many were asked for. */
bool has_failed(void);
size_t allocations_asked_for(void);

#endif
