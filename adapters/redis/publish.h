/* The script by which an event of a session is published: publish.lua, made a string by the build. */
#ifndef REDIS_PUBLISH_H
#define REDIS_PUBLISH_H

extern const char publish_lua[];
extern const char publish_lua_sha1[]; /* in hexadecimal digits, as EVALSHA has it */

#endif
