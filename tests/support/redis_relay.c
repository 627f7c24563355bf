#include "tests/support/redis_relay.h"

#include <stdlib.h>

#include "adapters/msgpack/codec.h"

static void keep_text(struct relay_socket *s, struct span payload)
{
    size_t used = strlen(s->text), room = sizeof s->text - 2;
    size_t n = payload.len < room ? payload.len : room;
    if (used + n > room) {
        memmove(s->text, s->text + used + n - room, room - n + 1);
        used = strlen(s->text);
    }
    memcpy(s->text + used, payload.bytes, n);
    memcpy(s->text + used + n, "\n", 2);
}

static void write_all(struct sockets *self, struct cursor *c)
{
    struct redis_relay *r = (struct redis_relay *)((char *)self - offsetof(struct redis_relay, sockets));
    struct relay_socket *s = (struct relay_socket *)((char *)c - offsetof(struct relay_socket, cursor));
    struct frame *frames[16];
    int n;
    while ((n = cursor_peek(c, frames, 16, &(bool){0})) > 0) {
        for (int i = 0; i < n; i++) {
            keep_text(s, frame_payload(frames[i]));
            s->frames++;
            s->bytes += frame_payload(frames[i]).len;
        }
        cursor_take(c, n, &r->relay.metrics, uv_now(r->loop));
    }
}

void redis_relay_init(struct redis_relay *r, uv_loop_t *loop, const char *url)
{
    *r = (struct redis_relay){.loop = loop, .sockets.write = write_all};
    r->logger = (struct logger){.stream = open_memstream(&r->log, &r->log_len), .level = LOG_DEBUG};
    r->options = (struct options){
        .redis_url = (char *)url,
        .redis_prefix = (char *)"comfy",
        .redis_password_file = (char *)"",
        .session_ttl_ms = 60000,
        .session_duplicate = DUPLICATE_SHARE,
        .session_log_events = 4096,
        .session_log_bytes = 128 << 20,
        .limits_message_bytes = 64 << 20,
        .status_interval_ms = 10,
        .worker_timeout_ms = 300,
    };
}

const char *redis_relay_open(struct redis_relay *r)
{
    const struct options *o = &r->options;
    r->redis = redis_new(r->loop, o, &r->logger, r->why);
    if (!r->redis)
        return r->why;
    struct relay_config config = {.session_ttl_ms = o->session_ttl_ms,
                                  .status_interval_ms = o->status_interval_ms,
                                  .worker_timeout_ms = o->worker_timeout_ms,
                                  .log = {.events = o->session_log_events, .bytes = o->session_log_bytes},
                                  .message_bytes = o->limits_message_bytes,
                                  .share = o->session_duplicate == DUPLICATE_SHARE};
    journal_init(&r->journal, r->loop, &r->logger);
    struct ports ports = {.codec = codec_msgpack(),
                          .channels = redis_channels(r->redis),
                          .archive = redis_archive(r->redis),
                          .registry = redis_registry(r->redis),
                          .sockets = &r->sockets,
                          .journal = &r->journal.port};
    if (relay_init(&r->relay, &config, &ports, (const uint64_t[]){1, 2}) < 0)
        abort();
    r->ticker = ticker_open(r->loop, &r->relay);
    redis_open(r->redis, &r->relay);
    return NULL;
}

void redis_relay_close(struct redis_relay *r)
{
    if (!r->redis)
        return;
    while (!LIST_EMPTY(&r->attached))
        redis_relay_detach(r, LIST_FIRST(&r->attached));
    redis_close(r->redis);
    ticker_close(r->ticker);
}

void redis_relay_deinit(struct redis_relay *r)
{
    if (r->redis)
        relay_deinit(&r->relay);
    fclose(r->logger.stream);
    free(r->log);
}

void redis_relay_attach(struct redis_relay *r, struct relay_socket *s, const char *sid)
{
    *s = (struct relay_socket){0};
    if (relay_attach(&r->relay, &s->cursor, span_str(sid), uv_now(r->loop)) < 0)
        abort();
    LIST_INSERT_HEAD(&r->attached, s, in_attached);
}

void redis_relay_detach(struct redis_relay *r, struct relay_socket *s)
{
    LIST_REMOVE(s, in_attached);
    relay_detach(&r->relay, &s->cursor, uv_now(r->loop));
}

int redis_relay_count(const char *in, const char *text)
{
    int n = 0;
    for (const char *at = in; at && (at = strstr(at, text)); at += strlen(text))
        n++;
    return n;
}
