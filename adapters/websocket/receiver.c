#include "adapters/websocket/receiver.h"

#include <stdlib.h>
#include <wslay/wslay.h>

#include "relay/block.h"
#include "relay/utf8.h"

#define HEADER_MAX  14 /* with a 64-bit length and the mask */
#define CONTROL_MAX 125
#define NO_MESSAGE  0xff

struct receiver {
    wslay_frame_context_ptr frames; /* owned */
    struct span input;              /* borrowed: what wslay has not taken yet */
    uint8_t opcode;                 /* of the message that is being received, or NO_MESSAGE */
    uint8_t frame_opcode;           /* of the frame */
    bool frame_is_final;
    bool is_in_frame; /* its header has come, its payload not all */
    bool is_over;     /* a close or a failure: nothing that follows counts */
    bool holds_text;
    uint64_t frame_left;      /* bytes of payload to come */
    uint64_t message_bytes;   /* declared so far */
    uint8_t tail[HEADER_MAX]; /* the last bytes that wslay took */
    uint64_t taken;           /* bytes that wslay took */
    uint64_t parsed;          /* bytes of the frames that it has told of */
    uint8_t control[CONTROL_MAX];
    uint8_t control_len;
    uint8_t cut[4]; /* a character that the last chunk of text ended within */
    uint8_t cut_len;
    uint8_t *text; /* owned; of the message so far */
    size_t text_len, text_cap;
};

#define WSLAY_BYTES 4300 /* about; what wslay has for one */

static ssize_t on_want_bytes(uint8_t *buf, size_t len, int flags, void *user_data);

struct receiver *receiver_new(void)
{
    struct wslay_frame_callbacks callbacks = {.recv_callback = on_want_bytes};
    struct receiver *r = calloc(1, sizeof *r);
    if (!r)
        return NULL;
    r->opcode = NO_MESSAGE;
    if (wslay_frame_context_init(&r->frames, &callbacks, r) == 0)
        return r;
    free(r);
    return NULL;
}

void receiver_free(struct receiver *r)
{
    if (!r)
        return;
    wslay_frame_context_free(r->frames);
    free(r->text);
    free(r);
}

size_t receiver_bytes(const struct receiver *r)
{
    return r ? block_bytes(sizeof *r) + WSLAY_BYTES + block_bytes(r->text_cap) : 0;
}

void receiver_feed(struct receiver *r, const void *bytes, size_t len)
{
    r->input = span_of(bytes, len);
}

bool receiver_is_idle(const struct receiver *r)
{
    return !r->is_over && r->opcode == NO_MESSAGE && r->taken == r->parsed && r->input.len == 0;
}

static struct receiver_event nothing(void)
{
    return (struct receiver_event){.kind = RECEIVER_NOTHING};
}

static struct receiver_event failure(struct receiver *r, uint16_t code)
{
    r->is_over = true;
    return (struct receiver_event){.kind = RECEIVER_FAILURE, .code = code};
}

static struct receiver_event no_memory(struct receiver *r)
{
    r->is_over = true;
    return (struct receiver_event){.kind = RECEIVER_NO_MEMORY};
}

/* UTF-8 */

/* The length of a well-formed character at the front of s; 0 when s ends within one; -1 when it is none. */
static int character(struct span s)
{
    int n = utf8_next(s);
    if (n > 0)
        return n;
    bool may_go_on = (size_t)-n == s.len && s.bytes[0] >= 0xc2 && s.bytes[0] <= 0xf4;
    return may_go_on ? 0 : -1;
}

/* Completes the character that the last chunk ended within, from the front of *s. */
static bool complete_cut(struct receiver *r, struct span *s)
{
    while (r->cut_len > 0 && s->len > 0) {
        r->cut[r->cut_len++] = s->bytes[0];
        *s = span_of(s->bytes + 1, s->len - 1);
        int n = character(span_of(r->cut, r->cut_len));
        if (n < 0)
            return false;
        if (n > 0)
            r->cut_len = 0;
    }
    return true;
}

/* Text is checked chunk by chunk, so that what is not wanted needs no memory. */
static bool check_text(struct receiver *r, struct span s)
{
    if (!complete_cut(r, &s))
        return false;
    while (s.len > 0) {
        int n = character(s);
        if (n < 0)
            return false;
        if (n == 0) {
            memcpy(r->cut, s.bytes, s.len);
            r->cut_len = (uint8_t)s.len;
            return true;
        }
        s = span_of(s.bytes + n, s.len - (size_t)n);
    }
    return true;
}

static bool is_text(struct span s)
{
    while (s.len > 0) {
        int n = character(s);
        if (n <= 0)
            return false;
        s = span_of(s.bytes + n, s.len - (size_t)n);
    }
    return true;
}

