/* Any bytes as JSON: refused at a place within, or one well-formed value of MessagePack, of which the publisher makes a command or
 * refuses it. */
#include <assert.h>
#include <stdlib.h>

#include "adapters/msgpack/unpack.h"
#include "adapters/publisher/parse_json.h"
#include "adapters/publisher/route.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect_one_value(struct span packed)
{
    struct unpack u = unpack_of(packed);
    assert(unpack_skip(&u, 1) == DROP_NOTHING && unpack_left(&u) == 0);
}

static void publish(struct span envelope)
{
    const struct route route = {"comfy", 300000, 4096};
    const char *why = NULL;
    struct post *post;
    int error = route_event(&route, envelope, &post, &why);
    assert(error == 0 || (!post && why));
    post_free(post);
}

static void parse(struct span text)
{
    struct packing packed;
    const char *why;
    size_t at;
    packing_init(&packed);
    int error = parse_json(&packed, text, 1, &why, &at);
    assert(at <= text.len && (error == 0) == (why == NULL));
    if (error == 0) {
        expect_one_value(packing_span(&packed));
        publish(packing_span(&packed));
    }
    packing_deinit(&packed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size > 0 ? size : 1); /* of its exact size */
    assert(copy);
    if (size > 0)
        memcpy(copy, data, size);
    parse(span_of(copy, size));
    free(copy);
    return 0;
}
