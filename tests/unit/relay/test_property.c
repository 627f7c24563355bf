/* Any interleaving of events, reads, cuts, returns, reloads, lost acknowledgements, and of what goes wrong between relays
 * and Redis: a client misses nothing that is kept, and gets nothing out of order.
 *
 *     PROPERTY_RUNS=n   how many random runs there are of each kind
 *     PROPERTY_SEED=n   one run, with all that happens in it on stderr */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>

#include "tests/support/core_client.h"

#define KINDS        8
#define RUNS         13000 /* of each kind */
#define FAULTS_SHOWN 5

/* What may happen in a run, besides what clients do. */
struct kind {
    const char *name;
    int relays;
    bool cuts;     /* connections to Redis are lost */
    bool deaths;   /* relays die */
    bool losses;   /* Redis loses its data */
    bool is_small; /* logs are short, here and in Redis */
    bool share;
};

static const struct kind kinds[KINDS] = {
    {"one relay", .relays = 1},
    {"two relays", .relays = 2},
    {"three relays, some die", .relays = 3, .deaths = true},
    {"a relay cut off from Redis", .relays = 1, .cuts = true},
    {"two relays cut off from Redis", .relays = 2, .cuts = true},
    {"Redis loses its data", .relays = 2, .cuts = true, .losses = true},
    {"short logs", .relays = 2, .cuts = true, .is_small = true},
    {"all sockets of a session receive", .relays = 2, .cuts = true, .share = true},
};

/* A run; static, for it is large. */
static struct world world;
static struct client client;

/* The publisher */

struct script {
    uint64_t prompt; /* the newest; 0: none yet */
    bool is_executing;
    bool has_ended; /* execution_success was sent, executing with no node not yet */
    uint64_t begun; /* k of its execution_start */
    unsigned node;
};

static struct script script;

static struct world_relay *any_relay(void)
{
    return &world.relays[world_below(&world, (uint64_t)world.count)];
}

__attribute__((format(printf, 1, 2))) static void keep(const char *format, ...)
{
    char line[160];
    va_list arguments;
    va_start(arguments, format);
    int n = vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    struct client_events *e = &client.events;
    e->k++;
    snprintf(line + n, sizeof line - (size_t)n, " k=%llu", (unsigned long long)e->k);
    e->start[e->k] = script.is_executing ? script.begun : 0;
    e->ended[e->k] = script.is_executing ? 0 : script.prompt;
    world_script(&world, line);
}

static void publish_picture(bool is_kept)
{
    char line[160];
    struct client_events *e = &client.events;
    unsigned long long n = is_kept ? ++e->k : ++e->l;
    if (is_kept) {
        e->start[n] = script.begun;
        e->ended[n] = 0;
    } else {
        e->prompt[n] = script.prompt;
        e->key[n] = 3 * (script.node % 4) + 2;
    }
    snprintf(line, sizeof line, "#4 prompt=p%llu node=%u format=%s %c=%llu v=%c%llu",
             (unsigned long long)script.prompt, script.node % 4, is_kept ? "PNG" : "JPEG",
             is_kept ? 'k' : 'l', n, is_kept ? 'K' : 'L', n);
    world_script(&world, line);
}

static void publish_progress(bool is_state)
{
    char line[160];
    struct client_events *e = &client.events;
    e->l++;
    e->prompt[e->l] = script.prompt;
    e->key[e->l] = is_state ? 0 : 3 * (script.node % 4) + 1;
    snprintf(line, sizeof line, "%s prompt=p%llu node=%u l=%llu", is_state ? "progress_state" : "progress",
             (unsigned long long)script.prompt, is_state ? 0 : script.node % 4, (unsigned long long)e->l);
    world_script(&world, line);
}

static void begin_prompt(void)
{
    script = (struct script){.prompt = script.prompt + 1, .is_executing = true, .begun = client.events.k + 1};
    keep("execution_start prompt=p%llu", (unsigned long long)script.prompt);
}

static void end_prompt(void)
{
    script.is_executing = false;
    if (!script.has_ended)
        keep("execution_success prompt=p%llu", (unsigned long long)script.prompt);
    else
        keep("executing prompt=p%llu node=", (unsigned long long)script.prompt);
    script.has_ended = !script.has_ended;
}

static void go_on_with_prompt(void)
{
    switch (world_below(&world, 9)) {
    case 0:
    case 1:
        keep("executing prompt=p%llu node=%u", (unsigned long long)script.prompt, ++script.node % 4);
        break;
    case 2:
    case 3:
        publish_progress(false);
        break;
    case 4:
        publish_progress(true);
        break;
    case 5:
        publish_picture(false);
        break;
    case 6:
        publish_picture(true);
        break;
    case 7:
        keep("executed prompt=p%llu node=%u", (unsigned long long)script.prompt, script.node % 4);
        break;
    default:
        end_prompt();
    }
}

