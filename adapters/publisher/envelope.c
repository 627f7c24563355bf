#include "adapters/publisher/envelope.h"

static void pack_type(struct packing *p, const struct event *e)
{
    packing_text(p, "type");
    if (e->is_binary)
        msgpack_pack_uint32(&p->packer, e->code);
    else
        packing_str(p, e->type);
}

static void pack_sid(struct packing *p, const struct event *e)
{
    packing_text(p, "sid");
    if (e->to == TO_ALL)
        msgpack_pack_nil(&p->packer);
    else
        packing_str(p, e->to == TO_SESSION ? e->sid : SPAN_NONE);
}

static void pack_keep(struct packing *p, enum keep_wish keep)
{
    packing_text(p, "keep");
    if (keep == KEEP_ALWAYS)
        msgpack_pack_true(&p->packer);
    else
        msgpack_pack_false(&p->packer);
}

void envelope_begin(struct packing *p, const struct event *e, uint64_t unix_ms)
{
    msgpack_pack_map(&p->packer, e->keep == KEEP_BY_TYPE ? 5 : 6);
    pack_type(p, e);
    pack_sid(p, e);
    packing_text(p, "worker");
    packing_str(p, e->worker);
    packing_text(p, "ts");
    msgpack_pack_uint64(&p->packer, unix_ms);
    if (e->keep != KEEP_BY_TYPE)
        pack_keep(p, e->keep);
    packing_text(p, "data");
}
