/* The floor that the relay is measured against: what the work costs when nothing else is done. Events of Redis to
 * WebSockets, without limits, policy, logs or replay; it trusts its peers and speaks what the benchmarks publish.
 *
 *     Redis ─▶ read ─▶ RESP in place ─▶ MessagePack to a frame ─▶ sockets of the session, or all
 *
 *     floor raw PORT REDIS         one write() for each event and socket
 *     floor raw-batch PORT REDIS   one write() for each socket and read from Redis: a buffer for each socket
 *     floor raw-shared PORT REDIS  the same, by writev() from one buffer for all
 *
 * REDIS is a path or HOST:PORT. Says "listening" when it does, and ends when it is killed. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/queue.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#define READ_BYTES     262144
#define BUCKETS        16384 /* a power of two */
#define HEADER         4     /* of most frames */
#define HEADER_MAX     10
#define GROWTH_MAX     6    /* of a MessagePack value in JSON: one byte, false, becomes false and a comma */
#define PIECES_MAX     1024 /* of one write: IOV_MAX */
#define WORDS(s)       s, sizeof(s) - 1
#define ALL_BYTES(x)   (UINT64_MAX / 255 * (x))
#define HAS_LESS(w, n) (((w)-ALL_BYTES(n)) & ~(w)&ALL_BYTES(128)) /* a byte below n, n at most 128 */
#define HAS(w, b)      HAS_LESS((w) ^ ALL_BYTES(b), 1)

struct bytes {
    uint8_t *at; /* owned */
    size_t len, capacity;
};

struct part {
    const uint8_t *at;
    size_t len;
};

/* A stretch of the frames that were made in this turn. */
struct piece {
    size_t from, len;
};

struct client {
    int fd;
    uint32_t piece_count, piece_capacity;
    struct piece *pieces;    /* owned: what this turn has for it */
    struct session *session; /* NULL before the upgrade */
    struct bytes in;         /* the request, until it is answered */
    struct bytes out;        /* what the socket did not take */
    LIST_ENTRY(client) in_all;
    LIST_ENTRY(client) in_session;
};

LIST_HEAD(clients, client);

struct session {
    bool is_subscribed;
    struct clients clients;
    LIST_ENTRY(session) in_bucket;
    char sid[]; /* as text */
};

LIST_HEAD(sessions, session);

enum kind { RAW, RAW_BATCH, RAW_SHARED };

static enum kind kind;
static int loop, listener, redis;
static struct bytes redis_in, redis_out, frames;
static struct clients all;
static struct sessions buckets[BUCKETS];
static struct client **dirty; /* owned */
static size_t dirty_count, dirty_capacity;

static void die(const char *why)
{
    fprintf(stderr, "floor: %s: %s\n", why, strerror(errno));
    exit(EXIT_FAILURE);
}

/* ---- bytes ---- */

static uint8_t *reserve(struct bytes *b, size_t more)
{
    if (b->len + more > b->capacity) {
        b->capacity = 2 * (b->len + more);
        b->at = realloc(b->at, b->capacity);
        if (!b->at)
            die("memory");
    }
    return b->at + b->len;
}

static void append(struct bytes *b, const void *from, size_t len)
{
    memcpy(reserve(b, len), from, len);
    b->len += len;
}

static void drop_first(struct bytes *b, size_t n)
{
    b->len -= n;
    memmove(b->at, b->at + n, b->len);
}

static void give_back(struct bytes *b)
{
    free(b->at);
    *b = (struct bytes){0};
}

static bool is_word(struct part p, const char *word, size_t len)
{
    return p.len == len && memcmp(p.at, word, len) == 0;
}

/* ---- MessagePack to JSON ---- */

static uint64_t big_endian(const uint8_t *p, int n)
{
    uint64_t v = 0;
    while (n-- > 0)
        v = v << 8 | *p++;
    return v;
}

