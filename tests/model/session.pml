/* One session, two relays, Redis and a client: what must not be lost, in every order in which things can happen.
 *
 *     publisher ──▶ Redis: the log, `ack`, `owner`; the session's channel ──▶ relay 0 ──▶ sockets ──▶ the client's page
 *                                                                         └─▶ relay 1 ──▶
 *
 * This is the protocol's documentation too: each step names in brackets the function that does it, and the suite checks
 * that it exists. tests/model/run.sh lets spin look at every state within small bounds, and at faults (below), each of
 * which the promises must notice.
 *
 * What is promised (design.md, rules of replay), for session.duplicate = replace:
 *   IN ORDER   what a socket is sent follows without a gap or a repetition; only a new socket may repeat
 *   RESUMED    a page that comes back goes on no later than where it had got to
 *   PROMPTED   a new page goes on no later than when it got its first status, and sees the prompt that executes from its
 *              beginning, whatever the page before it had acknowledged
 *   ONE LIVE   of what comes by the channel, a socket is sent nothing of when, by its order, a newer one had the session
 *   AT REST    in the end the client has everything, on the only socket that is live, and that one's relay has the session
 *
 * Sockets are numbered in the order in which they were opened: their times by the clock of Redis, which relays agree on.
 * Ids are 1, 2, 3 and so on. PROMPT is the event that begins the prompt, END the one that ends it. A place is the id of
 * the last event that a client has had: 0 is none yet, UNKNOWN is not known.
 *
 * There is no time here: whatever is under way may take as long as it likes. These are taken for granted; a switch takes
 * one away, and then spin shows what happens:
 *   - IMPATIENT_PLACING  a page's close frame arrives within RELAY_PLACING_MS of its successor's first status
 *   - IMPATIENT_CLIENT   a page that was told its first status comes back (after 300 ms) only when Redis knows where it began
 *   - AGE_OF_SENDING     when a socket was opened is not told later the longer its claim takes (adapters/redis/clock.h)
 *   - without one: a page that is loaded anew had no socket before that at another relay, of which that one has not heard yet
 *     (a reload with CONNECTS=3 still finds such a page resumed where the one before it had got to)
 *   - and, without one:  what a relay tells Redis of a page that has gone is not lost with the connection; a relay does not
 *                        die with a page that nobody else knows of */

#ifndef EVENTS
#define EVENTS 3
#endif
#ifndef PROMPT
#define PROMPT 1
#endif
#ifndef END
#define END 3
#endif
#ifndef CONNECTS
#define CONNECTS 3 /* sockets that the client opens, one after the other */
#endif
#ifndef RELOADS
#define RELOADS 1 /* how often its page is another one then */
#endif
#ifndef OUTAGES
#define OUTAGES 0 /* how often a relay loses its connection to Redis */
#endif
#ifndef DEATHS
#define DEATHS 0 /* how often a relay dies, and is started again */
#endif

#ifdef KEEP_BOTH
#define is_missing(id, newest) true /* what both the log and the channel brought is kept twice */
#else
#define is_missing(id, newest) ((id) > (newest))
#endif

#ifdef STATUS_TOO_SOON
#define is_joined(r) (R.subscription == SUB_ACTIVE) /* what came before the subscription may be read when there is more */
#else
#define is_joined(r) (R.subscription == SUB_ACTIVE && (R.catchup != NEW || R.has_from))
#endif

#define UNKNOWN    15
#define NO_PROMISE 14
#define NO_SOCKET 15
#define NOBODY    2
#define THE_DEAD  3 /* a relay that is no more */
#define other(r)  (1 - (r))

#define executes(id)  ((id) >= PROMPT && (id) < END)
#define beginning(id) (executes(id) -> PROMPT - 1 : (id)) /* the place of a page that has seen nothing, at this id */

/* ---- Redis ------------------------------------------------------------------------------------------------------- */

byte newest;         /* comfy:sid:{S}:log holds 1 to newest */
byte ack = UNKNOWN;  /* comfy:sid:{S}:ack */
byte owner = NOBODY; /* comfy:sid:{S}:owner: its name, */
byte opened;         /* and which socket it has claimed it for */
bool link_is_down[2];

