/* Room in an array whose places double. */
#ifndef COMMAND_GROW_H
#define COMMAND_GROW_H

#include <stdlib.h>

/* The array of `count` items of `size` bytes, with room for another. NULL: no memory, and it stays as it was. */
static inline void *grow(void *items, size_t count, size_t size)
{
    return count & (count - 1) ? items : realloc(items, (count ? 2 * count : 1) * size);
}

#endif
