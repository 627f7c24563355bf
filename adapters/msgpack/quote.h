/* JSON strings: text and base64, in quotes. */
#ifndef MSGPACK_QUOTE_H
#define MSGPACK_QUOTE_H

#include "adapters/msgpack/out.h"

/* Writes text in quotes. Escaped are '"', '\' and U+0000 to U+001F; bytes that are not UTF-8 become U+FFFD,
 * one for each maximal subpart. `readable_end`: as far as bytes may be read (not used) behind the text; at
 * least its own end. */
uint8_t *quote_text(struct out *o, uint8_t *at, struct span text, const uint8_t *readable_end);

/* Writes bytes as base64 (RFC 4648, section 4, with padding) in quotes. */
uint8_t *quote_base64(struct out *o, uint8_t *at, struct span bytes);

#endif
