/* Resuming: where in its session's log a new socket begins (the rules of replay), and how far it has got since.
 *
 *     first status ──▶ held ──▶ placed: known      where its client had got to
 *                        │              forgotten  (its page has gone) or never seen: at the beginning of the prompt that
 *                        │                         executes, or with what comes next
 *                        └── as long as the log here is not whole; and when there is something to replay, until the
 *                            client's flags have come and no older socket is open that could still say its page has
 *                            gone, RELAY_PLACING_MS at most
 *
 * A prompt's last executing goes first when it is not among what is replayed, as a stock server sends it
 * (ComfyUI, server.py, websocket_handler). */
#ifndef RELAY_RESUME_H
#define RELAY_RESUME_H

#include "relay/core.h"

/* A socket has joined: it waits for its session's subscription. */
void resume_wait(struct relay *r, struct cursor *c, uint64_t now_ms);
/* Its first status may be written. */
void resume_hold(struct relay *r, struct cursor *c, uint64_t now_ms);
/* The first status of those that wait may be written when all that is published from now on reaches them: the channel is
 * subscribed, and the newest entry of before is known. */
void resume_greet(struct relay *r, struct session *s, uint64_t now_ms);
/* The log here is whole: where the cursor could begin. What is before live_from is history. */
void resume_prepare(struct session *s, struct cursor *c, uint64_t live_from, uint64_t now_ms);
/* Places the session's newest socket, if it is held and may be placed; under share, all of them. */
void resume_place(struct relay *r, struct session *s, uint64_t now_ms);

/* Every socket of the session receives nothing more; their place is left behind. */
void resume_silence(struct relay *r, struct session *s, uint64_t now_ms);
/* One of its sockets closes. */
void resume_leave(struct relay *r, struct cursor *c, uint64_t now_ms);
/* The page of a socket that was opened then has gone, here or at another relay. It is the page before the newest socket's
 * when nothing newer was placed since. */
void resume_forget(struct session *s, uint64_t opened_ms);

/* What relay.h says of the functions of these names. */
void resume_settled(struct relay *r, struct cursor *c, uint64_t now_ms);
void resume_acknowledge(struct relay *r, struct cursor *c, uint64_t now_ms);
void resume_page_left(struct relay *r, struct cursor *c, uint64_t now_ms);

/* False when the log here does not reach back to where a new socket would begin. */
bool resume_reaches(const struct session *s);

/* The link is lost: nobody waits for a subscription. */
void resume_release(struct relay *r, uint64_t now_ms);

/* What is due: the first status of those that wait, the place of those that are held. */
void resume_tick(struct relay *r, uint64_t now_ms);
uint64_t resume_next_ms(const struct relay *r);

#endif
