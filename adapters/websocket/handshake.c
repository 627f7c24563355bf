#include "adapters/websocket/handshake.h"

#include <errno.h>
#include <stdlib.h>

#include "adapters/http/upgrade.h"
#include "adapters/websocket/inbox.h"

static void log_refusal(struct conn *c, enum reject_reason reason)
{
    uint64_t suppressed;
    if (!log_limit_pass(&c->shared->refusals, uv_now(c->shared->loop), &suppressed))
        return;
    logger_warn(c->shared->logger, "handshake refused", LOG_STR("reason", reject_reason_label(reason)),
                LOG_INT("status", upgrade_status(reason)), LOG_INT("suppressed", suppressed));
}

/* `r` is NULL when the request could not be read. */
static void refuse(struct conn *c, enum reject_reason reason, const struct request *r)
{
    char response[UPGRADE_RESPONSE_MAX];
    c->shared->relay->metrics.rejected[reason]++;
    log_refusal(c, reason);
    conn_send(c, response, upgrade_refused(response, reason, r, time(NULL)));
    if (c->phase == PHASE_HANDSHAKE)
        conn_linger(c);
}

/* What speaks against one more connection, whoever it is. */
static enum reject_reason check_admission(const struct shared *s)
{
    if (s->is_draining)
        return REJECT_DRAINING;
    return s->relay->metrics.connections >= s->options->limits_connections ? REJECT_CONNECTIONS
                                                                           : REJECT_NOTHING;
}

/* Joins its session. Until the 101 is sent nothing must be written to it. */
static enum reject_reason join(struct conn *c, const struct upgrade *u)
{
    struct shared *s = c->shared;
    c->cursor.is_blocked = true;
    if (relay_attach(s->relay, &c->cursor, span_of(u->sid, u->sid_len), uv_now(s->loop)) < 0)
        return REJECT_NO_MEMORY;
    c->was_upgraded = true;
    s->upgraded++;
    s->relay->metrics.handshakes++;
    s->relay->metrics.connections++;
    return REJECT_NOTHING;
}

static void log_opened(struct conn *c)
{
    char sid[SID_SHORT_BYTES];
    if (c->shared->logger->level < LOG_DEBUG)
        return;
    sid_shorten(session_sid(c->cursor.session), sid);
    logger_debug(c->shared->logger, "connection opened", LOG_STR("sid", sid));
}

static void accept_upgrade(struct conn *c, const struct request *r, struct span rest)
{
    char response[UPGRADE_RESPONSE_MAX];
    log_opened(c);
    conn_enter(c, PHASE_QUIET);
    conn_send(c, response, upgrade_accepted(response, r));
    if (conn_is_open(c))
        relay_writable(c->shared->relay, &c->cursor);
    if (conn_is_open(c) && rest.len > 0)
        inbox_receive(c, rest);
}

static void answer(struct conn *c, const struct request *r, struct span rest)
{
    struct upgrade u;
    enum reject_reason reason = upgrade_decide(&u, r, c->shared->options->ws_origins);
    if (reason == REJECT_NOTHING)
        reason = check_admission(c->shared);
    if (reason == REJECT_NOTHING)
        reason = join(c, &u);
    if (reason == REJECT_NOTHING)
        accept_upgrade(c, r, rest);
    else
        refuse(c, reason, r);
}

static int keep(struct conn *c, struct span bytes)
{
    uint8_t *grown = realloc(c->head, c->head_len + bytes.len);
    if (!grown)
        return -ENOMEM;
    memcpy(grown + c->head_len, bytes.bytes, bytes.len);
    c->head = grown;
    c->head_len += (uint32_t)bytes.len;
    return 0;
}

/* The bytes so far; `is_kept`: they are in c->head already. */
static void look(struct conn *c, struct span bytes, bool is_kept)
{
    struct request r;
    uint64_t limit = c->shared->options->limits_header_bytes;
    enum request_result result = request_parse(&r, bytes.bytes, bytes.len);
    if (result == REQUEST_MALFORMED)
        refuse(c, REJECT_MALFORMED, NULL);
    else if ((result == REQUEST_COMPLETE ? r.head_bytes : bytes.len + 1) > limit)
        refuse(c, REJECT_HEADER_BYTES, result == REQUEST_COMPLETE ? &r : NULL);
    else if (result == REQUEST_COMPLETE)
        answer(c, &r, span_of(bytes.bytes + r.head_bytes, bytes.len - r.head_bytes));
    else if (!is_kept && keep(c, bytes) < 0)
        refuse(c, REJECT_NO_MEMORY, NULL);
}

void handshake_receive(struct conn *c, struct span bytes)
{
    if (!c->head) {
        look(c, bytes, false);
    } else if (keep(c, bytes) < 0) {
        refuse(c, REJECT_NO_MEMORY, NULL);
    } else {
        look(c, span_of(c->head, c->head_len), true);
    }
    if (c->phase == PHASE_HANDSHAKE)
        return;
    free(c->head);
    c->head = NULL;
}

void handshake_expire(struct conn *c)
{
    refuse(c, REJECT_TIMEOUT, NULL);
}
