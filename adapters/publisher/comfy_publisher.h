/* Publishes the events of a ComfyUI worker to Redis, from where relays send them to its clients.
 *
 *     struct comfy_publisher_options options = {.redis_url = "redis://127.0.0.1:6379/0"};
 *     struct comfy_publisher *p;
 *     if (comfy_publisher_open(&options, &p, NULL) < 0) ...
 *     if (comfy_publisher_json(p, "sid", "executing", "{\"node\":\"3\",\"prompt_id\":\"p1\"}") < 0) ...
 *     if (comfy_publisher_close(p, 2000) < 0) ...
 *
 * What is published, and where, is in adapters/WORKERS.md: an event is what a worker would hand to ComfyUI's
 * send_sync(type, data, sid). Events of a session go through publish.lua, so that they outlive a client's connection.
 *
 * Nothing here waits but comfy_publisher_flush() and comfy_publisher_close(), for as long as they are told to (and the
 * name of a host is looked up, where redis_url has one, by getaddrinfo() when a connection is made). An event is put into
 * the queue of what Redis has not answered yet, and sent as far as that can be done at once; all of it is pipelined. When
 * the connection is lost, what was not answered is sent again, in order, once there is a new one: nothing is lost,
 * and clients may see an event twice. Connections are made by whichever call comes next, at random intervals that grow to a second.
 *
 * A publisher is not thread-safe: only one thread may use it at a time, and not a child after fork(). Two publishers have
 * nothing in common. No signal is raised (SIGPIPE) and none is touched.
 *
 * Functions return 0 or a negative value of errno.h; comfy_publisher_error() then has a sentence for people.
 * All that is handed over is copied; texts are UTF-8 and end with a NUL. A pointer is NULL only where that is said here;
 * an event's type, format or JSON that is, and data that is where there are bytes of it, is -EINVAL. */
#ifndef COMFY_PUBLISHER_H
#define COMFY_PUBLISHER_H

#include <poll.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define COMFY_PUBLISHER_API            __attribute__((visibility("default")))
#define COMFY_PUBLISHER_CHECKED        COMFY_PUBLISHER_API __attribute__((warn_unused_result))
#define COMFY_PUBLISHER_WHY_BYTES      256  /* room for any sentence, with its NUL */
#define COMFY_PUBLISHER_HEARTBEAT_MS   5000 /* a worker is heard of so often */
#define COMFY_PUBLISHER_TTL_MS         300000
#define COMFY_PUBLISHER_LOG_EVENTS     4096
#define COMFY_PUBLISHER_QUEUE_EVENTS   8192
#define COMFY_PUBLISHER_QUEUE_BYTES    (64u << 20)
#define COMFY_PUBLISHER_CONNECT_MS     2000
#define COMFY_PUBLISHER_ANSWER_MS      5000
#define COMFY_PUBLISHER_DEFAULT_URL    "redis://127.0.0.1:6379/0"
#define COMFY_PUBLISHER_DEFAULT_PREFIX "comfy"

/* NULL or 0 is the default. */
struct comfy_publisher_options {
    /* redis://[user[:password]@]host[:port][/db], redis+unix://[user[:password]@]/path[?db=N] or unix:// for the
     * latter; user, password and path percent-encoded. */
    const char *redis_url;
    const char *password;        /* in place of one in the URL */
    const char *prefix;          /* redis.prefix of the relays, at most 128 bytes: comfy */
    const char *worker;          /* the worker's id, at most 256 bytes: <hostname>:<process id> */
    uint64_t session_ttl_ms;     /* no less than the relays' session.ttl: 300 s */
    uint64_t session_log_events; /* no less than the relays' session.log_events: 4096 */
    size_t queue_events;         /* most that wait for Redis: 8192 */
    size_t queue_bytes;          /* and how large they are together: 64 MiB */
    unsigned connect_timeout_ms; /* a connection that takes longer is given up: 2 s */
    unsigned answer_timeout_ms;  /* a Redis that is silent for longer while it owes answers is lost: 5 s */
};

struct comfy_publisher;

/* Makes a publisher. It does not connect yet, so a Redis that is away is no error. Options are copied. `why` has room for
 * COMFY_PUBLISHER_WHY_BYTES, or is NULL.
 * -EINVAL: an option is wrong; -ENOTSUP: TLS and sentinels; -EIO: no random numbers; -ENOMEM. Then there is nothing to
 * close. */
COMFY_PUBLISHER_CHECKED int comfy_publisher_open(const struct comfy_publisher_options *options,
                                                 struct comfy_publisher **publisher, char *why);