static uint8_t *put(uint8_t *to, const char *s, size_t n)
{
    memcpy(to, s, n);
    return to + n;
}

static uint8_t *put_digits(uint8_t *to, uint64_t n)
{
    uint8_t digits[20], *at = digits + sizeof digits;
    do
        *--at = (uint8_t)('0' + n % 10);
    while ((n /= 10) > 0);
    return put(to, (char *)at, (size_t)(digits + sizeof digits - at));
}

static uint8_t *put_integer(uint8_t *to, int64_t n)
{
    if (n < 0)
        *to++ = '-';
    return put_digits(to, n < 0 ? 0 - (uint64_t)n : (uint64_t)n);
}

/* The fewest digits that read back the same. */
static uint8_t *put_double(uint8_t *to, double v)
{
    char text[32];
    if (v == (double)(int64_t)v && v < 1e15 && v > -1e15)
        return put(put_integer(to, (int64_t)v), WORDS(".0"));
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, v);
        if (strtod(text, NULL) == v)
            break;
    }
    return put(to, text, strlen(text));
}

static uint8_t *put_escaped(uint8_t *to, uint8_t c)
{
    if (c == '"' || c == '\\')
        return put(to, (char[]){'\\', (char)c}, 2);
    if (c >= 0x20) {
        *to = c;
        return to + 1;
    }
    static const char names[] = "btn_fr", hex[] = "0123456789abcdef";
    if (c >= '\b' && c <= '\r' && c != '\v')
        return put(to, (char[]){'\\', names[c - '\b']}, 2);
    return put(put(to, WORDS("\\u00")), (char[]){hex[c >> 4], hex[c & 15]}, 2);
}

/* Eight bytes at a time as long as none needs an escape. */
static uint8_t *put_string(uint8_t *to, struct part s)
{
    const uint8_t *at = s.at, *end = s.at + s.len;
    *to++ = '"';
    while (at < end) {
        uint64_t w;
        if (end - at >= 8) {
            memcpy(&w, at, 8);
            if (!(HAS_LESS(w, 0x20) | HAS(w, '"') | HAS(w, '\\'))) {
                memcpy(to, at, 8);
                to += 8, at += 8;
                continue;
            }
        }
        to = put_escaped(to, *at++);
    }
    *to++ = '"';
    return to;
}

/* How many bytes of length or number follow each first byte from 0xc0. */
static const uint8_t widths[32] = {0, 0, 0, 0, 1, 2, 4, 1, 2,  4, 4, 8, 1, 2, 4, 8,
                                   1, 2, 4, 8, 1, 2, 4, 8, 16, 1, 2, 4, 2, 4, 2, 4};

static bool is_string(uint8_t first)
{
    return (first & 0xe0) == 0xa0 || (first >= 0xd9 && first <= 0xdb) || (first >= 0xc4 && first <= 0xc6);
}

static bool is_map(uint8_t first)
{
    return (first & 0xf0) == 0x80 || first >= 0xde;
}

static bool is_array(uint8_t first)
{
    return (first & 0xf0) == 0x90 || first == 0xdc || first == 0xdd;
}

/* The count or length that a string or container begins with. */
static size_t take_count(const uint8_t **p)
{
    uint8_t first = *(*p)++;
    if (first < 0xa0)
        return first & 15;
    if (first < 0xc0)
        return first & 31;
    const uint8_t *at = *p;
    *p += widths[first - 0xc0];
    return big_endian(at, widths[first - 0xc0]);
}

static struct part take_string(const uint8_t **p)
{
    size_t len = take_count(p);
    const uint8_t *at = *p;
    *p += len;
    return (struct part){at, len};
}

static uint8_t *put_float(uint8_t *to, uint8_t first, uint64_t bits)
{
    double v;
    float narrow;
    uint32_t low = (uint32_t)bits;
    memcpy(&narrow, &low, sizeof narrow);
    memcpy(&v, &bits, sizeof v);
    return put_double(to, first == 0xca ? narrow : v);
}

