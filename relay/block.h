/* What a block of memory takes of the heap: as glibc allocates, with 8 bytes before it, in steps of 16 from 32 on. Only for what
 * is told of memory: nothing depends on it. */
#ifndef RELAY_BLOCK_H
#define RELAY_BLOCK_H

#include <stddef.h>

static inline size_t block_bytes(size_t size)
{
    return size == 0 ? 0 : size <= 24 ? 32 : (size + 8 + 15) / 16 * 16;
}

#endif
