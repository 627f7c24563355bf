#include "adapters/msgpack/compose.h"

#include <errno.h>
#include <msgpack.h>

#include "adapters/msgpack/envelope.h"
#include "adapters/msgpack/payload.h"
#include "adapters/msgpack/unpack.h"

/* Packs into a buffer of msgpack-c, and remembers a failed write, so that only the end needs a check. */
struct composer {
    msgpack_packer packer;
    msgpack_sbuffer buffer;
    bool has_failed;
};

static int write_checked(void *data, const char *bytes, size_t len)
{
    struct composer *c = data;
    if (len > 0 && msgpack_sbuffer_write(&c->buffer, bytes, len) != 0)
        c->has_failed = true;
    return 0;
}

static void pack_span(struct composer *c, struct span s)
{
    msgpack_pack_str(&c->packer, s.len);
    msgpack_pack_str_body(&c->packer, s.bytes, s.len);
}

static void pack_text(struct composer *c, const char *s)
{
    pack_span(c, span_str(s));
}

static void pack_text_pair(struct composer *c, const char *key, const char *value)
{
    pack_text(c, key);
    pack_text(c, value);
}

static void pack_span_pair(struct composer *c, const char *key, struct span value)
{
    pack_text(c, key);
    pack_span(c, value);
}

/* {type, sid, data}, of which data follows; without the sid where that is empty. */
static void begin(struct composer *c, const char *type, struct span sid)
{
    c->has_failed = false;
    msgpack_sbuffer_init(&c->buffer);
    msgpack_packer_init(&c->packer, c, write_checked);
    msgpack_pack_map(&c->packer, sid.len > 0 ? 3 : 2);
    pack_text_pair(c, "type", type);
    if (sid.len > 0)
        pack_span_pair(c, "sid", sid);
    pack_text(c, "data");
}

static int finish(struct composer *c, struct composed *out)
{
    *out = (struct composed){0};
    if (c->has_failed) {
        msgpack_sbuffer_destroy(&c->buffer);
        return -ENOMEM;
    }
    out->len = c->buffer.size;
    out->bytes = msgpack_sbuffer_release(&c->buffer);
    return 0;
}

static void pack_node(struct composer *c, struct span node)
{
    pack_text(c, "node_id");
    if (node.len > 0)
        write_checked(c, (const char *)node.bytes, node.len);
    else
        msgpack_pack_nil(&c->packer);
}

static void pack_message(struct composer *c, struct span worker)
{
    struct span before = span_str("worker "), after = span_str(" was lost");
    pack_text(c, "exception_message");
    msgpack_pack_str(&c->packer, before.len + worker.len + after.len);
    msgpack_pack_str_body(&c->packer, before.bytes, before.len);
    msgpack_pack_str_body(&c->packer, worker.bytes, worker.len);
    msgpack_pack_str_body(&c->packer, after.bytes, after.len);
}

static void pack_empty_array(struct composer *c, const char *key)
{
    pack_text(c, key);
    msgpack_pack_array(&c->packer, 0);
}

static void pack_empty_map(struct composer *c, const char *key)
{
    pack_text(c, key);
    msgpack_pack_map(&c->packer, 0);
}

int compose_worker_lost(struct span worker, struct span sid, struct span prompt, struct span node,
                        uint64_t unix_ms, struct composed *out)
{
    struct composer c;
    begin(&c, "execution_error", sid);
    msgpack_pack_map(&c.packer, 10);
    pack_span_pair(&c, "prompt_id", prompt);
    pack_node(&c, node);
    pack_text_pair(&c, "node_type", "");
    pack_empty_array(&c, "executed");
    pack_message(&c, worker);
    pack_text_pair(&c, "exception_type", "WorkerLost");
    pack_empty_array(&c, "traceback");
    pack_empty_map(&c, "current_inputs");
    pack_empty_map(&c, "current_outputs");
    pack_text(&c, "timestamp");
    msgpack_pack_uint64(&c.packer, unix_ms);
    return finish(&c, out);
}

int compose_end(struct span sid, struct span prompt, struct composed *out)
{
    struct composer c;
    begin(&c, "executing", sid);
    msgpack_pack_map(&c.packer, 2);
    pack_text(&c, "node");
    msgpack_pack_nil(&c.packer);
    pack_span_pair(&c, "prompt_id", prompt);
    return finish(&c, out);
}

/* Between relays */

static int compose_between(const char *type, struct span name, uint64_t opened_ms, struct composed *out)
{
    struct composer c;
    begin(&c, type, SPAN_NONE);
    msgpack_pack_map(&c.packer, 2);
    pack_span_pair(&c, "by", name);
    pack_text(&c, "opened");
    msgpack_pack_uint64(&c.packer, opened_ms);
    return finish(&c, out);
}

int compose_takeover(struct span name, uint64_t opened_ms, struct composed *out)
{
    return compose_between("relay.takeover", name, opened_ms, out);
}

int compose_left(struct span name, uint64_t opened_ms, struct composed *out)
{
    return compose_between("relay.left", name, opened_ms, out);
}

/* Whose log it is does not matter here: any sid does, and the event's own does not count. */
bool compose_log_entry_ends(struct span event, struct span prompt)
{
    struct event e;
    if (envelope_decode(event, span_str("-"), &e) != DROP_NOTHING || e.is_binary)
        return false;
    if (payload_text(&e, NULL) != DROP_NOTHING || !event_ends_prompt(&e))
        return false;
    struct value id = unpack_one(e.prompt);
    return id.kind == VALUE_STR && span_equals(id.bytes, prompt);
}