static uint8_t *put_scalar(uint8_t *to, const uint8_t **p)
{
    uint8_t first = *(*p)++;
    if (first < 0x80 || first >= 0xe0)
        return put_integer(to, (int8_t)first);
    int width = widths[first - 0xc0];
    uint64_t bits = big_endian(*p, width);
    *p += width;
    switch (first) {
    case 0xc0:
        return put(to, WORDS("null"));
    case 0xc2:
        return put(to, WORDS("false"));
    case 0xc3:
        return put(to, WORDS("true"));
    case 0xca:
    case 0xcb:
        return put_float(to, first, bits);
    }
    if (first >= 0xd0) /* signed: the top bit of its width spreads */
        return put_integer(to, (int64_t)(bits << (64 - 8 * width)) >> (64 - 8 * width));
    return put_digits(to, bits);
}

static uint8_t *put_value(uint8_t *to, const uint8_t **p)
{
    uint8_t first = **p;
    bool has_keys = first >= 0x80 && is_map(first) && first < 0xe0;
    if (first >= 0x80 && is_string(first))
        return put_string(to, take_string(p));
    if (!has_keys && !is_array(first))
        return put_scalar(to, p);
    size_t count = take_count(p);
    *to++ = has_keys ? '{' : '[';
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            *to++ = ',';
        if (has_keys) {
            to = put_value(to, p);
            *to++ = ':';
        }
        to = put_value(to, p);
    }
    *to++ = has_keys ? '}' : ']';
    return to;
}

/* ---- an event to a frame ---- */

static uint8_t *put_u32(uint8_t *to, uint32_t n)
{
    n = htonl(n);
    memcpy(to, &n, sizeof n);
    return to + sizeof n;
}

static uint32_t picture_type(struct part format)
{
    return is_word(format, WORDS("PNG")) ? 2 : 1;
}

/* Code 4, [[format, image, max_size], metadata]: the metadata comes last, and goes first. */
static uint8_t *put_preview(uint8_t *to, const uint8_t **p)
{
    take_count(p);
    take_count(p);
    struct part format = take_string(p), image = take_string(p);
    put_scalar(to, p);
    uint8_t *length = put_u32(to, 4), *json = length + 4, *end = put_value(json, p) - 1;
    end = put(end, WORDS(",\"image_type\":\""));
    end = picture_type(format) == 2 ? put(end, WORDS("image/png\"}")) : put(end, WORDS("image/jpeg\"}"));
    put_u32(length, (uint32_t)(end - json));
    return put(end, (const char *)image.at, image.len);
}

static uint8_t *put_picture(uint8_t *to, const uint8_t **p)
{
    take_count(p);
    struct part format = take_string(p), image = take_string(p);
    to = put_u32(put_u32(to, 1), picture_type(format));
    return put(to, (const char *)image.at, image.len);
}

static uint8_t *put_binary(uint8_t *to, uint64_t code, const uint8_t **p)
{
    if (code == 4)
        return put_preview(to, p);
    if (is_array(**p))
        return put_picture(to, p);
    struct part image = take_string(p);
    return put(put_u32(to, (uint32_t)code), (const char *)image.at, image.len);
}

/* Writes the header, at most HEADER_MAX bytes, and returns how many it has. */
static size_t put_header(uint8_t *head, size_t len, int opcode)
{
    size_t extra = len < 126 ? 0 : len < 65536 ? 2 : 8;
    head[0] = (uint8_t)(0x80 | opcode);
    head[1] = extra == 0 ? (uint8_t)len : extra == 2 ? 126 : 127;
    for (size_t i = 0; i < extra; i++)
        head[2 + i] = (uint8_t)(len >> 8 * (extra - 1 - i));
    return 2 + extra;
}