mtype = { EVENT, TAKEOVER, LEFT }
chan channel[2] = [10] of { mtype, byte, byte }; /* to each relay, in order: what, its id or by whom, for which socket */

mtype = { CLAIM, CHECK, STORE, LEAVE }
chan commands[2] = [8] of { mtype, byte, byte }; /* from each relay, in order */

#define listens(r) (relays[r].subscription == SUB_ACTIVE) /* to comfy:sid:{S} */

inline publish(what, argument, socket)
{
    assert(nfull(channel[0]) && nfull(channel[1]));
    if :: listens(0) -> channel[0]!what(argument, socket) :: else fi;
    if :: listens(1) -> channel[1]!what(argument, socket) :: else fi
}

/* It is another's, which has a newer socket than this. */
#define is_anothers(r)       (owner != r && owner != NOBODY)
#define is_older_than(r, n)  (is_anothers(r) && opened > (n))

/* ---- the client, and its sockets as their relays see them ---------------------------------------------------------- */

byte connects;           /* sockets so far */
byte page = NO_SOCKET;   /* the socket that the page has now */
bool page_is_new = true; /* it was not sent anything of the log yet */
byte page_since;         /* its first socket */
bool is_known;           /* Redis has been told where it began */
byte told = UNKNOWN;     /* the newest event when the page got its first status: from then on it may post a prompt */
byte has;                /* then it has had everything, from its beginning up to this */
byte reloads, outages, deaths;

mtype = { NONE, WAITING, HELD, LIVE, SILENT, CLOSED }
typedef Socket {
    mtype state = NONE;
    byte relay;
    byte start;    /* cursor.start_from: where it begins if nothing is known */
    byte next;     /* cursor.seq, as an index in the relay's log */
    byte received; /* the last event that came through it */
    bool leaves    /* its close frame, 1001, is on its way */
}
Socket sock[CONNECTS];

/* ---- relays -------------------------------------------------------------------------------------------------------- */

mtype = { SUB_NONE, SUB_ASKED, SUB_ACTIVE }
mtype = { CAUGHT_UP, NEW, OUTAGE, CLAIMING }
#define LOG_MAX (EVENTS + 2)
typedef Relay {
    byte log[LOG_MAX]; /* the session's log here */
    byte count;
    byte top = NO_SOCKET; /* its newest socket */
    byte place = UNKNOWN; /* session_place(): how far the client has got */
    bool is_forgotten;    /* the page before that of its newest socket has left: what is known is of no use */
    byte placed = NO_SOCKET; /* the newest socket that was placed here */
    bool has_listeners;   /* another relay may still tell that the page has left */
    bool has_log;
    mtype subscription = SUB_NONE;
    mtype catchup = CAUGHT_UP;
    bool is_asked, is_joined, is_answered; /* catchup.ticket */
    bool has_from;
    byte from;                  /* the newest entry of the log before the subscription */
    byte aside_from, aside_upto; /* the live events that were put aside; 0: none */
    byte asked_for = NO_SOCKET;  /* what it has claimed the session for; none: it has only asked whose it is */
    bool is_refused, read_listeners;
    byte read_owner, read_ack, read_upto /* the answer: struct reading */
}
Relay relays[2];

#define R          relays[r]
#define TOP        sock[R.top]
#define has_top(r) (R.top != NO_SOCKET)
#define tail(r)    (R.count == 0 -> 0 : R.log[R.count - 1])
#define is_unplaced(r) (has_top(r) && (TOP.state == WAITING || TOP.state == HELD)) /* [session_unplaced] */
#define receives(r)    (has_top(r) && (TOP.state == WAITING || TOP.state == HELD || TOP.state == LIVE))
#define receiver(r)    (receives(r) -> R.top : NO_SOCKET) /* [session_receiver] */

inline append(r, id)
{
    assert(R.count < LOG_MAX);
    R.log[R.count] = id;
    R.count++
}

inline end_catchup(r)
{
    R.catchup = CAUGHT_UP;
    R.is_asked = false; R.is_joined = false; R.is_answered = false; R.has_from = false; R.from = 0;
    R.aside_from = 0; R.aside_upto = 0;
    R.asked_for = NO_SOCKET; R.is_refused = false; R.read_listeners = false;
    R.read_owner = 0; R.read_ack = 0; R.read_upto = 0
}

