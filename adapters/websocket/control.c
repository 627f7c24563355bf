#include "adapters/websocket/control.h"

#include <assert.h>

size_t control_make(uint8_t *out, enum control kind, struct span payload)
{
    assert(payload.len <= CONTROL_PAYLOAD_MAX);
    out[0] = (uint8_t)(0x80 | kind);
    out[1] = (uint8_t)payload.len;
    if (payload.len > 0)
        memcpy(out + CONTROL_HEADER_BYTES, payload.bytes, payload.len);
    return CONTROL_HEADER_BYTES + payload.len;
}

size_t control_make_close(uint8_t out[CONTROL_CLOSE_BYTES], uint16_t code)
{
    uint8_t payload[2] = {(uint8_t)(code >> 8), (uint8_t)code};
    return control_make(out, CONTROL_CLOSE, span_of(payload, sizeof payload));
}
