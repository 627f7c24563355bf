/* Players: fake workers that play a recording, each one run after the other. */
#ifndef COMMAND_PLAYER_H
#define COMMAND_PLAYER_H

#include "adapters/publisher/command/desk.h"
#include "adapters/publisher/command/recording.h"

/* Plays until all is played or a signal comes. 0, or -1: an event was refused, Redis did not answer in time, or no memory; and
 * that was said. */
int player_play_all(struct desk *d, const struct recording *r, const struct arguments *a);

#endif
