/* Any bytes as an upgrade request: parsed whole and cut short, decided about, answered. */
#include <assert.h>
#include <stdlib.h>

#include "adapters/http/upgrade.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool is_within(struct span part, struct span whole)
{
    return part.len == 0 || (part.bytes >= whole.bytes && part.bytes + part.len <= whole.bytes + whole.len);
}

static void check_parts(const struct request *r, struct span head)
{
    struct request_field field;
    assert(r->head_bytes <= head.len);
    assert(memcmp(head.bytes + r->head_bytes - 4, "\r\n\r\n", 4) == 0);
    assert(is_within(r->method, head) && is_within(r->target, head) && is_within(r->query, head));
    assert(is_within(r->host, head) && is_within(r->fields, head));
    for (size_t at = 0; request_next_field(r, &at, &field);)
        assert(field.name.len > 0 && is_within(field.name, r->fields) && is_within(field.value, r->fields));
}

static void check_answer(const struct request *r, const char *origins)
{
    struct upgrade u;
    char out[UPGRADE_RESPONSE_MAX];
    enum reject_reason reason = upgrade_decide(&u, r, origins);
    size_t len = reason == REJECT_NOTHING ? upgrade_accepted(out, r) : upgrade_refused(out, reason, r, 0);
    assert(len < sizeof out && strlen(out) == len);
    assert(reason != REJECT_NOTHING || sid_is_valid(span_of(u.sid, u.sid_len)));
}

/* A head that is complete is, up to each byte before its end, incomplete: never malformed, never complete. */
static void check_prefixes(struct span head)
{
    struct request r;
    size_t step = head.len / 64 + 1;
    for (size_t n = 0; n < head.len; n += step)
        assert(request_parse(&r, head.bytes, n) == REQUEST_INCOMPLETE);
    assert(request_parse(&r, head.bytes, head.len - 1) == REQUEST_INCOMPLETE);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct request r;
    uint8_t *copy = malloc(size > 0 ? size : 1); /* of its exact size: a byte too far is seen */
    if (!copy)
        return 0;
    if (size > 0)
        memcpy(copy, data, size);
    if (request_parse(&r, copy, size) == REQUEST_COMPLETE) {
        check_parts(&r, span_of(copy, size));
        check_prefixes(span_of(copy, r.head_bytes));
        check_answer(&r, "same-host");
        check_answer(&r, "*");
        check_answer(&r, "https://a.example, http://b.example:81");
    }
    free(copy);
    return 0;
}
