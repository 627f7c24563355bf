#include "adapters/publisher/courier.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define PIECES          64
#define BACK_OFF_MS     50
#define BACK_OFF_MAX_MS 1000
#define CUTS            3 /* at one post, which is then given up */

void courier_init(struct courier *c, const struct courier_config *config)
{
    *c = (struct courier){.config = config,
                          .connection = CONNECTION_CLOSED,
                          .on_its_way = SIZE_MAX,
                          .back_off_ms = BACK_OFF_MS};
    backlog_init(&c->greeting);
    backlog_init(&c->backlog);
}

void courier_deinit(struct courier *c)
{
    connection_close(&c->connection);
    backlog_deinit(&c->greeting);
    backlog_deinit(&c->backlog);
}

/* Half of it to all of it. */
static uint64_t with_jitter(uint64_t ms)
{
    uint32_t random = 0;
    if (getrandom(&random, sizeof random, GRND_NONBLOCK) != sizeof random)
        random = 0;
    return ms / 2 + random % (ms / 2 + 1);
}

/* Gives the connection up. */
static void leave(struct courier *c, uint64_t now_ms, const char *because)
{
    const struct redis_url *url = &c->config->url;
    if (url->is_unix)
        snprintf(c->why, sizeof c->why, "Redis at %.120s: %.100s", url->host, because);
    else
        snprintf(c->why, sizeof c->why, "Redis at %.100s:%u: %.100s", url->host, url->port, because);
    connection_close(&c->connection);
    backlog_deinit(&c->greeting);
    backlog_rewind(&c->backlog);
    c->on_its_way = SIZE_MAX;
    c->state = COURIER_AWAY;
    c->retry_ms = now_ms + with_jitter(c->back_off_ms);
    c->back_off_ms = c->back_off_ms * 2 < BACK_OFF_MAX_MS ? c->back_off_ms * 2 : BACK_OFF_MAX_MS;
}

static void give_up_oldest(struct courier *c)
{
    size_t len = strlen(c->why);
    snprintf(c->why + len, sizeof c->why - len,
             "; a command of %zu bytes is given up, for it was so %d times",
             TAILQ_FIRST(&c->backlog.posts)->len, CUTS);
    backlog_give_up(&c->backlog);
    c->errors++;
    c->cuts = 0;
}

/* Redis has ended the connection: it may be for what it was sent. */
static void on_cut(struct courier *c, uint64_t now_ms, const char *because)
{
    bool is_for_post = c->state == COURIER_AT_WORK && backlog_is_in_flight(&c->backlog);
    leave(c, now_ms, because);
    c->cuts += is_for_post;
    if (c->cuts == CUTS)
        give_up_oldest(c);
}

static void leave_for(struct courier *c, uint64_t now_ms, int error)
{
    if (error == -EPIPE)
        on_cut(c, now_ms, "it has closed the connection");
    else if (error == -ECONNRESET)
        on_cut(c, now_ms, strerror(ECONNRESET));
    else
        leave(c, now_ms, strerror(-error));
}

/* The greeting */

static bool greet_with(struct courier *c, const struct span *args, size_t count)
{
    struct post *post = post_new(args, count);
    if (!post)
        return false;
    backlog_add(&c->greeting, post);
    return true;
}

static bool add_auth(struct courier *c)
{
    const char *user = c->config->url.user, *password = c->config->password;
    if (!password)
        return true;
    struct span named[] = {span_str("AUTH"), span_str(user ? user : ""), span_str(password)};
    struct span unnamed[] = {span_str("AUTH"), span_str(password)};
    return user ? greet_with(c, named, 3) : greet_with(c, unnamed, 2);
}

static bool add_select(struct courier *c)
{
    char database[16];
    if (c->config->url.database == 0)
        return true;
    snprintf(database, sizeof database, "%u", c->config->url.database);
    struct span args[] = {span_str("SELECT"), span_str(database)};
    return greet_with(c, args, 2);
}

