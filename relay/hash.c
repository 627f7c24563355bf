#include "relay/hash.h"

struct sip {
    uint64_t v0, v1, v2, v3;
};

static inline uint64_t rotate(uint64_t x, int by)
{
    return x << by | x >> (64 - by);
}

static inline void sip_round(struct sip *s)
{
    s->v0 += s->v1;
    s->v1 = rotate(s->v1, 13) ^ s->v0;
    s->v0 = rotate(s->v0, 32);
    s->v2 += s->v3;
    s->v3 = rotate(s->v3, 16) ^ s->v2;
    s->v0 += s->v3;
    s->v3 = rotate(s->v3, 21) ^ s->v0;
    s->v2 += s->v1;
    s->v1 = rotate(s->v1, 17) ^ s->v2;
    s->v2 = rotate(s->v2, 32);
}

static inline void sip_word(struct sip *s, uint64_t word)
{
    s->v3 ^= word;
    sip_round(s);
    s->v0 ^= word;
}

/* Up to seven, those from `at` on: four, two and one, from the lowest on. */
static inline uint64_t last_bytes(struct span in, size_t at)
{
    size_t n = in.len - at;
    uint64_t word = n & 1 ? in.bytes[in.len - 1] : 0;
    uint16_t two;
    uint32_t four;
    if (n & 2) {
        memcpy(&two, in.bytes + at + (n & 4), 2);
        word = word << 16 | two;
    }
    if (n & 4) {
        memcpy(&four, in.bytes + at, 4);
        word = word << 32 | four;
    }
    return word;
}

/* The order of bytes within a word is the machine's: hashes never leave the process. */
uint64_t hash_bytes(struct span in, const uint64_t seed[2])
{
    struct sip s = {seed[0] ^ 0x736f6d6570736575, seed[1] ^ 0x646f72616e646f6d, seed[0] ^ 0x6c7967656e657261,
                    seed[1] ^ 0x7465646279746573};
    size_t at = 0;
    uint64_t word;
    for (; at + 8 <= in.len; at += 8) {
        memcpy(&word, in.bytes + at, 8);
        sip_word(&s, word);
    }
    sip_word(&s, (uint64_t)in.len << 56 | last_bytes(in, at));
    s.v2 ^= 0xff;
    for (int i = 0; i < 3; i++)
        sip_round(&s);
    return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}