/* Room for a payload of so many bytes, behind a header and the frames that are there. */
static uint8_t *begin_frame(size_t len)
{
    return reserve(&frames, HEADER_MAX + len) + HEADER;
}

static struct piece finish_frame(uint8_t *start, uint8_t *end, int opcode)
{
    uint8_t head[HEADER_MAX];
    size_t len = (size_t)(end - start), n = put_header(head, len, opcode), from = frames.len;
    if (n != HEADER)
        memmove(start - HEADER + n, start, len);
    memcpy(start - HEADER, head, n);
    frames.len += n + len;
    return (struct piece){from, n + len};
}

static uint64_t take_code(const uint8_t **p)
{
    uint8_t first = *(*p)++;
    int width = first < 0x80 ? 0 : widths[first - 0xc0];
    uint64_t code = width ? big_endian(*p, width) : first;
    *p += width;
    return code;
}

/* `type` comes before `data`, as publishers do it. */
static struct piece encode(struct part message)
{
    const uint8_t *p = message.at;
    uint64_t code = 0;
    uint8_t *start = begin_frame(GROWTH_MAX * message.len + 64), *to = start;
    for (size_t left = take_count(&p); left > 0; left--) {
        struct part key = take_string(&p);
        if (is_word(key, WORDS("type")) && is_string(*p))
            to = put_value(put(start, WORDS("{\"type\":")), &p);
        else if (is_word(key, WORDS("type")))
            code = take_code(&p);
        else if (!is_word(key, WORDS("data")))
            put_value(to + 16, &p); /* overwritten by what counts */
        else if (code > 0)
            to = put_binary(start, code, &p);
        else
            to = put(put_value(put(to, WORDS(",\"data\":")), &p), WORDS("}"));
    }
    return finish_frame(start, to, code ? 2 : 1);
}

/* ---- sockets ---- */

static void flush(struct client *c)
{
    ssize_t n = c->out.len > 0 ? write(c->fd, c->out.at, c->out.len) : 0;
    if (n > 0)
        drop_first(&c->out, (size_t)n);
    if (c->out.len == 0)
        give_back(&c->out);
}

static void mark(struct client *c)
{
    if (dirty_count == dirty_capacity) {
        dirty_capacity = 2 * dirty_capacity + 1024;
        dirty = realloc(dirty, dirty_capacity * sizeof *dirty);
        if (!dirty)
            die("memory");
    }
    dirty[dirty_count++] = c;
}

/* Frames made one after the other are one piece. */
static void add_piece(struct client *c, struct piece f)
{
    struct piece *last = c->piece_count > 0 ? &c->pieces[c->piece_count - 1] : NULL;
    if (last && last->from + last->len == f.from) {
        last->len += f.len;
        return;
    }
    if (c->piece_count == c->piece_capacity) {
        c->piece_capacity = 2 * c->piece_capacity + 8;
        c->pieces = realloc(c->pieces, c->piece_capacity * sizeof *c->pieces);
        if (!c->pieces)
            die("memory");
    }
    c->pieces[c->piece_count++] = f;
}

static void write_now(struct client *c, struct piece f)
{
    ssize_t n = c->out.len == 0 ? write(c->fd, frames.at + f.from, f.len) : 0;
    size_t sent = n > 0 ? (size_t)n : 0;
    if (sent < f.len)
        append(&c->out, frames.at + f.from + sent, f.len - sent);
}

static void send_to(struct client *c, struct piece f)
{
    if (kind != RAW && c->piece_count == 0 && c->out.len == 0)
        mark(c);
    if (kind == RAW_SHARED)
        add_piece(c, f);
    else if (kind == RAW_BATCH)
        append(&c->out, frames.at + f.from, f.len);
    else
        write_now(c, f);
}