inline silence(n) /* [resume_silence] */
{
    if
    :: sock[n].state == WAITING || sock[n].state == HELD || sock[n].state == LIVE -> sock[n].state = SILENT
    :: else
    fi;
    if
    :: sock[n].state == SILENT || sock[n].state == CLOSED -> sock[n].start = 0; sock[n].next = 0; sock[n].received = 0
    :: else
    fi
}

inline close_socket(n) /* [relay_detach] */
{
    sock[n].state = CLOSED;
    sock[n].start = 0; sock[n].next = 0; sock[n].received = 0
}

/* Nobody awaits the answers to what was asked for it: a claim that is under way is made all the same. [relay_awaits] */
inline abandon_questions(r)
{
    i = len(commands[r]);
    do
    :: i > 0 ->
        commands[r]?what, id, who;
        if
        :: what == STORE || what == LEAVE -> commands[r]!what(id, who)
        :: what == CLAIM -> commands[r]!CLAIM(id, 1)
        :: else
        fi;
        i--
    :: else -> break
    od;
    what = 0; id = 0; who = 0
}

/* Another relay has the session: its sockets here stay open, and get nothing more. [lifetime_give_away] */
inline give_away(r)
{
    if :: has_top(r) -> silence(R.top) :: else fi;
    abandon_questions(r);
    end_catchup(r);
    i = 0;
    do :: i < LOG_MAX -> R.log[i] = 0; i++ :: else -> break od;
    i = 0;
    R.count = 0; R.top = NO_SOCKET; R.place = UNKNOWN;
    R.is_forgotten = false; R.placed = NO_SOCKET; R.has_listeners = false; R.has_log = false;
    R.subscription = SUB_NONE;
    do :: nempty(channel[r]) -> channel[r]?_, _, _ :: empty(channel[r]) -> break od
}

/* It is new here, or cut off: reads what Redis has. [catchup_begin] */
inline begin_catchup(r, how)
{
    R.catchup = how;
    R.has_from = (how != NEW)
}

#ifdef SUBSCRIBE_LAST
#define is_safe(r) true
#else
#define is_safe(r) (R.subscription == SUB_ACTIVE)
#endif

/* What is after the newest entry, now that nothing that comes can escape? The session is claimed for its newest socket;
 * without one it is asked whose it is. [readback_go_on] */
inline go_on(r)
{
    if
    :: R.catchup != CAUGHT_UP && !R.is_asked && R.has_from && is_safe(r) && !link_is_down[r] ->
        if
        :: R.catchup == NEW && !receives(r) -> give_away(r) /* whoever it was for has gone */
        :: else ->
            R.is_asked = true;
            R.read_owner = r;
            R.asked_for = receiver(r);
            assert(nfull(commands[r]));
            if
            :: R.asked_for == NO_SOCKET -> commands[r]!CHECK(0, 0)
#ifdef CLAIM_ONCE
            :: R.asked_for != NO_SOCKET && R.catchup == OUTAGE -> R.is_joined = true
            :: R.asked_for != NO_SOCKET && R.catchup != OUTAGE ->
#else
            :: R.asked_for != NO_SOCKET ->
#endif
                commands[r]!CLAIM(R.asked_for, 0)
            fi
        fi
    :: else
    fi
}

/* How far the client has got: stored 50 ms later, or when the link is back. [acks_note, acks_store_due] */
inline store_place(r)
{
    assert(nfull(commands[r]));
    if
    :: !link_is_down[r] && R.place != UNKNOWN -> commands[r]!STORE(R.place, (receives(r) -> R.top : NO_SOCKET))
    :: else
    fi
}

