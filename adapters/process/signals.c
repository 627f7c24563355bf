/* The signals that the program is run by. */
#include "adapters/process/signals.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>

static const int numbers[] = {SIGTERM, SIGINT, SIGHUP};
#define COUNT (sizeof(numbers) / sizeof(numbers[0]))

struct signals {
    uv_signal_t handles[COUNT];
    struct signals_listener *listener; /* borrowed */
    size_t open_handles;
};

static void on_signal(uv_signal_t *handle, int number);
static void on_closed(uv_handle_t *handle);

/* A parent may have blocked them, and exec() keeps that. */
static void unblock(void)
{
    sigset_t set;
    sigemptyset(&set);
    for (size_t i = 0; i < COUNT; i++)
        sigaddset(&set, numbers[i]);
    sigprocmask(SIG_UNBLOCK, &set, NULL);
}

/* A write to a lost peer is an ordinary error. */
static void ignore_pipe(void)
{
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    sigaction(SIGPIPE, &ignore, NULL);
}

struct signals *signals_open(uv_loop_t *loop, struct signals_listener *listener, int *error)
{
    struct signals *s = calloc(1, sizeof(*s));
    *error = -ENOMEM;
    if (s == NULL)
        return NULL;
    s->listener = listener;
    for (*error = 0; s->open_handles < COUNT && *error == 0; s->open_handles++) {
        uv_signal_t *handle = &s->handles[s->open_handles];
        *error = uv_signal_init(loop, handle);
        if (*error < 0)
            break;
        handle->data = s;
        *error = uv_signal_start(handle, on_signal, numbers[s->open_handles]);
    }
    if (*error == 0) {
        unblock();
        ignore_pipe();
        return s;
    }
    signals_close(s);
    return NULL;
}

void signals_close(struct signals *s)
{
    size_t open = s->open_handles;
    if (open == 0)
        free(s);
    for (size_t i = 0; i < open; i++)
        uv_close((uv_handle_t *)&s->handles[i], on_closed);
}

/* Callbacks */

static void on_signal(uv_signal_t *handle, int number)
{
    struct signals *s = handle->data;
    if (number == SIGHUP)
        s->listener->on_reload(s->listener);
    else
        s->listener->on_stop(s->listener);
}

static void on_closed(uv_handle_t *handle)
{
    struct signals *s = handle->data;
    if (--s->open_handles == 0)
        free(s);
}
