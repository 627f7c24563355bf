/* What a request on `listen` is answered: the upgrade to a WebSocket (RFC 6455, section 4.2), or why not.
 *
 *     malformed, HTTP/1.0, no Host 400 ─▶ method 405 ─▶ path 404 ─▶ a body 400 ─▶ no upgrade 426
 *         ─▶ version 426 ─▶ key 400 ─▶ origin 403 ─▶ sid 400 ─▶ 101
 *
 * The first that applies is the answer. Extensions and subprotocols that a client offers are declined by
 * silence. */
#ifndef HTTP_UPGRADE_H
#define HTTP_UPGRADE_H

#include <time.h>

#include "adapters/http/request.h"
#include "relay/metrics.h"
#include "relay/sid.h"

#define UPGRADE_RESPONSE_MAX 512 /* room for any response that is made here */

/* The sid that the client asked for, or the one that was minted for it. */
struct upgrade {
    uint8_t sid[SID_MAX_BYTES];
    size_t sid_len;
};

/* Decides about a request that was parsed. `origins` is the option ws.origins. REJECT_NOTHING: *u is filled,
 * and upgrade_accepted() makes the answer; else why not, and upgrade_refused() does. */
enum reject_reason upgrade_decide(struct upgrade *u, const struct request *r, const char *origins)
    __attribute__((warn_unused_result));

/* Writes the 101 to a request that was accepted. Its length. */
size_t upgrade_accepted(char out[UPGRADE_RESPONSE_MAX], const struct request *r);

/* The status of a refusal: 400, 403, 404, 405, 408, 426, 431 or 503. */
int upgrade_status(enum reject_reason reason);
/* Writes a refusal, head and body; to a HEAD request without the body, and with its length all the same (RFC
 * 9110, section 9.3.2). `r` is NULL when the request could not be read. The connection is to be closed after
 * it. Its length. */
size_t upgrade_refused(char out[UPGRADE_RESPONSE_MAX], enum reject_reason reason, const struct request *r,
                       time_t now);

/* True when ws.origins lets this Origin in. `host` is the authority that the request went to. */
bool upgrade_allows_origin(const char *origins, struct span origin, struct span host);

#endif
