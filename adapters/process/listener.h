/* A listening socket, TCP or Unix, that hands over what connects to it.
 *
 * It lives on the heap: listener_open() to listener_close() or listener_finish(). */
#ifndef PROCESS_LISTENER_H
#define PROCESS_LISTENER_H

#include <uv.h>

#include "config/address.h"

struct listener;

/* The handle of a connection, of the kind that its listener accepts. */
union listener_client {
    uv_handle_t handle;
    uv_stream_t stream;
    uv_tcp_t tcp;
    uv_pipe_t pipe;
};

/* With error 0 a connection is at hand: call listener_accept() or listener_refuse() once, from within. Else one
 * could not be accepted, for want of descriptors (-EMFILE, -ENFILE) or of memory (-ENOMEM, -ENOBUFS). It was
 * closed; where not even that was possible it waits in its queue, and is told again when it is tried again. */
typedef void listener_on_connection(struct listener *l, void *owner, int error);

/* Binds and listens. A host name is resolved now, and blocks: its first IPv4 address that can be bound is
 * taken, else its first IPv6 address. With is_shared, other processes may listen on the same TCP port if they share it
 * too and are the same user's; each connection goes to one of them. It means nothing for a Unix socket. The file of
 * that is made with mode 0666; one on which nobody answers is replaced. NULL, and *error:
 *   -EADDRINUSE     somebody listens there already
 *   -EBUSY          the same, where it was to be shared
 *   -EEXIST         the path is a file that is no socket
 *   -EPROTOTYPE     the path is a socket of another kind, which is in use
 *   -EADDRNOTAVAIL  the address is none of this machine's
 *   UV_EAI_NONAME, UV_EAI_AGAIN  the name does not resolve, now or at all
 *   another negative errno-valued code of socket(), bind(), chmod() or listen() */
struct listener *listener_open(uv_loop_t *loop, const struct address *address, bool is_shared,
                               listener_on_connection *on_connection, void *owner, int *error);

/* What *error means, in words. */
const char *listener_strerror(int error);

/* Where it listens: as an address is written, with the port that the system chose. Owned by the listener. */
const char *listener_address(const struct listener *l);

/* Initialises *client, which must stay where it is until it is closed, and accepts into it. A TCP connection sends
 * without delay, and its kernel takes no more than 256 KiB ahead of what it can send. 0, or a negative
 * errno-valued code. In both cases *client is a handle that the caller must uv_close(). */
int listener_accept(struct listener *l, union listener_client *client) __attribute__((warn_unused_result));

/* Closes the connection at hand. */
void listener_refuse(struct listener *l);

/* Stops listening at once, and removes the file of a Unix socket. There is no further call of on_connection.
 * The memory is freed when the loop has closed the handle. */
void listener_close(struct listener *l);

/* Hands over, from within, all that has connected by now, as far as descriptors and memory go; then listener_close(). */
void listener_finish(struct listener *l);

#endif
