#include "adapters/msgpack/codec.h"

#include "adapters/msgpack/envelope.h"
#include "adapters/msgpack/payload.h"
#include "adapters/msgpack/status.h"
#include "adapters/msgpack/unpack.h"

static enum drop_reason decode(struct codec *self, struct span message, struct span channel_sid,
                               struct event *event)
{
    (void)self;
    return envelope_decode(message, channel_sid, event);
}

static enum drop_reason write_payload(struct event *event, struct frame_builder *builder)
{
    return event->is_binary ? payload_binary(event, builder) : payload_text(event, builder);
}

static enum drop_reason encode(struct codec *self, struct event *event, struct frame **frame)
{
    (void)self;
    if (!frame)
        return write_payload(event, NULL);
    *frame = NULL;
    struct frame_builder b;
    frame_builder_init(&b, payload_expected_bytes(event));
    enum drop_reason why = write_payload(event, &b);
    if (why) {
        frame_builder_abort(&b);
        return why;
    }
    *frame = frame_builder_finish(&b, event->is_binary ? FRAME_BINARY : FRAME_TEXT);
    return *frame ? DROP_NOTHING : DROP_NO_MEMORY;
}

static enum drop_reason read_share(struct codec *self, const struct event *event, int64_t *share)
{
    (void)self;
    return status_read_share(event, share);
}

static enum drop_reason read_heartbeat(struct codec *self, struct span data, struct heartbeat *heartbeat)
{
    (void)self;
    return status_read_heartbeat(data, heartbeat);
}

static enum drop_reason read_sender(struct codec *self, struct span data, struct sender *sender)
{
    (void)self;
    return status_read_sender(data, sender);
}

static struct span read_str(struct codec *self, struct span value)
{
    (void)self;
    struct value v = unpack_one(value);
    return v.kind == VALUE_STR ? v.bytes : SPAN_NONE;
}

static struct frame *make_status(struct codec *self, int64_t queue_remaining, struct span sid)
{
    (void)self;
    return status_make(queue_remaining, sid);
}

static struct frame *make_executing(struct codec *self, struct span node)
{
    (void)self;
    return status_make_executing(node);
}

struct codec *codec_msgpack(void)
{
    static struct codec codec = {.decode = decode,
                                 .encode = encode,
                                 .read_share = read_share,
                                 .read_heartbeat = read_heartbeat,
                                 .read_sender = read_sender,
                                 .read_str = read_str,
                                 .make_status = make_status,
                                 .make_executing = make_executing};
    return &codec;
}
