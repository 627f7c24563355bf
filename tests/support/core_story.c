#include "tests/support/core_story.h"

struct core core;
struct core_socket a, a2, a3, b;

static int with_config(struct relay_config config)
{
    struct core_socket *sockets[] = {&a, &a2, &a3, &b};
    for (size_t i = 0; i < sizeof sockets / sizeof *sockets; i++) {
        sockets[i]->cursor.wants_metadata = false;
        sockets[i]->keeps_no_text = false;
        sockets[i]->holds_flags = false;
    }
    return core_init(&core, &config);
}

int setup(void **state)
{
    (void)state;
    return with_config(core_config());
}

int setup_share(void **state)
{
    (void)state;
    struct relay_config config = core_config();
    config.share = true;
    return with_config(config);
}

int setup_small_log(void **state)
{
    (void)state;
    struct relay_config config = core_config();
    config.log.events = 4;
    return with_config(config);
}

int setup_small_share(void **state)
{
    (void)state;
    struct relay_config config = core_config();
    config.log.events = 4;
    config.share = true;
    return with_config(config);
}

int setup_small_bytes(void **state)
{
    (void)state;
    struct relay_config config = core_config();
    config.log.bytes = 40;
    return with_config(config);
}

int teardown(void **state)
{
    (void)state;
    core_close(&a);
    core_close(&a2);
    core_close(&a3);
    core_close(&b);
    core_deinit(&core);
    return 0;
}

void connect_to(struct core_socket *socket, const char *sid)
{
    assert_int_equal(core_connect(&core, socket, sid), 0);
}
