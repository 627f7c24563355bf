/* What the relay counts. One table: the struct, the text of /metrics and the page about it come from it. */
#ifndef RELAY_METRICS_H
#define RELAY_METRICS_H

#include <stddef.h>

#include "relay/histogram.h"

/* GROUP(title)                                                    what follows is about this
 * ONE(field, kind, name, help, look)                              a number
 * TIME(field, kind, name, help, look)                             nanoseconds, told in seconds
 * PER(field, VALUES, first, count, kind, name, label, help, look) a number for each value of a label, from first to count
 * LAG(field, name, help, look)                                    a histogram of times
 *
 * Names are without comfy_relay_. `look` ends the sentence "Look at it when ...". */
#define METRICS(GROUP, ONE, TIME, PER, LAG)                                                                  \
    GROUP("Clients")                                                                                         \
    ONE(connections, gauge, "connections", "WebSocket connections that are open.",                           \
        "you want to know how many tabs are served, and how evenly relays share them")                       \
    ONE(connections_limit, gauge, "connections_limit", "The most of them: limits.connections.",              \
        "connections come near it: beyond it clients get 503")                                               \
    ONE(blocked, gauge, "connections_blocked",                                                               \
        "Connections that have not taken yet what was written to them.",                                     \
        "some users see old previews: their network, or a proxy, is slow")                                   \
    ONE(backlog_bytes, gauge, "connections_backlog_bytes",                                                   \
        "Bytes that those connections have not taken yet.", "memory grows with clients that do not read")    \
    PER(closed, close_labels, CLOSE_NOTHING + 1, CLOSE_REASONS_COUNT, counter, "connections_closed_total",   \
        "reason", "WebSocket connections that ended.",                                                       \
        "users are cut: lost and ping_timeout are networks and proxies, protocol a client that is wrong, "   \
        "drain your update")                                                                                 \
    ONE(handshakes, counter, "handshakes_total", "WebSocket upgrades that were answered with 101.",          \
        "many come back at once: after an update, or a proxy that cuts them")                                \
    PER(rejected, reject_labels, REJECT_NOTHING + 1, REJECT_REASONS_COUNT, counter,                          \
        "handshakes_rejected_total", "reason", "WebSocket upgrades that were refused.",                      \
        "users cannot connect: connections and descriptors are limits, origin and path configuration")       \
    ONE(client_messages, counter, "client_messages_total", "Messages received from clients.",                \
        "a client talks more than its feature flags")                                                        \
    ONE(sessions, gauge, "sessions", "Sessions that are known, with or without a socket.",                   \
        "memory grows though connections do not")                                                            \
    GROUP("Events and frames")                                                                               \
    ONE(events, counter, "events_total", "Events received from Redis, dropped ones included.",               \
        "nothing arrives at clients: does it arrive here?")                                                  \
    ONE(received_bytes, counter, "received_bytes_total", "Bytes of the events received from Redis.",         \
        "the network to Redis is full, or Redis cuts subscribers")                                           \
    PER(routed, class_labels, CLASS_KEEP, CLASS_OWN, counter, "routed_events_total", "class",                \
        "Events that were for sessions here, a broadcast counted once. keep: held in order; latest: a "      \
        "newer one replaces it.",                                                                            \
        "you want to know what workers send: results, or previews and progress")                             \
    ONE(broadcasts, counter, "broadcasts_total", "Events that were for every session.",                      \
        "one event costs much: it goes to every connection")                                                 \
    ONE(unrouted, counter, "unrouted_total", "Events for a session that has no log here.",                   \
        "workers publish on the channel of all, so that each relay receives what is for others")             \
    PER(dropped, drop_labels, DROP_NOTHING + 1, DROP_REASONS_COUNT, counter, "messages_dropped_total",       \
        "reason", "Messages from Redis that were dropped.",                                                  \
        "a worker is new, or was updated: what it sends breaks the contract of WORKERS.md")                  \
    ONE(frames, counter, "frames_total", "Frames handed to sockets.",                                        \
        "you want to know the work that is done")                                                            \
    PER(sent, class_labels, CLASS_KEEP, CLASSES_COUNT, counter, "sent_frames_total", "class",                \
        "Frames handed to sockets. keep: held in order, broadcasts and status too; latest: a newer one "     \
        "replaces it; own: the first status, the node that executes, the feature flags.",                    \
        "previews take the place of results, or the other way round")                                        \
    ONE(sent_bytes, counter, "sent_bytes_total", "Bytes written to sockets.",                                \
        "the network to clients is full")                                                                    \
    ONE(conflated, counter, "conflated_total",                                                               \
        "Events replaced by a newer one before every socket had them.",                                      \
        "previews are jumpy: clients take fewer than workers send")                                          \
    GROUP("Lag")                                                                                             \
    LAG(delivery_lag, "delivery_lag_seconds",                                                                \
        "From an event's ts to when its frame is handed to a socket, for each of them. Replays, and events " \
        "without ts, are left out.",                                                                         \
        "users say that it is slow")                                                                         \
    LAG(arrival_lag, "arrival_lag_seconds", "From an event's ts to when the relay has received it.",         \
        "delivery_lag_seconds is high. This one too: it is Redis, the network, a worker's queue or this "    \
        "process; not this one: slow clients")                                                               \
    PER(timestamps, timestamp_labels, 0, TIMESTAMPS_COUNT, counter, "timestamps_implausible_total",          \
        "reason",                                                                                            \
        "Events whose ts cannot be. ahead: later than this machine's clock, their lag counts as 0; old: "    \
        "over an hour ago, their lag is not counted.",                                                       \
        "lag looks wrong: clocks of workers and relays differ, or ts is not in ms")                          \
    GROUP("Replay")                                                                                          \
    ONE(replayed, counter, "replayed_total", "Events sent again or late to a socket that came back.",        \
        "many reconnect")                                                                                    \
    ONE(replay_gaps, counter, "replay_gaps_total",                                                           \
        "Times a socket lost events that its log no longer held.",                                           \
        "it is not 0: a user has missed something. Raise session.log_events, session.log_bytes or "          \
        "limits.memory_bytes")                                                                               \
    ONE(read_back, counter, "read_back_total", "Events read from the logs in Redis.",                        \
        "Redis is busy after an update of the relays")                                                       \
    ONE(reading, gauge, "sessions_reading", "Sessions whose log is being read from Redis.",                  \
        "it does not fall after an outage: Redis is slow")                                                   \
    ONE(takeovers, counter, "takeovers_total", "Sessions that another relay has taken over from this one.",  \
        "two tabs with one id throw each other out, or the load balancer moves clients")                     \
    ONE(acks_stored, counter, "acks_stored_total", "Times that a client's place was stored in Redis.",       \
        "you want to know what acknowledging costs Redis")                                                   \
    ONE(log_events, gauge, "log_events", "Events held in the logs of all sessions.", "memory grows")         \
    ONE(log_bytes, gauge, "log_bytes", "Bytes of frames held in the logs of all sessions.",                  \
        "memory grows; limits.memory_bytes bounds it")                                                       \
    ONE(memory_limit, gauge, "log_limit_bytes",                                                              \
        "The most bytes of log_bytes: limits.memory_bytes. 0: no limit.",                                    \
        "log_bytes comes near it: beyond it logs are given up")                                              \
    ONE(given_up, counter, "logs_given_up_total", "Logs of idle sessions given up for limits.memory_bytes.", \
        "clients that come back read from Redis more than before, or miss something")                        \
    GROUP("Redis")                                                                                           \
    ONE(redis_up, gauge, "redis_up", "1 while subscribed to Redis.", "nothing arrives at any client")        \
    PER(redis_connections, redis_labels, 0, REDIS_CONNECTIONS_COUNT, gauge, "redis_connection_up",           \
        "connection",                                                                                        \
        "1 while this connection to Redis is made. subscriber: brings events; commands: logs and places of " \
        "sessions, workers.",                                                                                \
        "redis_up is 0, or /ready says that Redis is not asked")                                             \
    ONE(redis_reconnects, counter, "redis_reconnects_total",                                                 \
        "Times that the subscriber came back to Redis.",                                                     \
        "it rises by itself: the network, or client-output-buffer-limit pubsub")                             \
    ONE(commands_waiting, gauge, "redis_commands_waiting",                                                   \
        "Commands sent to Redis that are not answered yet.",                                                 \
        "it stays above some hundred: Redis is the bottleneck")                                              \
    ONE(redis_errors, counter, "redis_errors_total",                                                         \
        "Replies about sessions that were errors, or of a type that does not belong there.",                 \
        "Redis is out of memory, read-only, or shared with somebody who uses the same keys")                 \
    ONE(data_lost, counter, "redis_data_lost_total", "Times that Redis had lost what it knew of a session.", \
        "Redis was restarted without persistence or has evicted keys")                                       \
    GROUP("Workers")                                                                                         \
    ONE(workers, gauge, "workers", "Workers that are alive.", "runs wait though GPUs should be there")       \
    ONE(queue_remaining, gauge, "queue_remaining", "Prompts queued or running, summed over live workers.",   \
        "users wait: is it more workers that you need?")                                                     \
    ONE(lost_workers, counter, "lost_workers_total", "Workers that fell silent or were restarted.",          \
        "users see WorkerLost")                                                                              \
    ONE(doubled_workers, counter, "doubled_workers_total",                                                   \
        "Heartbeats of a second process with the id of a worker.",                                           \
        "it is not 0: give each worker an id of its own")                                                    \
    GROUP("Process")                                                                                         \
    ONE(ready, gauge, "ready",                                                                               \
        "1 while /ready answers 200: subscribed to Redis, caught up and not draining.",                      \
        "a load balancer takes the relay out")                                                               \
    ONE(draining, gauge, "draining", "1 from SIGTERM until the process ends.",                               \
        "you want to know whether an update is finished: 1 while connections fall to 0")                     \
    PER(build, version_labels, 0, 1, gauge, "build_info", "version", "1, with the version as a label.",      \
        "an update is under way: which relays have the new one?")                                            \
    ONE(start_time, gauge, "start_time_seconds", "When the process started, in seconds since 1970.",         \
        "you want to know whether it was restarted")                                                         \
    TIME(busy_ns, counter, "loop_busy_seconds_total",                                                        \
         "Time in which the event loop worked, or could have but waited for a core. Its rate is the share "  \
         "of a core in use; where the kernel does not tell, it is cpu_seconds_total.",                       \
         "lag is high: near 1 the process is full, start another one")                                       \
    TIME(cpu_ns, counter, "cpu_seconds_total", "User and system time of the process.",                       \
         "it is less than loop_busy_seconds_total: somebody else has the core, or the limit of the "         \
         "container is reached")                                                                             \
    ONE(resident_bytes, gauge, "resident_memory_bytes", "Memory of the process that is in RAM.",             \
        "the machine or the container runs out of memory")                                                   \
    PER(memory, memory_labels, 0, MEMORY_KINDS_COUNT, gauge, "memory_bytes", "kind",                         \
        "Memory by what it is used for; a frame that is in several logs counts in each.",                    \
        "memory grows: what for?")                                                                           \
    ONE(heap_allocated, gauge, "heap_allocated_bytes",                                                       \
        "Memory that is allocated, as the allocator counts it; 0 where it does not tell.",                   \
        "it is more than the kinds of memory_bytes add up to")                                               \
    ONE(heap_free, gauge, "heap_free_bytes",                                                                 \
        "Memory that the allocator keeps, for later or given back in part; 0 where it does not tell.",       \
        "resident memory does not fall")                                                                     \
    ONE(heap_trims, counter, "heap_trims_total",                                                             \
        "Times that free memory was given back to the system, after much was in use.",                       \
        "connections come and go by thousands")                                                              \
    ONE(ops_evicted, counter, "ops_connections_evicted_total",                                               \
        "Connections to ops.listen that gave way to a newer one.", "probes or scrapes fail")                 \
    ONE(out_of_memory, counter, "out_of_memory_total", "Events or sockets given up for want of memory.",     \
        "it is not 0: give the process more memory, or limits.memory_bytes a lower value")

