/* Reading back: brings a session's log here to where it is in Redis, and then goes live without a gap or a duplicate.
 *
 *     a session that is new here        read its newest entries ─┐
 *                                                                ├▶ subscribed ─▶ read on from there ─▶ (read further
 *     one that was cut off from Redis   it knows where it was ───┘                back, as far as needed) ─▶ complete
 *
 * What comes live meanwhile is put aside, and follows what was read, but for what both brought. History, up to the newest
 * entry before the subscription, is replayed by the rules of resume.h; what is newer is live, and sent in any case.
 *
 * It is read back as far as the client's place and as the beginning of the prompt that executes, whichever is older.
 * Questions wait in a queue, so that a return of thousands of sessions has a pace. */
#ifndef RELAY_READBACK_H
#define RELAY_READBACK_H

#include "relay/core.h"

/* Asks the next question of a session that is catching up, when it may: the link is up, or its channel is subscribed now.
 * May free sessions that nobody wants any more, this one too. */
void readback_go_on(struct relay *r, struct session *s);

/* Answers (relay.h). */
void readback_take_back(struct relay *r, struct span sid, uint64_t ticket, const struct archived *entries,
                        size_t count, bool is_last, uint64_t now_ms);
void readback_take_on(struct relay *r, struct span sid, uint64_t ticket, const struct reading *reading,
                      uint64_t now_ms);

/* Redis has lost what it knew of a session. */
void readback_note_lost(struct relay *r);

#endif
