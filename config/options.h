/* The options: one table. The parser, the defaults, --help, the example file and the reference come of it. */
#ifndef CONFIG_OPTIONS_H
#define CONFIG_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum duplicate { DUPLICATE_REPLACE, DUPLICATE_SHARE };
enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };
enum log_format { LOG_TEXT, LOG_JSON };
enum boolean { BOOLEAN_FALSE, BOOLEAN_TRUE };

/* X(field, name, type, default, lowest, highest, when, help)
 * type: TIME (uint64_t, ms), BYTES (uint64_t), COUNT (uint64_t), the name of an enum above, or a text (owned,
 * never NULL) that is checked: ADDRESSES, ADDRESS (or empty), REDIS_URL, WORD, FILENAME (or empty), JSON (an
 * object), ORIGINS. lowest and highest bound the three numeric types. `when` is RELOAD for what a SIGHUP
 * takes over, START for the rest. */
#define OPTIONS(X)                                                                                         \
    X(listen, "listen", ADDRESSES, "127.0.0.1:8190", 0, 0, START,                                          \
      "WebSocket address(es), comma-separated; IPv6 in brackets; unix:/path, made with mode 0666")         \
    X(listen_shared, "listen.shared", boolean, "false", 0, 0, START,                                       \
      "true: other processes may listen on the same port, with this option, as the same user; TCP only")   \
    X(ops_listen, "ops.listen", ADDRESS, "127.0.0.1:9190", 0, 0, START,                                    \
      "address of the inspector page at /, /live, /ready and /metrics, never shared; empty: none")         \
    X(redis_url, "redis.url", REDIS_URL, "redis://127.0.0.1:6379/0", 0, 0, START,                          \
      "where Redis is; its password may be in redis.password_file instead")                                \
    X(redis_prefix, "redis.prefix", WORD, "comfy", 0, 0, START, "first part of every channel and key")     \
    X(redis_password_file, "redis.password_file", FILENAME, "", 0, 0, START,                               \
      "a file instead of a password in the URL")                                                           \
    X(session_ttl_ms, "session.ttl", TIME, "300s", 1, 604800000, START,                                    \
      "how long a session is remembered after its last socket closed")                                     \
    X(session_duplicate, "session.duplicate", duplicate, "replace", 0, 0, START,                           \
      "two sockets of one session: the newer one receives (replace), or both (share)")                     \
    X(session_log_events, "session.log_events", COUNT, "4096", 1, 1048576, RELOAD,                         \
      "most events that a session's log holds")                                                            \
    X(session_log_bytes, "session.log_bytes", BYTES, "16MiB", 1, 1099511627776, RELOAD,                    \
      "most bytes that it holds")                                                                          \
    X(features, "features", JSON, "{\"supports_preview_metadata\":true,\"max_upload_size\":104857600}", 0, \
      0, RELOAD, "the data of the server's feature_flags reply, a JSON object")                            \
    X(ws_ping_interval_ms, "ws.ping_interval", TIME, "20s", 1, 3600000, RELOAD, "time between pings")      \
    X(ws_ping_timeout_ms, "ws.ping_timeout", TIME, "20s", 1, 3600000, RELOAD,                              \
      "no pong for so long after a ping: the socket is dead")                                              \
    X(ws_origins, "ws.origins", ORIGINS, "same-host", 0, 0, RELOAD,                                        \
      "same-host, *, or a comma-separated list of origins; a request without Origin passes")               \
    X(ws_coalesce_ms, "ws.coalesce", TIME, "4ms", 0, 1000, RELOAD,                                         \
      "longest time that an event of which only the newest matters, of up to 16 KiB, waits for others to " \
      "share its write")                                                                                   \
    X(limits_connections, "limits.connections", COUNT, "100000", 1, 10000000, RELOAD,                      \
      "above it an upgrade gets 503 with Retry-After")                                                     \
    X(limits_handshake_timeout_ms, "limits.handshake_timeout", TIME, "10s", 1, 3600000, RELOAD,            \
      "a slower handshake gets 408")                                                                       \
    X(limits_header_bytes, "limits.header_bytes", BYTES, "8KiB", 64, 1048576, RELOAD,                      \
      "a longer request gets 431")                                                                         \
    X(limits_client_message_bytes, "limits.client_message_bytes", BYTES, "1MiB", 1, 1073741824, RELOAD,    \
      "a longer message from a client closes its socket with 1009")                                        \
    X(limits_message_bytes, "limits.message_bytes", BYTES, "64MiB", 1, 536870912, RELOAD,                  \
      "a larger event from Redis is dropped")                                                              \
    X(limits_socket_bytes, "limits.socket_bytes", BYTES, "8MiB", 1, 1099511627776, RELOAD,                 \
      "most bytes handed to one socket and not yet taken by it")                                           \
    X(limits_memory_bytes, "limits.memory_bytes", BYTES, "0", 0, 1099511627776, RELOAD,                    \
      "most bytes that the logs of all sessions hold together, those of idle sessions given up first; 0: " \
      "no limit")                                                                                          \
    X(status_interval_ms, "status.interval", TIME, "250ms", 0, 3600000, RELOAD,                            \
      "least time between two status broadcasts")                                                          \
    X(worker_timeout_ms, "worker.timeout", TIME, "15s", 1, 86400000, RELOAD,                               \
      "a worker silent for so long is lost")                                                               \
    X(drain_time_ms, "drain.time", TIME, "10s", 0, 3600000, RELOAD,                                        \
      "over how long a drain closes the sockets")                                                          \
    X(log_level, "log.level", log_level, "info", 0, 0, RELOAD, "error, warn, info or debug")               \
    X(log_format, "log.format", log_format, "text", 0, 0, START,                                           \
      "text (key=value) or json; to standard error")

#define OPTION_C_ADDRESSES  char *
#define OPTION_C_ADDRESS    char *
#define OPTION_C_REDIS_URL  char *
#define OPTION_C_WORD       char *
#define OPTION_C_FILENAME   char *
#define OPTION_C_JSON       char *
#define OPTION_C_ORIGINS    char *
#define OPTION_C_TIME       uint64_t
#define OPTION_C_BYTES      uint64_t
#define OPTION_C_COUNT      uint64_t
#define OPTION_C_duplicate  enum duplicate
#define OPTION_C_log_level  enum log_level
#define OPTION_C_log_format enum log_format
#define OPTION_C_boolean    enum boolean

#define OPTION_FIELD(field, name, type, fallback, lowest, highest, when, help) OPTION_C_##type field;

struct options {
    OPTIONS(OPTION_FIELD)
};

#endif