/* Why an event was dropped. X(NAME, label) */
#define DROP_REASONS(X)                                                                             \
    X(MALFORMED, "malformed")     /* not MessagePack */                                             \
    X(TRUNCATED, "truncated")     /* a declared length goes beyond the end */                       \
    X(TRAILING, "trailing_bytes") /* something follows the event */                                 \
    X(NOT_A_MAP, "not_a_map")                                                                       \
    X(NO_TYPE, "no_type")                                                                           \
    X(BAD_TYPE, "bad_type") /* neither a string nor an unsigned 32-bit integer */                   \
    X(BAD_SID, "bad_sid")                                                                           \
    X(BAD_ENVELOPE, "bad_envelope") /* another key of the envelope has a value of the wrong type */ \
    X(BAD_ID, "bad_id")             /* not a stream id, or not on a session's channel */            \
    X(BAD_DATA, "bad_data")         /* the wrong shape for its type or code */                      \
    X(TOO_DEEP, "too_deep")                                                                         \
    X(TOO_LARGE, "too_large") /* over limits.message_bytes */                                       \
    X(TOO_MANY_WORKERS, "too_many_workers")                                                         \
    X(NOBODY, "nobody") /* sid "" */                                                                \
    X(NO_MEMORY, "no_memory")

/* Why a handshake was refused. X(NAME, label) */
#define REJECT_REASONS(X)           \
    X(MALFORMED, "malformed")       \
    X(METHOD, "method")             \
    X(PATH, "path")                 \
    X(NOT_UPGRADE, "not_upgrade")   \
    X(VERSION, "version")           \
    X(KEY, "key")                   \
    X(SID, "sid")                   \
    X(ORIGIN, "origin")             \
    X(HEADER_BYTES, "header_bytes") \
    X(TIMEOUT, "timeout")           \
    X(CONNECTIONS, "connections")   \
    X(DRAINING, "draining")         \
    X(DESCRIPTORS, "descriptors")   \
    X(NO_MEMORY, "no_memory")