static size_t write_pieces(struct client *c)
{
    struct iovec v[PIECES_MAX];
    uint32_t count = c->piece_count < PIECES_MAX ? c->piece_count : PIECES_MAX;
    for (uint32_t i = 0; i < count; i++)
        v[i] = (struct iovec){frames.at + c->pieces[i].from, c->pieces[i].len};
    ssize_t n = c->out.len == 0 ? writev(c->fd, v, (int)count) : 0;
    return n > 0 ? (size_t)n : 0;
}

/* What the socket did not take waits until it does. */
static void send_pieces(struct client *c)
{
    size_t sent = write_pieces(c);
    for (uint32_t i = 0; i < c->piece_count; i++) {
        struct piece p = c->pieces[i];
        size_t n = sent < p.len ? sent : p.len;
        sent -= n;
        if (n < p.len)
            append(&c->out, frames.at + p.from + n, p.len - n);
    }
    free(c->pieces);
    c->pieces = NULL;
    c->piece_count = c->piece_capacity = 0;
}

static void end_turn(void)
{
    for (size_t i = 0; i < dirty_count; i++)
        kind == RAW_SHARED ? send_pieces(dirty[i]) : flush(dirty[i]);
    dirty_count = 0;
    frames.len = 0;
}

/* ---- sessions ---- */

static struct sessions *bucket(struct part sid)
{
    uint32_t h = 2166136261u;
    for (size_t i = 0; i < sid.len; i++)
        h = (h ^ sid.at[i]) * 16777619u;
    return &buckets[(h ^ h >> 15) & (BUCKETS - 1)];
}

static struct session *find(struct part sid)
{
    struct session *s;
    LIST_FOREACH(s, bucket(sid), in_bucket)
    {
        if (strlen(s->sid) == sid.len && memcmp(s->sid, sid.at, sid.len) == 0)
            return s;
    }
    return NULL;
}

static void command(const char *verb, const char *sid)
{
    char text[512];
    int n = snprintf(text, sizeof text, "*2\r\n$%zu\r\n%s\r\n$%zu\r\ncomfy:sid:{%s}\r\n", strlen(verb), verb,
                     strlen(sid) + strlen("comfy:sid:{}"), sid);
    append(&redis_out, text, (size_t)n);
}

static struct session *join(struct part sid)
{
    struct session *s = find(sid);
    if (s)
        return s;
    s = calloc(1, sizeof *s + sid.len + 1);
    if (!s)
        die("memory");
    memcpy(s->sid, sid.at, sid.len);
    LIST_INSERT_HEAD(bucket(sid), s, in_bucket);
    command("SUBSCRIBE", s->sid);
    return s;
}

static void greet(struct client *c)
{
    static const char before[] =
        "{\"type\":\"status\",\"data\":{\"status\":{\"exec_info\":{\"queue_remaining\":0}},\"sid\":\"";
    const char *sid = c->session->sid;
    uint8_t *start = begin_frame(sizeof before + strlen(sid) + 4), *to = put(start, WORDS(before));
    send_to(c, finish_frame(start, put(put(to, sid, strlen(sid)), WORDS("\"}}")), 1));
}

static void leave(struct client *c)
{
    struct session *s = c->session;
    LIST_REMOVE(c, in_all);
    LIST_REMOVE(c, in_session);
    if (!LIST_EMPTY(&s->clients))
        return;
    command("UNSUBSCRIBE", s->sid);
    LIST_REMOVE(s, in_bucket);
    free(s);
}

static void close_client(struct client *c)
{
    if (c->session)
        leave(c);
    close(c->fd);
    give_back(&c->in);
    give_back(&c->out);
    free(c);
}

/* ---- the upgrade ---- */

static void answer(struct client *c, const char *key)
{
    uint8_t text[128], hash[SHA_DIGEST_LENGTH];
    char accept[64], head[256];
    int n = snprintf((char *)text, sizeof text, "%.*s258EAFA5-E914-47DA-95CA-C5AB0DC85B11",
                     (int)strcspn(key, "\r"), key);
    SHA1(text, (size_t)n, hash);
    EVP_EncodeBlock((uint8_t *)accept, hash, sizeof hash);
    n = snprintf(head, sizeof head,
                 "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                 "Sec-WebSocket-Accept: %s\r\n\r\n",
                 accept);
    if (write(c->fd, head, (size_t)n) != n)
        fputs("floor: an answer was not taken\n", stderr);
}