/* Redis is ready for what follows: it has read its data. */
static bool add_ping(struct courier *c)
{
    struct span args[] = {span_str("PING")};
    return greet_with(c, args, 1);
}

static void on_connection(struct courier *c, uint64_t now_ms)
{
    c->state = COURIER_GREETING;
    c->connections++;
    if (!add_auth(c) || !add_select(c) || !add_ping(c))
        leave_for(c, now_ms, -ENOMEM);
}

static void connect_to_redis(struct courier *c, uint64_t now_ms)
{
    char why[COURIER_WHY_BYTES];
    if (now_ms < c->retry_ms)
        return;
    c->moved_ms = now_ms;
    if (connection_open(&c->connection, &c->config->url, why, sizeof why) < 0)
        leave(c, now_ms, why);
    else
        c->state = COURIER_CONNECTING;
}

static void check_connecting(struct courier *c, uint64_t now_ms)
{
    int made = connection_is_made(&c->connection);
    if (made < 0)
        leave_for(c, now_ms, made);
    else if (made > 0)
        on_connection(c, now_ms);
    else if (now_ms - c->moved_ms >= c->config->connect_timeout_ms)
        leave_for(c, now_ms, -ETIMEDOUT);
}

/* Answers */

/* Redis 6.2 says first where in the script it was. */
static const char *skip_place(const char *text)
{
    const char *place = strncmp(text, "@user_script:", 13) == 0 ? strstr(text, ": -") : NULL;
    return place ? place + 3 : text;
}

/* Redis has not done what it was asked, and will in a while. */
static bool is_not_done(const redisReply *reply)
{
    static const char *const words[] = {"LOADING ",  "BUSY ",     "MASTERDOWN ",
                                        "READONLY ", "TRYAGAIN ", "NOAUTH "};
    struct span text = span_str(skip_place(reply->str));
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (span_starts_with(text, words[i]))
            return true;
    return false;
}

/* Of what Redis has not understood it has done nothing, and reads no more. */
static bool is_last_word(const redisReply *reply)
{
    return span_starts_with(span_str(reply->str), "ERR Protocol error");
}

static void note_error(struct courier *c, const redisReply *reply)
{
    c->errors++;
    snprintf(c->why, sizeof c->why, "Redis answered: %.200s", reply->str);
}

static void on_answer(struct courier *c, const redisReply *reply, uint64_t now_ms)
{
    bool is_error = reply->type == REDIS_REPLY_ERROR;
    if (is_error && is_not_done(reply)) {
        leave(c, now_ms, reply->str);
        return;
    }
    if (is_error && is_last_word(reply)) {
        on_cut(c, now_ms, reply->str);
        return;
    }
    if (is_error)
        note_error(c, reply);
    c->cuts = 0;
    c->on_its_way = SIZE_MAX;
    c->back_off_ms = BACK_OFF_MS;
    c->published += TAILQ_FIRST(&c->backlog.posts)->is_event;
    backlog_done(&c->backlog);
}

static void on_greeted(struct courier *c, const redisReply *reply, uint64_t now_ms)
{
    if (reply->type == REDIS_REPLY_ERROR) {
        leave(c, now_ms, reply->str);
        return;
    }
    backlog_done(&c->greeting);
    c->on_its_way = SIZE_MAX;
    if (backlog_is_empty(&c->greeting))
        c->state = COURIER_AT_WORK;
}

static struct backlog *at_hand(struct courier *c)
{
    return c->state == COURIER_GREETING ? &c->greeting : &c->backlog;
}

static void on_reply(struct courier *c, const redisReply *reply, uint64_t now_ms)
{
    if (!backlog_awaits_answer(at_hand(c))) /* a protocol error, or its last words */
        on_cut(c, now_ms, reply->type == REDIS_REPLY_ERROR ? reply->str : "an answer to nothing");
    else if (c->state == COURIER_GREETING)
        on_greeted(c, reply, now_ms);
    else
        on_answer(c, reply, now_ms);
}

/* Bytes */

static bool is_connected(const struct courier *c)
{
    return c->state >= COURIER_GREETING;
}