/* Frames */

static bool is_control(uint8_t opcode)
{
    return opcode >= WSLAY_CONNECTION_CLOSE;
}

/* The bytes of a client's frame header, by its payload's length: wslay lets only the shortest form pass. */
static uint64_t header_bytes(const struct wslay_frame_iocb *f)
{
    return 2 + (f->payload_length > 65535 ? 8 : f->payload_length > 125 ? 2 : 0) + (f->mask ? 4 : 0);
}

/* The limit may have been lowered while the message was coming. */
static bool is_too_long(const struct receiver *r, uint64_t more, size_t max_bytes)
{
    return r->message_bytes > max_bytes || more > max_bytes - r->message_bytes;
}

/* What a frame may be where it stands; 0 or the code to close with. */
static uint16_t check_frame(const struct receiver *r, const struct wslay_frame_iocb *f, size_t max_bytes)
{
    bool is_known =
        f->opcode <= WSLAY_BINARY_FRAME || (f->opcode >= WSLAY_CONNECTION_CLOSE && f->opcode <= WSLAY_PONG);
    if (!f->mask || f->rsv != 0 || !is_known)
        return WSLAY_CODE_PROTOCOL_ERROR;
    if (is_control(f->opcode)) /* wslay has seen to its length and that it is whole */
        return 0;
    bool goes_on = f->opcode == WSLAY_CONTINUATION_FRAME;
    if (goes_on != (r->opcode != NO_MESSAGE))
        return WSLAY_CODE_PROTOCOL_ERROR;
    return is_too_long(r, f->payload_length, max_bytes) ? WSLAY_CODE_MESSAGE_TOO_BIG : 0;
}

static void begin_frame(struct receiver *r, const struct wslay_frame_iocb *f, bool wants_text)
{
    r->is_in_frame = true;
    r->frame_opcode = f->opcode;
    r->frame_is_final = f->fin;
    r->frame_left = f->payload_length;
    r->parsed += header_bytes(f) + f->payload_length;
    r->control_len = 0;
    if (is_control(f->opcode))
        return;
    if (f->opcode != WSLAY_CONTINUATION_FRAME) {
        r->opcode = f->opcode;
        r->holds_text = wants_text && f->opcode == WSLAY_TEXT_FRAME;
    }
    r->message_bytes += f->payload_length;
}

/* Grows by what came, not by what was declared. One byte more than is used, so that empty text has an
 * address. */
static int hold_text(struct receiver *r, struct span s)
{
    if (r->text_cap - r->text_len <= s.len) {
        size_t cap = 2 * r->text_len + s.len + 1;
        uint8_t *grown = realloc(r->text, cap);
        if (!grown)
            return -1;
        r->text = grown;
        r->text_cap = cap;
    }
    memcpy(r->text + r->text_len, s.bytes, s.len);
    r->text_len += s.len;
    return 0;
}

/* A part of the payload. RECEIVER_NOTHING: all is well. */
static struct receiver_event take_payload(struct receiver *r, struct span s)
{
    r->frame_left -= s.len;
    if (s.len == 0)
        return nothing();
    if (is_control(r->frame_opcode)) {
        memcpy(r->control + r->control_len, s.bytes, s.len);
        r->control_len += (uint8_t)s.len;
        return nothing();
    }
    if (r->opcode == WSLAY_TEXT_FRAME && !check_text(r, s))
        return failure(r, WSLAY_CODE_INVALID_FRAME_PAYLOAD_DATA);
    if (r->holds_text && hold_text(r, s) < 0)
        return no_memory(r);
    return nothing();
}

/* Events */

/* RFC 6455, section 7.4, and the codes that were registered since. */
static bool is_close_code(unsigned code)
{
    if (code >= 1000 && code <= 1014)
        return code < 1004 || code > 1006;
    return code >= 3000 && code <= 4999;
}

static struct receiver_event end_close(struct receiver *r)
{
    if (r->control_len == 0) {
        r->is_over = true;
        return (struct receiver_event){.kind = RECEIVER_CLOSE, .code = WSLAY_CODE_NO_STATUS_RCVD};
    }
    unsigned code = r->control_len > 1 ? (unsigned)r->control[0] << 8 | r->control[1] : 0;
    if (!is_close_code(code))
        return failure(r, WSLAY_CODE_PROTOCOL_ERROR);
    if (!is_text(span_of(r->control + 2, r->control_len - 2)))
        return failure(r, WSLAY_CODE_INVALID_FRAME_PAYLOAD_DATA);
    r->is_over = true;
    return (struct receiver_event){.kind = RECEIVER_CLOSE, .code = (uint16_t)code};
}