/* Why the relay closed a connection. X(NAME, label) */
#define CLOSE_REASONS(X)                                                 \
    X(CLIENT, "client") /* the client closed first */                    \
    X(LOST, "lost")     /* the connection broke without a close frame */ \
    X(PING_TIMEOUT, "ping_timeout")                                      \
    X(PROTOCOL, "protocol")   /* 1002 or 1007 */                         \
    X(TOO_LARGE, "too_large") /* 1009 */                                 \
    X(DRAIN, "drain")         /* 1012 */                                 \
    X(NO_MEMORY, "no_memory")

/* What memory is used for, each block with what the allocator adds to it. X(NAME, label) */
#define MEMORY_KINDS(X)                                                                      \
    X(START, "start")             /* the program itself, before the first client */          \
    X(CONNECTIONS, "connections") /* with what a slow one has not taken yet */               \
    X(SESSIONS, "sessions")       /* and their table */                                      \
    X(LOGS, "logs")               /* room for entries, and where each conflation key's is */ \
    X(FRAMES, "frames")           /* of all logs; one that is in several counts in each */   \
    X(CATCHUPS, "catchups")       /* what is read from Redis, and what waits until it is */  \
    X(WORKERS, "workers")                                                                    \
    X(REDIS, "redis") /* commands that are sent and awaited */

