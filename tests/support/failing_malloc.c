#include "tests/support/failing_malloc.h"

/* These names are the linker's (--wrap). */
void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);

static size_t allocations;
static size_t first_failing, last_failing; /* by number; first 0: none */

void fail_at(size_t n, size_t more)
{
    allocations = 0;
    first_failing = n;
    last_failing = n + more;
}

void fail_nothing(void)
{
    fail_at(0, 0);
}

bool has_failed(void)
{
    return first_failing > 0 && allocations >= first_failing;
}

size_t allocations_asked_for(void)
{
    return allocations;
}

static bool must_fail(void)
{
    allocations++;
    return has_failed() && allocations <= last_failing;
}

void *__wrap_malloc(size_t size)
{
    return must_fail() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return must_fail() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *old, size_t size)
{
    return must_fail() ? NULL : __real_realloc(old, size);
}