/* A socket opens: the older one is silent from now on. [relay_attach] */
inline attach(r, n)
{
    if :: has_top(r) -> silence(R.top) :: else fi;
    sock[n].relay = r;
    sock[n].state = WAITING;
    R.top = n;
    if
    :: !R.has_log ->
        R.has_log = true;
#ifndef SUBSCRIBE_LAST
        R.subscription = (link_is_down[r] -> SUB_NONE : SUB_ASKED); /* [lifetime_subscribe] */
#endif
        begin_catchup(r, NEW)
    :: else ->
        if :: R.catchup != NEW -> sock[n].start = beginning(tail(r)) :: else fi; /* [resume_prepare] */
#ifndef CLAIM_WHEN_NEW
        if :: R.catchup == CAUGHT_UP -> begin_catchup(r, CLAIMING) :: else fi
#endif
    fi;
    go_on(r)
}

/* The rules of replay. [resume_place] */
inline place_top(r)
{
    p = (R.is_forgotten || R.place == UNKNOWN -> TOP.start : R.place);
    TOP.state = LIVE; TOP.start = 0; TOP.received = p; TOP.next = 0;
    do :: TOP.next < R.count && R.log[TOP.next] <= p -> TOP.next++ :: else -> break od;
    if
    :: page == R.top && page_is_new ->
        assert(p <= told);                                                 /* PROMPTED */
        assert(!executes(told) || !executes(tail(r)) || p < PROMPT);       /* PROMPTED */
        has = p; page_is_new = false
    :: page == R.top && !page_is_new ->
        assert(p <= has)                                                   /* RESUMED */
    :: else
    fi;
    R.place = p; R.is_forgotten = false; R.has_listeners = false; R.placed = R.top;
    store_place(r);
    p = 0
}

#define is_older_here(n, r)  (n < connects && n != R.top && sock[n].relay == r && sock[n].state == SILENT)
#define an_older_is_here(r)  (is_older_here(0, r) || (CONNECTS > 1 && is_older_here(1 % CONNECTS, r)) || \
                              (CONNECTS > 2 && is_older_here(2 % CONNECTS, r)))
#define nothing_to_replay(r) (TOP.start >= tail(r) && (R.is_forgotten || R.place == UNKNOWN || R.place >= tail(r)))
#define a_page_is_leaving    (sock[0].leaves || sock[1 % CONNECTS].leaves || sock[2 % CONNECTS].leaves || \
                              commands[0]??[LEAVE, _, _] || commands[1]??[LEAVE, _, _] || \
                              channel[0]??[LEFT, _, _] || channel[1]??[LEFT, _, _])
#ifdef IMPATIENT_PLACING
#define placing_time_is_over true
#else
#define placing_time_is_over !a_page_is_leaving
#endif

#ifdef BELIEVE_ANY_PLACE
#define known_place(r, newest) R.read_ack
#else /* what is newer than all that was there when it came, its page cannot have had */
#define known_place(r, newest) (R.read_ack != UNKNOWN && R.read_ack > (newest) -> (newest) : R.read_ack) /* [know_place] */
#endif
#ifdef CLAIM_BY_ORDER
#define may_not_claim(r, n) false
#else
#define may_not_claim(r, n) is_older_than(r, n)
#endif
#ifdef STORE_ANYTHING
#define may_store(r) true
#else
#define may_store(r) (!is_anothers(r))
#endif
#ifdef DELETE_ANYTHING
#define may_delete(r, n) true
#else
#define may_delete(r, n) (!is_older_than(r, n))
#endif
#ifdef OBEY_ANY_TAKEOVER
#define is_newer(n, own) true
#else
#define is_newer(n, own) ((n) > (own))
#endif
#ifdef PLACE_BEFORE_CLAIM
#define is_whole(r) (R.catchup != NEW)
#else
#define is_whole(r) (R.catchup == CAUGHT_UP || (R.catchup == OUTAGE && link_is_down[r]))
#endif
#ifdef LEFT_ALWAYS
#define may_forget(r, n) is_unplaced(r)
#else /* of a socket whose successor was not placed yet */
#define may_forget(r, n) (is_unplaced(r) && (n) < R.top && (R.placed == NO_SOCKET || (n) >= R.placed))
#endif

/* ---- what happens -------------------------------------------------------------------------------------------------- */

proctype publisher()
{
end:
    do
    :: atomic { newest < EVENTS -> /* the script adapters/redis/publish.lua: XADD and PUBLISH in one */
        newest++;
        publish(EVENT, newest, opened) }
    od
}