/* The events.
 *
 * `sid`: the session; NULL: every session; "": nobody, nothing is done. Type of event, conflation and end of a prompt are
 * seen to (the table of classes in WORKERS.md). All of these return 0: it is in the queue, or
 *   -EAGAIN    the queue is full and the event is not in it. Flush, and publish it again, or leave it
 *   -EMSGSIZE  it is larger than the whole queue
 *   -EINVAL    it breaks the contract, and no relay would take it
 *   -ENOMEM */

/* A text event; `data` is one MessagePack value of so many bytes, or NULL and 0 for nil. */
COMFY_PUBLISHER_CHECKED int comfy_publisher_text(struct comfy_publisher *p, const char *sid, const char *type,
                                                 const void *data, size_t bytes);
/* The same, of JSON text. Integers beyond 64 bits become floats. */
COMFY_PUBLISHER_CHECKED int comfy_publisher_json(struct comfy_publisher *p, const char *sid, const char *type,
                                                 const char *json);
/* A binary event: clients get the code, four bytes, then these. Not code 2. */
COMFY_PUBLISHER_CHECKED int comfy_publisher_binary(struct comfy_publisher *p, const char *sid, uint32_t code,
                                                   const void *data, size_t bytes);
/* A preview, code 4: an encoded picture ("JPEG": only the newest of a node matters; "PNG": may be a result, is
 * kept). `metadata`: a JSON object (node_id, prompt_id, display_node_id, ...), or NULL. */
COMFY_PUBLISHER_CHECKED int comfy_publisher_preview(struct comfy_publisher *p, const char *sid,
                                                    const char *format, const void *image, size_t bytes,
                                                    const char *metadata);
/* Any event, as a whole: the MessagePack map of WORKERS.md, with its sid, worker, keep and ts as they stand. */
COMFY_PUBLISHER_CHECKED int comfy_publisher_envelope(struct comfy_publisher *p, const void *envelope,
                                                     size_t bytes);

/* The worker.
 *
 * Says what the worker does: how many prompts it has queued or running, whose it executes (NULL: none). From the
 * first time on it is a worker that relays miss: this is sent at once, in order with the events, and then every
 * COMFY_PUBLISHER_HEARTBEAT_MS by whichever function is called next. So call one, comfy_publisher_flush(p, 0) will do, at
 * least that often, until comfy_publisher_close() says goodbye. Before the first time there are no heartbeats.
 * 0; -EAGAIN or -ENOMEM: it will be sent as soon as there is room; -EINVAL: no valid sid. */
COMFY_PUBLISHER_CHECKED int comfy_publisher_status(struct comfy_publisher *p, uint64_t queue_remaining,
                                                   const char *sid, const char *prompt_id);

/* Sends, waiting until Redis has answered all that was published, for at most so long; connects where there is no connection.
 * With 0 it does what can be done without waiting. 0, or -ETIMEDOUT: something has no answer yet, and stays in the queue. */
COMFY_PUBLISHER_API int comfy_publisher_flush(struct comfy_publisher *p, unsigned timeout_ms);

/* Flushes for at most so long; a worker (comfy_publisher_status) says goodbye. Then it is gone, with what was not
 * answered: 0, -ETIMEDOUT when there was some, or -ENOMEM: all was answered, and there was no goodbye. NULL is fine. */
COMFY_PUBLISHER_CHECKED int comfy_publisher_close(struct comfy_publisher *p, unsigned timeout_ms);

/* For a loop of one's own: what to wait for, as poll() takes it (fd -1: nothing), and, as its result, for how many
 * milliseconds at most; then call comfy_publisher_flush(p, 0). */
COMFY_PUBLISHER_API int comfy_publisher_poll(const struct comfy_publisher *p, struct pollfd *wants);

struct comfy_publisher_counters {
    uint64_t published; /* events that Redis has answered */
    uint64_t
        errors; /* what it answered with an error: connected clients have these events, its log may not. And what it has
                   ended the connection for, again and again (proto-max-bulk-len): nobody has these */
    uint64_t connections; /* made so far */
    size_t queued_events; /* that wait for an answer */
    size_t queued_bytes;
    int is_connected; /* to a Redis that answers */
};

COMFY_PUBLISHER_API struct comfy_publisher_counters comfy_publisher_counters(const struct comfy_publisher *p);

/* Why the latest call failed; where it did not (or was a flush that may not wait), what last went wrong with the connection, or
 * Redis' own words; or "". Valid until the next call. Never a password, nor a sid. */
COMFY_PUBLISHER_API const char *comfy_publisher_error(const struct comfy_publisher *p);
/* The worker's id. */
COMFY_PUBLISHER_API const char *comfy_publisher_worker(const struct comfy_publisher *p);

#ifdef __cplusplus
}
#endif

#endif