/* What a frame is to its log. X(NAME, label) */
#define CLASSES(X)      \
    X(KEEP, "keep")     \
    X(LATEST, "latest") \
    X(OWN, "own") /* in none: for one socket alone */

/* What is wrong with the ts of an event. X(NAME, label) */
#define TIMESTAMP_FAULTS(X) \
    X(AHEAD, "ahead")       \
    X(OLD, "old")

/* X(NAME, label) */
#define REDIS_CONNECTIONS(X)    \
    X(SUBSCRIBER, "subscriber") \
    X(COMMANDS, "commands")

/* What a person should be told of. X(NAME, is a warning, whether it is about a SESSION or a WORKER, text of the log line) */
#define NOTES(X)                                                                                 \
    X(GAP, true, SESSION, "a client has missed events: the log did not reach back to its place") \
    X(DATA_LOST, true, SESSION, "Redis has lost what it knew of a session")                      \
    X(TAKEN_OVER, false, SESSION, "session taken over by another relay")                         \
    X(GIVEN_UP, true, SESSION, "log of an idle session given up for limits.memory_bytes")        \
    X(DOUBLED, true, WORKER, "two processes have the same worker id")

#define NOTE_NAME(NAME, is_warning, about, text) NOTE_##NAME,

enum note { NOTES(NOTE_NAME) NOTES_COUNT };