/* How many posts may go out together. */
static size_t may_go(const struct courier *c)
{
    if (c->state != COURIER_AT_WORK || c->cuts == 0)
        return PIECES;
    return backlog_awaits_answer(&c->backlog) ? 0 : 1;
}

static void take_replies(struct courier *c, uint64_t now_ms)
{
    redisReply *reply = NULL;
    while (is_connected(c)) {
        int error = connection_reply(&c->connection, &reply);
        if (error < 0)
            leave_for(c, now_ms, error);
        if (error < 0 || !reply)
            return;
        on_reply(c, reply, now_ms);
        freeReplyObject(reply);
    }
}

/* True when some have come. */
static bool read_some(struct courier *c, uint64_t now_ms)
{
    ssize_t n = connection_read(&c->connection);
    if (n < 0)
        leave_for(c, now_ms, (int)n);
    if (n <= 0)
        return false;
    c->moved_ms = now_ms;
    take_replies(c, now_ms);
    return true;
}

/* Redis has closed; what it had said before is still to be read. */
static void hear_it_out(struct courier *c, uint64_t now_ms, int error)
{
    while (is_connected(c) && read_some(c, now_ms))
        ;
    if (is_connected(c))
        leave_for(c, now_ms, error);
}

/* True when some were taken. */
static bool write_some(struct courier *c, uint64_t now_ms)
{
    struct iovec pieces[PIECES];
    struct backlog *b = at_hand(c);
    size_t count = backlog_gather(b, pieces, may_go(c));
    if (count == 0)
        return false;
    bool is_waited_for =
        backlog_is_in_flight(b) && b->sent == 0; /* else Redis takes what it was slow to take */
    ssize_t n = connection_write(&c->connection, pieces, count);
    if (n < 0) {
        hear_it_out(c, now_ms, (int)n);
        return false;
    }
    if (n > 0 && !is_waited_for)
        c->moved_ms = now_ms;
    backlog_sent(b, (size_t)n);
    return n > 0;
}

/* A line that is slow is not silent. What goes out behind the oldest says nothing: it does so while Redis hangs, too. */
static void watch_oldest(struct courier *c, uint64_t now_ms)
{
    size_t left = backlog_on_its_way(at_hand(c), connection_waiting(&c->connection));
    if (left >= c->on_its_way)
        return;
    c->on_its_way = left;
    c->moved_ms = now_ms;
}

static void check_silence(struct courier *c, uint64_t now_ms)
{
    if (!backlog_is_in_flight(at_hand(c)))
        return;
    watch_oldest(c, now_ms);
    if (now_ms - c->moved_ms >= c->config->answer_timeout_ms)
        leave(c, now_ms, "it does not answer");
}

static void work(struct courier *c, uint64_t now_ms)
{
    bool has_moved = true;
    while (has_moved && is_connected(c)) {
        has_moved = write_some(c, now_ms);
        if (is_connected(c))
            has_moved |= read_some(c, now_ms);
    }
    if (is_connected(c))
        check_silence(c, now_ms);
}

void courier_turn(struct courier *c, uint64_t now_ms)
{
    if (c->state == COURIER_AWAY)
        connect_to_redis(c, now_ms);
    if (c->state == COURIER_CONNECTING)
        check_connecting(c, now_ms);
    if (is_connected(c))
        work(c, now_ms);
}

uint64_t courier_wants(const struct courier *c, int *fd, short *events)
{
    const struct backlog *b = c->state == COURIER_GREETING ? &c->greeting : &c->backlog;
    *fd = connection_fd(&c->connection);
    *events = POLLIN;
    if (c->state == COURIER_AWAY)
        return c->retry_ms;
    if (c->state == COURIER_CONNECTING) {
        *events = POLLOUT;
        return c->moved_ms + c->config->connect_timeout_ms;
    }
    if (backlog_has_unsent(b) && may_go(c) > 0)
        *events |= POLLOUT;
    return backlog_is_in_flight(b) ? c->moved_ms + c->config->answer_timeout_ms : UINT64_MAX;
}