/* Redis does what relay r asks, a command at a time. */
proctype redis(byte r)
{
    mtype what;
    byte i, p, id, who, place, n;
end:
    do
    :: atomic { !link_is_down[r] && R.subscription == SUB_ASKED -> /* SUBSCRIBE [channels.subscribe, relay_subscribed] */
        R.subscription = SUB_ACTIVE;
        go_on(r) }

    :: atomic { !link_is_down[r] && R.catchup == NEW && !R.has_from -> /* its newest entry [archive.read_back, readback_take_back] */
        R.has_from = true;
        R.from = newest;
        go_on(r) }

    /* One question, but not one instant. [archive.read_on] */
    :: atomic { !link_is_down[r] && commands[r]?[CLAIM, _, _] -> /* PUBSUB NUMSUB, then the script that claims */
        commands[r]?_, n, place;
#ifdef AGE_OF_SENDING
        n = connects - 1; /* what has waited in a queue is taken for younger than it is */
#endif
        if
        :: place == 0 ->
            R.read_listeners = listens(other(r));
            R.read_owner = owner;
            R.read_ack = ack;
            R.is_refused = may_not_claim(r, n);
            R.is_joined = true
        :: else
        fi;
        if
        :: may_not_claim(r, n)
        :: else -> owner = r; opened = n; publish(TAKEOVER, r, n)
        fi;
        n = 0; place = 0 }
    :: atomic { !link_is_down[r] && commands[r]?[CHECK, _, _] -> /* GET owner */
        commands[r]?_, _, _;
        R.read_owner = owner;
        R.is_joined = true }
    :: atomic { !link_is_down[r] && R.is_joined -> /* XRANGE */
        R.is_joined = false;
        R.read_upto = newest; R.is_answered = true }

    :: atomic { !link_is_down[r] && commands[r]?[STORE, _, _] -> /* SET ack, unless it is another's [archive.store] */
        commands[r]?_, place, n;
        if :: may_store(r) -> ack = place :: else fi;
        if :: n != NO_SOCKET && n >= page_since -> is_known = true :: else fi;
        place = 0; n = 0 }
    :: atomic { !link_is_down[r] && commands[r]?[LEAVE, _, _] -> /* DEL ack, and PUBLISH [archive.leave] */
        commands[r]?_, n, place;
        if :: place == 1 && may_delete(r, n) -> ack = UNKNOWN :: else fi;
        publish(LEFT, r, n);
        place = 0; n = 0 }
    od
}