static void upgrade(struct client *c)
{
    append(&c->in, "", 1);
    char *text = (char *)c->in.at, *sid = strstr(text, "clientId="),
         *key = strcasestr(text, "Sec-WebSocket-Key: ");
    if (!sid || !key)
        die("no request of a benchmark's");
    sid += strlen("clientId=");
    answer(c, key + strlen("Sec-WebSocket-Key: "));
    c->session = join((struct part){(uint8_t *)sid, strcspn(sid, " &")});
    LIST_INSERT_HEAD(&all, c, in_all);
    LIST_INSERT_HEAD(&c->session->clients, c, in_session);
    give_back(&c->in);
    if (c->session->is_subscribed)
        greet(c);
}

static void on_request(struct client *c, const uint8_t *bytes, size_t len)
{
    append(&c->in, bytes, len);
    if (c->in.len >= 4 && memcmp(c->in.at + c->in.len - 4, "\r\n\r\n", 4) == 0)
        upgrade(c);
}

/* ---- Redis ---- */

/* The number of a line, behind its first byte; NULL when the line is not complete. */
static const uint8_t *read_number(const uint8_t *at, const uint8_t *end, size_t *n)
{
    *n = 0;
    for (at++; at < end && *at != '\r'; at++)
        *n = *n * 10 + (size_t)(*at - '0');
    return end - at >= 2 ? at + 2 : NULL;
}

static const uint8_t *read_part(const uint8_t *at, const uint8_t *end, struct part *part)
{
    size_t n;
    if (at == end)
        return NULL;
    bool is_bulk = *at == '$';
    at = read_number(at, end, &n);
    if (!at || !is_bulk)
        return at;
    *part = (struct part){at, n};
    return (size_t)(end - at) >= n + 2 ? at + n + 2 : NULL;
}

static const uint8_t *read_push(const uint8_t *at, const uint8_t *end, struct part parts[3])
{
    size_t count;
    if (at == end || !(at = read_number(at, end, &count)))
        return NULL;
    for (size_t i = 0; i < count && at; i++)
        at = read_part(at, end, &parts[i]);
    return at;
}

static struct session *session_of(struct part channel)
{
    const size_t around = strlen("comfy:sid:{");
    if (channel.len <= around || channel.at[channel.len - 1] != '}')
        return NULL;
    return find((struct part){channel.at + around, channel.len - around - 1});
}

static void on_message(struct part channel, struct part payload)
{
    struct client *c;
    struct session *s = session_of(channel);
    struct piece f = encode(payload);
    if (s) {
        LIST_FOREACH(c, &s->clients, in_session)
        send_to(c, f);
    } else if (is_word(channel, WORDS("comfy:events"))) {
        LIST_FOREACH(c, &all, in_all)
        send_to(c, f);
    }
    if (kind == RAW)
        frames.len = 0;
}

static void on_subscribed(struct part channel)
{
    struct client *c;
    struct session *s = session_of(channel);
    if (!s || s->is_subscribed)
        return;
    s->is_subscribed = true;
    LIST_FOREACH(c, &s->clients, in_session)
    greet(c);
}

static void on_redis(void)
{
    ssize_t n = read(redis, reserve(&redis_in, READ_BYTES), READ_BYTES);
    if (n <= 0 && errno != EAGAIN)
        die("Redis");
    redis_in.len += n > 0 ? (size_t)n : 0;
    const uint8_t *at = redis_in.at, *end = at + redis_in.len, *next;
    struct part parts[3];
    while ((next = read_push(at, end, parts))) {
        if (is_word(parts[0], WORDS("message")))
            on_message(parts[1], parts[2]);
        else if (is_word(parts[0], WORDS("subscribe")))
            on_subscribed(parts[1]);
        at = next;
    }
    drop_first(&redis_in, (size_t)(at - redis_in.at));
}