static void publish(void)
{
    if (script.has_ended)
        end_prompt();
    else if (script.is_executing)
        go_on_with_prompt();
    else if (world_below(&world, 3) > 0)
        begin_prompt();
    else
        keep("asset_download");
}

static void broadcast(void)
{
    char line[64];
    bool is_monitor = world_below(&world, 2) == 0;
    snprintf(line, sizeof line, "%s b=%llu", is_monitor ? "crystools.monitor worker=w" : "notification",
             (unsigned long long)++client.events.b);
    world_broadcast(&world, line);
}

/* What happens */

static void deliver_some(void)
{
    uint64_t n = world_below(&world, 10);
    while (n-- > 0 && world_deliver(&world))
        client_watch(&client);
    client_watch(&client);
}

static void pass_time(void)
{
    static const uint64_t steps[] = {1, 5, 20, 50, 60, 100, 150, 160, 400, 1100};
    world_advance(&world, steps[world_below(&world, sizeof steps / sizeof *steps)]);
}

/* It has everything, and the relay knows. */
static void read_and_acknowledge(void)
{
    client_read(&client, SIZE_MAX);
    client_ping(&client);
    client_read(&client, SIZE_MAX);
    client_pong(&client, true);
}

static void come_or_go(void)
{
    if (client.current < 0) {
        client_connect(&client, any_relay());
        return;
    }
    if (world_below(&world, 2) == 0)
        read_and_acknowledge();
    switch (world_below(&world, 6)) {
    case 0:
    case 1:
        client_cut(&client);
        break;
    case 2:
        client_close(&client);
        break;
    case 3:
        client_leave(&client);
        break;
    case 4:
        client_reload(&client, any_relay(), false);
        if (world_below(&world, 2) == 0) {
            deliver_some();
            (void)!client_end(&client); /* as a browser does, some 10 ms later */
        }
        break;
    default:
        client_reload(&client, any_relay(), true);
    }
}

static void act_as_client(void)
{
    switch (world_below(&world, 12)) {
    case 0:
    case 1:
    case 2:
        client_read(&client, 1 + world_below(&world, 4));
        break;
    case 3:
    case 4:
        client_read(&client, SIZE_MAX);
        break;
    case 5:
    case 6:
        client_ping(&client);
        break;
    case 7:
    case 8:
        client_pong(&client, world_below(&world, 4) > 0);
        break;
    case 9:
        client_tell_flags(&client);
        break;
    case 10:
        client_set_room(&client,
                        world_below(&world, 3) == 0 ? CLIENT_FLIGHT_MAX / 2 : world_below(&world, 4));
        break;
    default:
        (void)!client_end(&client);
    }
}

/* A connection to Redis breaks, is found broken, or is back. */
static void break_or_mend(void)
{
    struct world_relay *r = any_relay();
    client.is_strict = false;
    if (!r->is_up)
        world_connect(&world, r);
    else if (!r->is_connected)
        world_notice(&world, r);
    else if (world_below(&world, 3) == 0)
        world_cut_commands(&world, r);
    else
        world_cut(&world, r);
}

static void kill_one(void)
{
    struct world_relay *r = any_relay();
    client.is_strict = false;
    client_lose_relay(&client, r);
    world_replace(&world, r);
}

static void go_wrong(const struct kind *kind)
{
    uint64_t what = world_below(&world, 3);
    if (what == 0 && kind->losses)
        world_lose_data(&world, world_below(&world, 2) == 0);
    else if (what <= 1 && kind->deaths)
        kill_one();
    else if (kind->cuts)
        break_or_mend();
}

static void step(const struct kind *kind)
{
    uint64_t what = world_below(&world, 20);
    if (what < 7)
        publish();
    else if (what < 8)
        broadcast();
    else if (what < 10)
        pass_time();
    else if (what < 12)
        come_or_go();
    else if (what < 19)
        act_as_client();
    else
        go_wrong(kind);
}

/* At the end */

/* A turn in which everything arrives, and a time to wait for whatever waits. */
static void calm_down(uint64_t ms)
{
    for (int i = 0; i < 3; i++) {
        while (world_deliver(&world))
            client_watch(&client);
        world_advance(&world, ms);
        client_watch(&client);
    }
    while (world_deliver(&world))
        client_watch(&client);
}

static void mend_all(void)
{
    for (int i = 0; i < world.count; i++) {
        struct world_relay *r = &world.relays[i];
        if (r->is_up && !r->is_connected)
            world_notice(&world, r);
        if (!r->is_up)
            world_connect(&world, r);
    }
}

static void read_all(void)
{
    client_set_room(&client, CLIENT_FLIGHT_MAX / 2);
    client_read(&client, SIZE_MAX);
}

