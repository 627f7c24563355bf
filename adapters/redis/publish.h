/* The script by which an event of a session is published: publish.lua, made a string by the build, without its comments. It is
 * sent as a text with each event: of EVALSHAs that are under way together, Redis may not know the script for the first and
 * know it for the next, for which the first is late. */
#ifndef REDIS_PUBLISH_H
#define REDIS_PUBLISH_H

extern const char publish_lua[];

#endif