proctype relay_of_clients(byte r)
{
    mtype what;
    byte id, who, i, p;
end:
    do
    /* The first status: the channel is subscribed, and it is known what came before that; or Redis is away, and then
     * nothing is promised of what a new page misses. [relay_subscribed, resume_tick, resume_hold] */
    :: atomic { has_top(r) && TOP.state == WAITING && (is_joined(r) || link_is_down[r]) ->
        TOP.state = HELD;
        if :: page == R.top && told == UNKNOWN -> told = (link_is_down[r] -> NO_PROMISE : newest) :: else fi }

    /* What was read, then what came meanwhile, but for what both brought. [relay_read_on] */
    :: atomic { R.is_answered ->
        if
        :: receives(r) && R.asked_for != R.top -> /* a newer socket has come meanwhile: it claims for that one */
            R.is_asked = false; R.is_answered = false; R.asked_for = NO_SOCKET;
            R.is_refused = false; R.read_listeners = false; R.read_owner = 0; R.read_ack = 0; R.read_upto = 0;
            go_on(r)
        :: !(receives(r) && R.asked_for != R.top) &&
           (R.is_refused || (R.asked_for == NO_SOCKET && R.read_owner != r && R.read_owner != NOBODY)) -> give_away(r)
        :: else ->
            if
            :: R.catchup == NEW ->
                p = R.from;
                R.place = known_place(r, p);
                R.has_listeners = R.read_listeners;
                if :: is_unplaced(r) -> TOP.start = beginning(p) :: else fi /* [resume_prepare] */
#ifndef TRUST_ITSELF
            :: R.catchup != NEW && is_unplaced(r) && R.read_owner != r && R.read_owner != NOBODY ->
                R.place = known_place(r, tail(r)); /* it was another's meanwhile, which knows better */
                R.has_listeners = R.read_listeners
#endif
            :: else
            fi;
#ifdef READ_NO_GAP
            p = (R.catchup == OUTAGE -> R.read_upto + 1 : tail(r) + 1);
#else
            p = tail(r) + 1;
#endif
            do :: p <= R.read_upto -> append(r, p); p++ :: else -> break od;
            p = (R.aside_from > 0 -> R.aside_from : R.aside_upto + 1);
            do
            :: p <= R.aside_upto ->
                if :: is_missing(p, tail(r)) -> append(r, p) :: else fi;
                p++
            :: else -> break
            od;
            p = 0;
            end_catchup(r)
        fi;
#ifdef SUBSCRIBE_LAST
        if :: R.has_log && R.subscription == SUB_NONE -> R.subscription = SUB_ASKED :: else fi
#endif
        }

    /* From the channel */
    :: atomic { !link_is_down[r] && nempty(channel[r]) ->
        channel[r]?what, id, who;
        if
        :: what == EVENT && R.catchup != CAUGHT_UP -> /* [catchup_put_aside] */
            R.aside_from = (R.aside_from == 0 -> id : R.aside_from);
            R.aside_upto = id
        :: what == EVENT && R.catchup == CAUGHT_UP -> /* [relay_receive, delivery_append] */
            if
            :: is_missing(id, tail(r)) ->
                assert(!has_top(r) || TOP.state != LIVE || who <= R.top); /* ONE LIVE */
                append(r, id)
            :: else /* it was read before it came */
            fi
        :: what == TAKEOVER && id == r
        :: what == TAKEOVER && id != r ->
#ifdef NEVER_SILENT
            skip
#else
            if
            :: !receives(r) || is_newer(who, R.top) -> give_away(r) /* [lifetime_taken_over] */
            :: else -> /* an older socket's: the claim for its own is under way, or lost [claim_again] */
                if :: R.catchup == CAUGHT_UP -> begin_catchup(r, CLAIMING); go_on(r) :: else fi
            fi
#endif
        :: what == LEFT && id != r -> R.is_forgotten = R.is_forgotten || may_forget(r, who) /* [resume_forget] */
        :: what == LEFT && id == r
        fi;
        what = 0; id = 0; who = 0 }

    /* The log here is whole, and there is nothing to replay, or nobody could still say that the page has gone, or
     * RELAY_PLACING_MS are over. [resume_place] */
    :: atomic { has_top(r) && TOP.state == HELD && is_whole(r) &&
                (nothing_to_replay(r) || (!an_older_is_here(r) && !R.has_listeners) || placing_time_is_over) ->
        place_top(r) }

    /* An event is written. [cursor_peek, cursor_take] */
    :: atomic { has_top(r) && TOP.state == LIVE && TOP.next < R.count ->
        p = R.log[TOP.next];
        TOP.next++;
        if
        :: page == R.top ->
            assert(p == TOP.received + 1); /* IN ORDER */
            TOP.received = p;
            has = (p > has -> p : has)
        :: else
#ifdef WRITTEN_IS_RECEIVED
            -> TOP.received = p
#endif
        fi;
        p = 0 }

    /* A pong, or several, at any time or never. [relay_acknowledge] */
    :: atomic { has_top(r) && TOP.state == LIVE && TOP.received > R.place ->
        R.place = TOP.received;
        store_place(r) }
    /* A close frame with 1001. [relay_page_left] */
    :: atomic { (sock[0].leaves && sock[0].relay == r) || (sock[1 % CONNECTS].leaves && sock[1 % CONNECTS].relay == r) ||
                (sock[2 % CONNECTS].leaves && sock[2 % CONNECTS].relay == r) ->
        i = 0;
        do :: !(sock[i].leaves && sock[i].relay == r) -> i++ :: else -> break od;
        sock[i].leaves = false;
#ifndef FORGET_NOTHING
        assert(len(commands[r]) < 8);
        if
        :: sock[i].state == SILENT || sock[i].state == CLOSED ->
            commands[r]!LEAVE(i, 0);
            R.is_forgotten = R.is_forgotten || may_forget(r, i)
        :: else ->
            commands[r]!LEAVE(i, 1);
            R.is_forgotten = false; R.place = UNKNOWN
        fi;
#endif
        close_socket(i);
        i = 0 }
    od
}

