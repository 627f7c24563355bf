/* Text that stands for itself in a JSON string: ASCII but '"', '\' and U+0000 to U+001F. It is copied and looked at in one go,
 * sixteen bytes at a time: by vectors where the machine has them (SSE2 is in every x86-64, NEON in every aarch64). */
#ifndef MSGPACK_PLAIN_H
#define MSGPACK_PLAIN_H

#include "relay/span.h"

#define PLAIN_STEP 16

/* Copies PLAIN_STEP bytes, whatever they are, and returns how many of them are plain before the first that is not. The
 * two do the same. */
static inline size_t plain_copy(uint8_t *to, const uint8_t *from);
size_t plain_copy_bytewise(uint8_t *to, const uint8_t *from);

/* The same where fewer bytes may be read: what is missing counts as not plain, and is written too. */
size_t plain_copy_last(uint8_t *to, const uint8_t *from, size_t readable);

/* Both vectors find control characters, '"' and what is not ASCII by one subtraction: `^ 2` swaps the blank and '"', and the
 * control characters among themselves; then all of them are below 0x21, as are the bytes from 0x80, which count as negative. */
#define PLAIN_SWAP  2
#define PLAIN_LEAST 0x21

#if defined(__SSE2__)
#include <emmintrin.h>

static inline size_t plain_copy(uint8_t *to, const uint8_t *from)
{
    __m128i bytes = _mm_loadu_si128((const __m128i *)from);
    __m128i swapped = _mm_xor_si128(bytes, _mm_set1_epi8(PLAIN_SWAP));
    __m128i special = _mm_or_si128(_mm_subs_epi8(swapped, _mm_set1_epi8(PLAIN_LEAST)),
                                   _mm_cmpeq_epi8(bytes, _mm_set1_epi8('\\')));
    _mm_storeu_si128((__m128i *)to, bytes);
    unsigned found = (unsigned)_mm_movemask_epi8(special); /* their signs */
    return (unsigned)__builtin_ctz(found | 1U << PLAIN_STEP);
}
#elif defined(__AARCH64EL__)
#include <arm_neon.h>

static inline size_t plain_copy(uint8_t *to, const uint8_t *from)
{
    uint8x16_t bytes = vld1q_u8(from);
    int8x16_t swapped = vreinterpretq_s8_u8(veorq_u8(bytes, vdupq_n_u8(PLAIN_SWAP)));
    uint8x16_t special =
        vorrq_u8(vcltq_s8(swapped, vdupq_n_s8(PLAIN_LEAST)), vceqq_u8(bytes, vdupq_n_u8('\\')));
    vst1q_u8(to, bytes);
    uint8x8_t nibbles = vshrn_n_u16(vreinterpretq_u16_u8(special), 4); /* four bits for each byte */
    uint64_t found = vget_lane_u64(vreinterpret_u64_u8(nibbles), 0);
    return found ? (unsigned)__builtin_ctzll(found) / 4 : PLAIN_STEP;
}
#else
static inline size_t plain_copy(uint8_t *to, const uint8_t *from)
{
    return plain_copy_bytewise(to, from);
}
#endif

#endif
