/* The scripts that change what Redis keeps of a session: claim.lua, store.lua and leave.lua, made strings by the build.
 *
 * Those that run often are run by their hashes: Redis is given them whenever the connection comes up, and again when it
 * has forgotten them (SCRIPT FLUSH, a failover behind a proxy). */
#ifndef REDIS_SCRIPTS_H
#define REDIS_SCRIPTS_H

#include "adapters/redis/commands.h"
#include "adapters/redis/oddities.h"

extern const char claim_lua[], store_lua[], leave_lua[];
extern const char claim_lua_sha1[], store_lua_sha1[]; /* in hexadecimal digits, as EVALSHA has it */

struct scripts {
    struct commands *commands; /* borrowed */
    struct oddities *oddities; /* borrowed */
    struct command loaded;
    size_t under_way; /* replies that are due */
    bool is_refused;  /* Redis did not take them, on this connection */
};

void scripts_init(struct scripts *s, struct commands *commands, struct oddities *oddities);

/* The connection is up: gives them to Redis. What is sent behind this finds them. */
void scripts_load(struct scripts *s);
/* Redis has forgotten them. False: that is seen to already, or is of no use. */
bool scripts_load_again(struct scripts *s);

/* True for the answer of a Redis that does not know the script. */
bool scripts_is_missing(const redisReply *reply);

#endif