#ifdef IMPATIENT_CLIENT
#define may_come_back true
#else
#define may_come_back (told == UNKNOWN || is_known)
#endif

/* The first comes to relay 0: they are alike. */
#ifdef TO_AND_FRO
#define may_come_to(r) (page % 2 == (r))
#else
#define may_come_to(r) (page > 0 || (r) == 0)
#endif

proctype client()
{
    mtype what;
    byte i, id, who;
end:
    do
    /* It comes, or comes back, to either relay. */
    :: atomic { page == NO_SOCKET && connects < CONNECTS && may_come_back ->
        page = connects;
        connects++;
        if
        :: may_come_to(0) -> attach(0, page)
        :: may_come_to(1) -> attach(1, page)
        fi }
    /* Its network is cut; no relay knows. */
    :: atomic { page != NO_SOCKET && connects < CONNECTS ->
        page = NO_SOCKET }
    /* Its page is loaded anew: the old one sends 1001, which may arrive before or after the new one's socket. */
    :: atomic { page != NO_SOCKET && connects < CONNECTS && reloads < RELOADS && !link_is_down[sock[page].relay] ->
        reloads++;
        sock[page].leaves = true;
        page = NO_SOCKET; page_is_new = true; told = UNKNOWN; has = 0;
        page_since = connects; is_known = false }
    od
}

/* A relay's connections to Redis are lost, and come back. */
proctype network(byte r)
{
    mtype what;
    byte i, p, id, who;
end:
    do
    :: atomic { outages < OUTAGES && connects > 0 && !link_is_down[r] && !a_page_is_leaving -> /* [relay_link_down] */
        outages++;
        link_is_down[r] = true;
            do :: nempty(channel[r]) -> channel[r]?_, _, _ :: empty(channel[r]) -> break od;
        do :: nempty(commands[r]) -> commands[r]?_, _, _ :: empty(commands[r]) -> break od;
        R.subscription = SUB_NONE;
        if
        :: R.has_log && R.catchup != NEW -> end_catchup(r); begin_catchup(r, OUTAGE)
        :: R.has_log && R.catchup == NEW -> /* what was the newest entry then stays known [catchup_restart] */
#ifdef READ_NEWEST_AGAIN
            end_catchup(r); R.catchup = NEW
#else
            i = R.from; p = R.has_from;
            end_catchup(r); R.catchup = NEW; R.from = i; R.has_from = p;
            i = 0; p = 0
#endif
        :: else
        fi;
        }
    :: atomic { link_is_down[r] -> /* [relay_link_up] */
        link_is_down[r] = false;
        R.subscription = (R.has_log -> SUB_ASKED : SUB_NONE);
        store_place(r) } /* [relay_store_again] */

    /* A relay dies, and one with another name starts in its place. */
    :: atomic { deaths < DEATHS && !link_is_down[r] && !a_page_is_leaving && connects < CONNECTS &&
                may_come_back ->
        deaths++;
        if :: page != NO_SOCKET && sock[page].relay == r -> page = NO_SOCKET :: else fi;
        i = 0;
        do
        :: i < connects ->
            if :: sock[i].relay == r -> close_socket(i) :: else fi;
            i++
        :: else -> break
        od;
        do :: nempty(commands[r]) -> commands[r]?_, _, _ :: empty(commands[r]) -> break od;
        give_away(r);
        owner = (owner == r -> THE_DEAD : owner) }
    od
}

#define is_live(n) (n < CONNECTS && sock[n % CONNECTS].state == LIVE)

init
{
    atomic {
        run publisher();
        run redis(0); run redis(1);
        run relay_of_clients(0); run relay_of_clients(1);
        run network(0); run network(1);
        run client()
    }
    timeout -> /* AT REST */
    assert(newest == EVENTS && page != NO_SOCKET && sock[page].state == LIVE);
    assert(has == EVENTS);
    assert(is_live(0) + is_live(1) + is_live(2) == 1);
    assert(owner == sock[page].relay && opened == page);
    assert(empty(commands[0]) && empty(commands[1]))
}