/* ---- the loop ---- */

static void watch(int fd, void *who, uint32_t events)
{
    struct epoll_event e = {.events = events, .data.ptr = who};
    if (epoll_ctl(loop, EPOLL_CTL_ADD, fd, &e) != 0)
        die("epoll_ctl");
}

static void on_arrival(void)
{
    int fd;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        struct client *c = calloc(1, sizeof *c);
        if (!c)
            die("memory");
        c->fd = fd;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
        watch(fd, c, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET);
    }
}

/* What clients say after the upgrade is of no interest. */
static void on_client(struct client *c, uint32_t events)
{
    static uint8_t bytes[4096];
    ssize_t n;
    if (events & EPOLLOUT && c->out.len > 0)
        flush(c);
    while ((n = read(c->fd, bytes, sizeof bytes)) > 0) {
        if (!c->session)
            on_request(c, bytes, (size_t)n);
        if ((size_t)n < sizeof bytes && !(events & (EPOLLHUP | EPOLLERR | EPOLLRDHUP)))
            return;
    }
    if (n == 0 || errno != EAGAIN)
        close_client(c);
}

static void send_commands(void)
{
    ssize_t n = redis_out.len > 0 ? write(redis, redis_out.at, redis_out.len) : 0;
    if (n > 0)
        drop_first(&redis_out, (size_t)n);
}

static void turn(void)
{
    struct epoll_event events[512];
    int n = epoll_wait(loop, events, 512, -1);
    for (int i = 0; i < n; i++) {
        if (events[i].data.ptr == &listener)
            on_arrival();
        else if (events[i].data.ptr == &redis)
            on_redis();
        else
            on_client(events[i].data.ptr, events[i].events);
        end_turn();
    }
    send_commands();
}

static int connect_redis(const char *address)
{
    struct sockaddr_un path = {.sun_family = AF_UNIX};
    struct sockaddr_in host = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    bool is_path = address[0] == '/';
    snprintf(path.sun_path, sizeof path.sun_path, "%s", address);
    if (!is_path)
        host.sin_port = htons((uint16_t)atoi(strchr(address, ':') + 1));
    int fd = socket(is_path ? AF_UNIX : AF_INET, SOCK_STREAM, 0);
    const struct sockaddr *to = is_path ? (void *)&path : (void *)&host;
    if (connect(fd, to, is_path ? sizeof path : sizeof host) != 0)
        die(address);
    if (!is_path)
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    return fd;
}

static int listen_on(const char *port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    a.sin_port = htons((uint16_t)atoi(port));
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
    if (bind(fd, (struct sockaddr *)&a, sizeof a) != 0 || listen(fd, 4096) != 0)
        die("listen");
    return fd;
}

static void raise_descriptors(void)
{
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

int main(int argc, char **argv)
{
    if (argc != 4)
        return fputs("floor raw|raw-batch|raw-shared PORT REDIS\n", stderr), EXIT_FAILURE;
    kind = strcmp(argv[1], "raw-batch") == 0    ? RAW_BATCH
           : strcmp(argv[1], "raw-shared") == 0 ? RAW_SHARED
                                                : RAW;
    raise_descriptors();
    loop = epoll_create1(0);
    redis = connect_redis(argv[3]);
    listener = listen_on(argv[2]);
    append(&redis_out, WORDS("*2\r\n$9\r\nSUBSCRIBE\r\n$12\r\ncomfy:events\r\n"));
    watch(redis, &redis, EPOLLIN);
    watch(listener, &listener, EPOLLIN);
    puts("listening");
    fflush(stdout);
    for (;;)
        turn();
}
