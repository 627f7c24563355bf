#include "adapters/process/heap.h"

#include <malloc.h>
#include <stdlib.h>

struct heap {
    uv_timer_t timer;
    struct relay *relay; /* borrowed */
    size_t peak;         /* of what was in use since memory was last given back */
};

/* The sanitizers bring an allocator of their own. */
size_t __sanitizer_get_current_allocated_bytes(void) __attribute__((weak));

static void on_time(uv_timer_t *timer);
static void on_closed(uv_handle_t *handle);

#ifdef __GLIBC__

size_t heap_allocated_bytes(void)
{
    if (__sanitizer_get_current_allocated_bytes)
        return __sanitizer_get_current_allocated_bytes();
    struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
}

size_t heap_free_bytes(void)
{
    return mallinfo2().fordblks;
}

static bool give_back(void)
{
    malloc_trim(0);
    return true;
}

#else

size_t heap_allocated_bytes(void)
{
    return 0;
}

size_t heap_free_bytes(void)
{
    return 0;
}

static bool give_back(void)
{
    return false;
}

#endif

bool heap_has_fallen(size_t *peak, size_t in_use)
{
    if (in_use + HEAP_FALL_BYTES <= *peak && in_use <= *peak - *peak / 4) {
        *peak = in_use;
        return true;
    }
    if (in_use > *peak)
        *peak = in_use;
    return false;
}

struct heap *heap_open(uv_loop_t *loop, struct relay *relay, uint64_t look_ms)
{
    struct heap *h = calloc(1, sizeof *h);
    if (!h)
        return NULL;
    h->relay = relay;
    uv_timer_init(loop, &h->timer);
    h->timer.data = h;
    uv_timer_start(&h->timer, on_time, look_ms, look_ms);
    uv_unref((uv_handle_t *)&h->timer);
    return h;
}

void heap_close(struct heap *h)
{
    uv_close((uv_handle_t *)&h->timer, on_closed);
}

static void look(struct heap *h)
{
    if (heap_has_fallen(&h->peak, relay_held_bytes(h->relay)) && give_back())
        h->relay->metrics.heap_trims++;
}

/* Callbacks of the loop */

static void on_time(uv_timer_t *timer)
{
    look(timer->data);
}

static void on_closed(uv_handle_t *handle)
{
    free(handle->data);
}