#define CLASS_NAME(NAME, label)     CLASS_##NAME,
#define TIMESTAMP_NAME(NAME, label) TIMESTAMP_##NAME,
#define REDIS_NAME(NAME, label)     REDIS_##NAME,
#define DROP_NAME(NAME, label)      DROP_##NAME,
#define REJECT_NAME(NAME, label)    REJECT_##NAME,
#define CLOSE_NAME(NAME, label)     CLOSE_##NAME,
#define MEMORY_NAME(NAME, label)    MEMORY_##NAME,

enum event_class { CLASSES(CLASS_NAME) CLASSES_COUNT };
enum timestamp_fault { TIMESTAMP_FAULTS(TIMESTAMP_NAME) TIMESTAMPS_COUNT };
enum redis_connection { REDIS_CONNECTIONS(REDIS_NAME) REDIS_CONNECTIONS_COUNT };
enum drop_reason { DROP_NOTHING, DROP_REASONS(DROP_NAME) DROP_REASONS_COUNT };
enum reject_reason { REJECT_NOTHING, REJECT_REASONS(REJECT_NAME) REJECT_REASONS_COUNT };
enum close_reason { CLOSE_NOTHING, CLOSE_REASONS(CLOSE_NAME) CLOSE_REASONS_COUNT };
enum memory_kind { MEMORY_KINDS(MEMORY_NAME) MEMORY_KINDS_COUNT };

#define METRICS_NO_FIELD(title)
#define METRICS_FIELD(field, kind, name, help, look)                               uint64_t field;
#define METRICS_FIELDS(field, values, first, count, kind, name, label, help, look) uint64_t field[count];
#define METRICS_HISTOGRAM(field, name, help, look)                                 struct histogram field;

struct metrics {
    METRICS(METRICS_NO_FIELD, METRICS_FIELD, METRICS_FIELD, METRICS_FIELDS, METRICS_HISTOGRAM)
};

/* A row of the table. One with a title has nothing else. */
struct metric {
    const char *title;
    enum metric_shape { METRIC_ONE, METRIC_TIME, METRIC_PER, METRIC_LAG } shape;
    size_t at; /* in struct metrics */
    const char *kind, *name, *help, *look;
    const char *label;         /* of METRIC_PER, with its values from first to count */
    const char *const *values; /* by index */
    size_t first, count;
};

/* All rows, in order; the last has neither title nor name. */
extern const struct metric metric_table[];

const char *drop_reason_label(enum drop_reason reason);
const char *reject_reason_label(enum reject_reason reason);
const char *close_reason_label(enum close_reason reason);

#endif
