#include "tests/bench/load/crowd.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "tests/bench/load/target.h"

#define TURN_EVENTS 512
#define ADDRESS_CLIENTS \
    8000 /* from one address: the kernel is slow to find ports when half of them are taken */
#define TIMEOUT_NS INT64_C(60000000000)

static void watch(struct crowd *crowd, int fd, void *who)
{
    struct epoll_event e = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = who};
    if (epoll_ctl(crowd->loop, EPOLL_CTL_ADD, fd, &e) != 0)
        fail("epoll_ctl: %s", strerror(errno));
}

/* Each run comes from an address of its own: ports of the last one that are still closing are not in its way. */
static struct sockaddr_in own_address(void)
{
    uint32_t run = (uint32_t)getpid() & 0x3fff;
    uint32_t host = 127u << 24 | (1 + (run >> 7)) << 16 | (1 + (run & 127)) << 8 | 1;
    return (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(host)};
}

static void open_bare(struct crowd *crowd, const char *redis)
{
    crowd->bare = calloc(1, sizeof *crowd->bare);
    if (!crowd->bare)
        fail("no memory");
    bare_open(crowd->bare, redis, crowd->schedule.sessions);
    watch(crowd, crowd->bare->fd, crowd->bare);
}

void crowd_init(struct crowd *crowd, const struct crowd_plan *plan)
{
    crowd->is_awake = plan->is_awake;
    crowd->loop = epoll_create1(0);
    crowd->to = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    crowd->to.sin_port = htons((uint16_t)plan->port);
    crowd->from = own_address();
    crowd->tally.schedule = &crowd->schedule;
    if (plan->is_posted)
        publisher_open_http(&crowd->publisher, plan->port);
    else
        publisher_open(&crowd->publisher, plan->redis);
    watch(crowd, crowd->publisher.fd, &crowd->publisher);
    if (plan->is_bare)
        open_bare(crowd, plan->redis);
    crowd->count = plan->is_bare ? 0 : plan->sessions * plan->sockets;
    crowd->clients = calloc(crowd->count + 1, sizeof *crowd->clients);
    if (!crowd->clients)
        fail("no memory");
    for (uint32_t i = 0; i < crowd->count; i++)
        crowd->clients[i] = (struct client){.session = i % plan->sessions,
                                            .has_flags = plan->has_flags,
                                            .is_slow = i < plan->slow,
                                            .is_ungreeted = plan->is_posted};
}

static void open_next(struct crowd *crowd, uint32_t *opened)
{
    struct sockaddr_in from = crowd->from;
    from.sin_addr.s_addr = htonl(ntohl(from.sin_addr.s_addr) + *opened / ADDRESS_CLIENTS);
    struct client *c = &crowd->clients[(*opened)++];
    client_open(c, &crowd->to, &from);
    watch(crowd, c->fd, c);
}

void crowd_open(struct crowd *crowd, uint32_t at_once)
{
    int64_t end_ns = clock_ns() + TIMEOUT_NS;
    uint32_t opened = 0;
    crowd->greeted = 0;
    memset(&crowd->tally.greeting, 0, sizeof crowd->tally.greeting);
    while (crowd->greeted < crowd->count) {
        while (opened < crowd->count && opened - crowd->greeted < at_once)
            open_next(crowd, &opened);
        crowd_turn(crowd, 100000000);
        if (clock_ns() > end_ns)
            fail("%u of %u clients have had a first frame", crowd->greeted, crowd->count);
    }
}

void crowd_close(struct crowd *crowd)
{
    for (uint32_t i = 0; i < crowd->count; i++)
        client_close(&crowd->clients[i]);
}

static void on_client(struct crowd *crowd, struct client *c, uint32_t events)
{
    char sid[SID_BYTES + 1];
    enum client_state before = c->state;
    if (events & EPOLLOUT && before == CLIENT_CONNECTING) {
        schedule_sid(&crowd->schedule, c->session, sid);
        client_on_writable(c, sid);
    }
    if (events & (EPOLLIN | EPOLLERR | EPOLLHUP))
        client_on_readable(c, &crowd->tally);
    crowd->greeted += before < CLIENT_GREETED && c->state == CLIENT_GREETED;
}

void crowd_turn(struct crowd *crowd, int64_t wait_ns)
{
    struct epoll_event events[TURN_EVENTS];
    int64_t ns = crowd->is_awake ? 0 : wait_ns;
    struct timespec wait = {.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};
    int n = epoll_pwait2(crowd->loop, events, TURN_EVENTS, &wait, NULL);
    for (int i = 0; i < n; i++) {
        if (events[i].data.ptr == &crowd->publisher) {
            publisher_on_readable(&crowd->publisher);
            publisher_flush(&crowd->publisher);
        } else if (events[i].data.ptr == crowd->bare) {
            bare_on_readable(crowd->bare, &crowd->tally);
        } else {
            on_client(crowd, events[i].data.ptr, events[i].events);
        }
    }
}

void crowd_rest(struct crowd *crowd, int64_t ns)
{
    int64_t end_ns = clock_ns() + ns, left_ns;
    while ((left_ns = end_ns - clock_ns()) > 0)
        crowd_turn(crowd, left_ns);
}

uint32_t crowd_pending(const struct crowd *crowd)
{
    uint32_t pending = 0;
    for (uint32_t i = 0; i < crowd->count; i++) {
        const struct client *c = &crowd->clients[i];
        pending += !c->is_slow && !schedule_is_done(&crowd->schedule, c->session, &c->progress);
    }
    for (uint32_t i = 0; crowd->bare && i < crowd->schedule.sessions; i++)
        pending += !schedule_is_done(&crowd->schedule, i, &crowd->bare->progress[i]);
    return pending;
}