/* The client has whatever is published from now on, and all before. */
static void check_all_arrives(void)
{
    uint64_t before = client.events.k;
    publish();
    keep("asset_download");
    broadcast();
    calm_down(200);
    read_all();
    const struct client_socket *s = &client.sockets[client.current];
    if (client.next_k != client.events.k + 1)
        client_blame(&client, "the client has all before %llu, and %llu were published",
                     (unsigned long long)client.next_k, (unsigned long long)client.events.k);
    if (s->last_k <= before)
        client_blame(&client, "socket %d gets nothing more", client.current);
}

static void check_relays_are_at_rest(void)
{
    for (int i = 0; i < world.count; i++) {
        struct relay *r = &world.relays[i].relay;
        if (r->asked > 0 || r->catching_up > 0 || !relay_is_caught_up(r))
            client_blame(&client, "%s: %zu questions, %zu sessions catch up", world.relays[i].name, r->asked,
                         r->catching_up);
    }
}

static void check_everything_is_forgotten(void)
{
    client_deinit(&client);
    calm_down(world.config.session_ttl_ms);
    for (int i = 0; i < world.count; i++) {
        const struct metrics *m = relay_measure(&world.relays[i].relay);
        if (m->sessions > 0 || m->log_bytes > 0)
            client_blame(&client, "%s still knows %llu sessions, %llu bytes", world.relays[i].name,
                         (unsigned long long)m->sessions, (unsigned long long)m->log_bytes);
    }
}

static void finish(void)
{
    mend_all();
    calm_down(400);
    check_relays_are_at_rest();
    client_check_live(&client);
    if (client.current < 0 || client.sockets[client.current].cursor.state != CURSOR_LIVE ||
        world_below(&world, 2) == 0) {
        if (client.current >= 0)
            client_cut(&client);
        client_connect(&client, any_relay());
        client_tell_flags(&client);
    }
    calm_down(400);
    while (client_end(&client))
        calm_down(1);
    client_check_live(&client);
    check_all_arrives();
    check_everything_is_forgotten();
}

/* A run */

static struct relay_config config_of(uint64_t seed, const struct kind *kind)
{
    return (struct relay_config){.session_ttl_ms = 60000,
                                 .status_interval_ms = 250,
                                 .worker_timeout_ms = 1000,
                                 .coalesce_ms = seed / KINDS % 2 * 4,
                                 .log = {.events = kind->is_small ? 6 : 1000, .bytes = 100000},
                                 .message_bytes = 1000,
                                 .share = kind->share};
}

/* NULL, or the promise that was broken. */
static const char *run(uint64_t seed, FILE *trace)
{
    const struct kind *kind = &kinds[seed % KINDS];
    struct relay_config config = config_of(seed, kind);
    client_init(&client, &world);
    world_init(&world, seed, kind->relays, &config, trace);
    script = (struct script){0};
    world.page = 2 + world_below(&world, WORLD_PAGE_MAX - 1); /* the first of a page may be known */
    world.redis.entries = kind->is_small ? 8 : MEMORY_ENTRIES_MAX;
    client.wants_metadata = world_below(&world, 2) == 0;
    for (uint64_t steps = 20 + world_below(&world, 40); steps > 0 && client.fault[0] == '\0'; steps--) {
        step(kind);
        deliver_some();
    }
    if (client.fault[0] == '\0')
        finish();
    client_deinit(&client);
    world_deinit(&world);
    return client.fault[0] == '\0' ? NULL : client.fault;
}

static uint64_t from_environment(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text ? strtoull(text, NULL, 10) : otherwise;
}

static void nothing_that_matters_is_lost_whatever_happens(void **state)
{
    (void)state;
    uint64_t runs = from_environment("PROPERTY_RUNS", RUNS), faults = 0;
    for (uint64_t seed = 0; seed < runs * KINDS; seed++) {
        const char *fault = run(seed, NULL);
        if (!fault)
            continue;
        if (faults++ < FAULTS_SHOWN)
            print_error("PROPERTY_SEED=%llu (%s): %s\n", (unsigned long long)seed, kinds[seed % KINDS].name,
                        fault);
    }
    if (faults > 0)
        fail_msg("%llu of %llu runs broke a promise", (unsigned long long)faults,
                 (unsigned long long)(runs * KINDS));
}

static void the_one_run_that_was_asked_for(void **state)
{
    (void)state;
    uint64_t seed = from_environment("PROPERTY_SEED", 0);
    const char *fault = run(seed, stderr);
    if (fault)
        fail_msg("PROPERTY_SEED=%llu (%s): %s", (unsigned long long)seed, kinds[seed % KINDS].name, fault);
}

int main(void)
{
    const struct CMUnitTest one[] = {cmocka_unit_test(the_one_run_that_was_asked_for)};
    const struct CMUnitTest all[] = {cmocka_unit_test(nothing_that_matters_is_lost_whatever_happens)};
    if (getenv("PROPERTY_SEED"))
        return cmocka_run_group_tests(one, NULL, NULL);
    return cmocka_run_group_tests(all, NULL, NULL);
}