static struct receiver_event end_control(struct receiver *r)
{
    if (r->frame_opcode == WSLAY_CONNECTION_CLOSE)
        return end_close(r);
    return (struct receiver_event){
        .kind = r->frame_opcode == WSLAY_PING ? RECEIVER_PING : RECEIVER_PONG,
        .payload = span_of(r->control, r->control_len),
    };
}

static struct receiver_event end_message(struct receiver *r)
{
    struct receiver_event e = {.kind = RECEIVER_IGNORED};
    if (r->cut_len > 0)
        return failure(r, WSLAY_CODE_INVALID_FRAME_PAYLOAD_DATA);
    if (r->holds_text) {
        e.kind = RECEIVER_TEXT;
        e.payload = span_of(r->text, r->text_len);
    }
    r->opcode = NO_MESSAGE;
    r->message_bytes = 0;
    r->text_len = 0;
    return e;
}

static struct receiver_event end_frame(struct receiver *r)
{
    r->is_in_frame = false;
    if (is_control(r->frame_opcode))
        return end_control(r);
    return r->frame_is_final ? end_message(r) : nothing();
}

/* wslay tells of a header only with the first byte behind it, and it may be a long time until that comes. So
 * a header that is complete, and all that wslay has taken since the last frame, is looked at here. False when
 * there is none. */
static bool peek_header(const struct receiver *r, struct wslay_frame_iocb *f)
{
    uint64_t waiting = r->taken - r->parsed;
    if (r->is_in_frame || waiting < 2 || waiting > HEADER_MAX)
        return false;
    const uint8_t *header = r->tail + HEADER_MAX - waiting;
    uint8_t length = header[1] & 0x7f;
    size_t more = length == 127 ? 8 : length == 126 ? 2 : 0;
    *f = (struct wslay_frame_iocb){
        .fin = header[0] >> 7,
        .rsv = header[0] >> 4 & 7,
        .opcode = header[0] & 0x0f,
        .mask = header[1] >> 7,
        .payload_length = more > 0 ? 0 : length,
    };
    if (waiting != 2 + more + (f->mask ? 4 : 0))
        return false;
    for (size_t i = 0; i < more; i++)
        f->payload_length = f->payload_length << 8 | header[2 + i];
    return true;
}

/* All bytes are taken. What has come of a frame may be enough to refuse it. */
static struct receiver_event end_of_input(struct receiver *r, size_t max_bytes)
{
    struct wslay_frame_iocb f;
    uint16_t code = peek_header(r, &f) ? check_frame(r, &f, max_bytes) : 0;
    return code != 0 ? failure(r, code) : nothing();
}

static void free_spent_text(struct receiver *r)
{
    if (r->opcode != NO_MESSAGE || !r->text)
        return;
    free(r->text);
    r->text = NULL;
    r->text_cap = 0;
}

struct receiver_event receiver_next(struct receiver *r, size_t max_bytes, bool wants_text)
{
    struct wslay_frame_iocb f;
    free_spent_text(r);
    while (!r->is_over) {
        ssize_t n = wslay_frame_recv(r->frames, &f);
        if (n == WSLAY_ERR_WANT_READ)
            return end_of_input(r, max_bytes);
        if (n < 0)
            return failure(r, WSLAY_CODE_PROTOCOL_ERROR);
        uint16_t code = r->is_in_frame ? 0 : check_frame(r, &f, max_bytes);
        if (code != 0)
            return failure(r, code);
        if (!r->is_in_frame)
            begin_frame(r, &f, wants_text);
        struct receiver_event e = take_payload(r, span_of(f.data, f.data_length));
        if (e.kind == RECEIVER_NOTHING && r->frame_left == 0)
            e = end_frame(r);
        if (e.kind != RECEIVER_NOTHING)
            return e;
    }
    return nothing();
}

/* Callbacks of wslay */

static void remember_tail(struct receiver *r, struct span s)
{
    size_t n = s.len < HEADER_MAX ? s.len : HEADER_MAX;
    memmove(r->tail, r->tail + n, HEADER_MAX - n);
    memcpy(r->tail + HEADER_MAX - n, s.bytes + s.len - n, n);
}

static ssize_t on_want_bytes(uint8_t *buf, size_t len, int flags, void *user_data)
{
    struct receiver *r = user_data;
    (void)flags;
    size_t n = r->input.len < len ? r->input.len : len;
    if (n == 0)
        return -1; /* wslay takes it for WSLAY_ERR_WANT_READ */
    memcpy(buf, r->input.bytes, n);
    remember_tail(r, span_of(r->input.bytes, n));
    r->input = span_of(r->input.bytes + n, r->input.len - n);
    r->taken += n;
    return (ssize_t)n;
}
