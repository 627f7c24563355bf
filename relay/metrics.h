/* What the relay counts. One table each: the enum, the labels and the text of /metrics come from it. */
#ifndef RELAY_METRICS_H
#define RELAY_METRICS_H

#include <stdint.h>

/* X(field, kind, name without comfy_relay_, help) */
#define METRICS(X)                                                                                           \
    X(connections, gauge, "connections", "WebSocket connections that are open.")                             \
    X(sessions, gauge, "sessions", "Sessions that are known, with or without a socket.")                     \
    X(redis_up, gauge, "redis_up", "1 while subscribed to Redis.")                                           \
    X(workers, gauge, "workers", "Workers that are alive.")                                                  \
    X(queue_remaining, gauge, "queue_remaining", "Prompts queued or running, summed over live workers.")     \
    X(log_events, gauge, "log_events", "Events held in the logs of all sessions.")                           \
    X(reading, gauge, "sessions_reading", "Sessions whose log is being read from Redis.")                    \
    X(log_bytes, gauge, "log_bytes", "Bytes of frames held in the logs of all sessions.")                    \
    X(events, counter, "events_total", "Events received from Redis, dropped ones included.")                 \
    X(broadcasts, counter, "broadcasts_total", "Events that were for every session.")                        \
    X(unrouted, counter, "unrouted_total", "Events for a session that has no log here.")                     \
    X(frames, counter, "frames_total", "Frames handed to sockets.")                                          \
    X(sent_bytes, counter, "sent_bytes_total", "Bytes written to sockets.")                                  \
    X(conflated, counter, "conflated_total", "Events replaced by a newer one before every socket had them.") \
    X(replayed, counter, "replayed_total", "Events sent again or late to a socket that came back.")          \
    X(read_back, counter, "read_back_total", "Events read from the logs in Redis.")                          \
    X(takeovers, counter, "takeovers_total", "Sessions that another relay has taken over from this one.")    \
    X(acks_stored, counter, "acks_stored_total", "Times that a client's place was stored in Redis.")         \
    X(data_lost, counter, "redis_data_lost_total", "Times that Redis had lost what it knew of a session.")   \
    X(given_up, counter, "logs_given_up_total", "Logs of idle sessions given up for limits.memory_bytes.")   \
    X(replay_gaps, counter, "replay_gaps_total", "Times a socket lost events that its log no longer held.")  \
    X(lost_workers, counter, "lost_workers_total", "Workers that fell silent or were restarted.")            \
    X(doubled_workers, counter, "doubled_workers_total",                                                     \
      "Heartbeats of a second process with the id of a worker.")                                             \
    X(redis_reconnects, counter, "redis_reconnects_total", "Connections made to Redis after the first.")     \
    X(redis_errors, counter, "redis_errors_total",                                                           \
      "Replies about sessions that were errors, or of a type that does not belong there.")                   \
    X(heap_trims, counter, "heap_trims_total",                                                               \
      "Times that free memory was given back to the system, after much was in use.")                         \
    X(handshakes, counter, "handshakes_total", "WebSocket upgrades that were answered with 101.")            \
    X(client_messages, counter, "client_messages_total", "Messages received from clients.")                  \
    X(ops_evicted, counter, "ops_connections_evicted_total",                                                 \
      "Connections to ops.listen that gave way to a newer one.")                                             \
    X(out_of_memory, counter, "out_of_memory_total", "Events or sockets given up for want of memory.")

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

/* What a person should be told of. X(NAME, is a warning, whether it is about a SESSION or a WORKER, text of the log line) */
#define NOTES(X)                                                                                 \
    X(GAP, true, SESSION, "a client has missed events: the log did not reach back to its place") \
    X(DATA_LOST, true, SESSION, "Redis has lost what it knew of a session")                      \
    X(TAKEN_OVER, false, SESSION, "session taken over by another relay")                         \
    X(GIVEN_UP, true, SESSION, "log of an idle session given up for limits.memory_bytes")        \
    X(DOUBLED, true, WORKER, "two processes have the same worker id")

#define NOTE_NAME(NAME, is_warning, about, text) NOTE_##NAME,

enum note { NOTES(NOTE_NAME) NOTES_COUNT };

#define DROP_NAME(NAME, label)   DROP_##NAME,
#define REJECT_NAME(NAME, label) REJECT_##NAME,
#define CLOSE_NAME(NAME, label)  CLOSE_##NAME,
#define MEMORY_NAME(NAME, label) MEMORY_##NAME,

enum drop_reason { DROP_NOTHING, DROP_REASONS(DROP_NAME) DROP_REASONS_COUNT };
enum reject_reason { REJECT_NOTHING, REJECT_REASONS(REJECT_NAME) REJECT_REASONS_COUNT };
enum close_reason { CLOSE_NOTHING, CLOSE_REASONS(CLOSE_NAME) CLOSE_REASONS_COUNT };
enum memory_kind { MEMORY_KINDS(MEMORY_NAME) MEMORY_KINDS_COUNT };

#define METRICS_FIELD(field, kind, name, help) uint64_t field;

struct metrics {
    METRICS(METRICS_FIELD)
    uint64_t dropped[DROP_REASONS_COUNT];
    uint64_t rejected[REJECT_REASONS_COUNT];
    uint64_t closed[CLOSE_REASONS_COUNT];
    uint64_t memory[MEMORY_KINDS_COUNT];
};

const char *drop_reason_label(enum drop_reason reason);
const char *reject_reason_label(enum reject_reason reason);
const char *close_reason_label(enum close_reason reason);
const char *memory_kind_label(enum memory_kind kind);

#endif
