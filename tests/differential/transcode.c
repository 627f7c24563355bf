/* A filter for the differential test: MessagePack events in, frames out.
 *
 *     in:   u32 length, message; again and again
 *     out:  one byte 0 (dropped), 1 (text) or 2 (binary), u32 length, the payload, or the reason
 *
 * Lengths are big-endian. Messages are taken as from the events channel. */
#include <stdio.h>
#include <stdlib.h>

#include "adapters/msgpack/codec.h"

static bool read_u32(uint32_t *n)
{
    uint8_t b[4];
    if (fread(b, 1, sizeof b, stdin) != sizeof b)
        return false;
    *n = (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
    return true;
}

static void answer(int kind, struct span s)
{
    const uint8_t head[5] = {(uint8_t)kind, (uint8_t)(s.len >> 24), (uint8_t)(s.len >> 16),
                             (uint8_t)(s.len >> 8), (uint8_t)s.len};
    fwrite(head, 1, sizeof head, stdout);
    fwrite(s.bytes, 1, s.len, stdout);
}

static void transcode(struct span message)
{
    struct codec *codec = codec_msgpack();
    struct event event;
    struct frame *frame = NULL;
    enum drop_reason why = codec->decode(codec, message, SPAN_NONE, &event);
    if (!why)
        why = codec->encode(codec, &event, &frame);
    if (why)
        answer(0, span_str(drop_reason_label(why)));
    else
        answer(event.is_binary ? 2 : 1, frame_payload(frame));
    frame_unref(frame);
}

int main(void)
{
    uint32_t len;
    while (read_u32(&len)) {
        uint8_t *message = malloc(len > 0 ? len : 1);
        if (!message || fread(message, 1, len, stdin) != len)
            return EXIT_FAILURE;
        transcode(span_of(message, len));
        free(message);
    }
    return fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
