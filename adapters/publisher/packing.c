#include "adapters/publisher/packing.h"

static int write_checked(void *data, const char *bytes, size_t len)
{
    struct packing *p = data;
    if (len > 0 && msgpack_sbuffer_write(&p->buffer, bytes, len) != 0)
        p->has_failed = true;
    return 0;
}

void packing_init(struct packing *p)
{
    p->has_failed = false;
    msgpack_sbuffer_init(&p->buffer);
    msgpack_packer_init(&p->packer, p, write_checked);
}

void packing_deinit(struct packing *p)
{
    msgpack_sbuffer_destroy(&p->buffer);
}

struct span packing_span(const struct packing *p)
{
    return p->has_failed ? SPAN_NONE : span_of(p->buffer.data, p->buffer.size);
}

void packing_str(struct packing *p, struct span s)
{
    msgpack_pack_str(&p->packer, s.len);
    packing_raw(p, s);
}

void packing_bin(struct packing *p, struct span s)
{
    msgpack_pack_bin(&p->packer, s.len);
    packing_raw(p, s);
}

void packing_text(struct packing *p, const char *s)
{
    packing_str(p, span_str(s));
}

void packing_text_or_nil(struct packing *p, const char *s)
{
    if (s)
        packing_text(p, s);
    else
        msgpack_pack_nil(&p->packer);
}

void packing_raw(struct packing *p, struct span bytes)
{
    write_checked(p, (const char *)bytes.bytes, bytes.len);
}
