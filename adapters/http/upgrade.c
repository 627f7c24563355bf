#include "adapters/http/upgrade.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>

#include "config/list.h"
#include "relay/hex.h"

#define WEBSOCKET_GUID "258EAFA5-E914-47DA-95CA-C5AB0DC85B11" /* RFC 6455, section 1.3 */
#define KEY_LEN        24                                     /* 16 bytes in base64 */
#define SHA1_LEN       20
#define ACCEPT_LEN     28 /* 20 bytes in base64 */
#define RETRY_AFTER_S  "5"

/* The query */

/* Percent-decodes as browsers do: a '%' without two digits stays, and so does '+'. At most cap bytes are
 * written. The length that the whole has. */
static size_t percent_decode(struct span s, uint8_t *out, size_t cap)
{
    size_t n = 0;
    for (size_t i = 0; i < s.len; i++, n++) {
        uint8_t c = s.bytes[i];
        if (c == '%' && s.len - i > 2 && hex_value(s.bytes[i + 1]) >= 0 && hex_value(s.bytes[i + 2]) >= 0) {
            c = (uint8_t)(hex_value(s.bytes[i + 1]) << 4 | hex_value(s.bytes[i + 2]));
            i += 2;
        }
        if (n < cap)
            out[n] = c;
    }
    return n;
}

/* The value, not yet decoded, of the first parameter of this name; empty when there is none. */
static struct span query_value(struct span query, const char *name)
{
    uint8_t decoded[16];
    while (query.len > 0) {
        struct span name_part, value;
        span_cut(&query, '&', &value);
        span_cut(&value, '=', &name_part);
        size_t n = percent_decode(name_part, decoded, sizeof decoded);
        if (n <= sizeof decoded && span_is(span_of(decoded, n), name))
            return value;
    }
    return SPAN_NONE;
}

/* A UUID of version 4 (RFC 9562, section 5.4) as 32 hexadecimal digits. Cannot fail: arc4random_buf() has no
 * error to tell, and ends a program to which the system gives no random bytes at all. */
static void mint_sid(struct upgrade *u)
{
    uint8_t random[16];
    arc4random_buf(random, sizeof random);
    random[6] = (random[6] & 0x0f) | 0x40;
    random[8] = (random[8] & 0x3f) | 0x80;
    for (size_t i = 0; i < sizeof random; i++) {
        u->sid[2 * i] = (uint8_t) "0123456789abcdef"[random[i] >> 4];
        u->sid[2 * i + 1] = (uint8_t) "0123456789abcdef"[random[i] & 15];
    }
    u->sid_len = 2 * sizeof random;
}

static enum reject_reason read_sid(struct upgrade *u, struct span query)
{
    struct span value = query_value(query, "clientId");
    if (value.len == 0) {
        mint_sid(u);
        return REJECT_NOTHING;
    }
    u->sid_len = percent_decode(value, u->sid, sizeof u->sid);
    bool is_valid = u->sid_len <= sizeof u->sid && sid_is_valid(span_of(u->sid, u->sid_len));
    return is_valid ? REJECT_NOTHING : REJECT_SID;
}

/* Origins */

/* host:port, [::1]:port or either without the port. */
static struct span without_port(struct span authority)
{
    if (authority.len > 0 && authority.bytes[0] == '[') {
        const uint8_t *end = memchr(authority.bytes, ']', authority.len);
        return end ? span_of(authority.bytes, (size_t)(end - authority.bytes) + 1) : SPAN_NONE;
    }
    struct span host;
    span_cut(&authority, ':', &host);
    return host;
}

/* The host of scheme://host:port; empty for `null` and for whatever else is no origin. */
static struct span origin_host(struct span origin)
{
    const uint8_t *at = origin.len > 0 ? memmem(origin.bytes, origin.len, "://", 3) : NULL;
    if (!at)
        return SPAN_NONE;
    return without_port(span_of(at + 3, origin.len - (size_t)(at + 3 - origin.bytes)));
}

static bool is_same_host(struct span origin, struct span host)
{
    struct span own = without_port(host);
    return own.len > 0 && span_equals_ignoring_case(origin_host(origin), own);
}

bool upgrade_allows_origin(const char *origins, struct span origin, struct span host)
{
    struct span list = span_str(origins), item;
    while (list_next(&list, &item)) {
        if (span_is(item, "*") || (span_is(item, "same-host") && is_same_host(origin, host)))
            return true;
        if (item.len > 0 && span_equals_ignoring_case(item, origin))
            return true;
    }
    return false;
}

static bool is_foreign(const struct request *r, const char *origins)
{
    int count = request_header_count(r, "Origin");
    if (count == 0) /* not a browser */
        return false;
    return count > 1 || !upgrade_allows_origin(origins, request_header(r, "Origin"), r->host);
}

/* The decision */

static bool is_base64_char(uint8_t c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '+' || c == '/';
}

/* Base64 of 16 bytes. */
static bool is_key(struct span key)
{
    if (key.len != KEY_LEN || memcmp(key.bytes + KEY_LEN - 2, "==", 2) != 0)
        return false;
    for (size_t i = 0; i < KEY_LEN - 2; i++)
        if (!is_base64_char(key.bytes[i]))
            return false;
    return true;
}

static bool has_one(const struct request *r, const char *name)
{
    return request_header_count(r, name) == 1;
}

static bool ends_in_ws(struct span path)
{
    return path.len >= 3 && memcmp(path.bytes + path.len - 3, "/ws", 3) == 0;
}

enum reject_reason upgrade_decide(struct upgrade *u, const struct request *r, const char *origins)
{
    if (r->minor_version < 1)
        return REJECT_MALFORMED;
    if (!span_is(r->method, "GET"))
        return REJECT_METHOD;
    if (!ends_in_ws(r->path))
        return REJECT_PATH;
    if (r->has_body)
        return REJECT_MALFORMED;
    if (!request_header_has_token(r, "Connection", "upgrade") ||
        !request_header_has_token(r, "Upgrade", "websocket"))
        return REJECT_NOT_UPGRADE;
    if (!has_one(r, "Sec-WebSocket-Version") || !span_is(request_header(r, "Sec-WebSocket-Version"), "13"))
        return REJECT_VERSION;
    if (!has_one(r, "Sec-WebSocket-Key") || !is_key(request_header(r, "Sec-WebSocket-Key")))
        return REJECT_KEY;
    if (is_foreign(r, origins))
        return REJECT_ORIGIN;
    return read_sid(u, r->query);
}

/* The responses */

static void make_accept(char out[ACCEPT_LEN + 1], struct span key)
{
    char text[KEY_LEN + sizeof WEBSOCKET_GUID];
    uint8_t digest[EVP_MAX_MD_SIZE];
    memcpy(text, key.bytes, KEY_LEN);
    memcpy(text + KEY_LEN, WEBSOCKET_GUID, sizeof WEBSOCKET_GUID);
    if (EVP_Digest(text, sizeof text - 1, digest, NULL, EVP_sha1(), NULL) != 1)
        memset(digest, 0, sizeof digest); /* no SHA-1 here: the client will refuse this answer */
    EVP_EncodeBlock((unsigned char *)out, digest, SHA1_LEN);
}

size_t upgrade_accepted(char out[UPGRADE_RESPONSE_MAX], const struct request *r)
{
    char accept[ACCEPT_LEN + 1];
    make_accept(accept, request_header(r, "Sec-WebSocket-Key"));
    return (size_t)snprintf(out, UPGRADE_RESPONSE_MAX,
                            "HTTP/1.1 101 Switching Protocols\r\n"
                            "Upgrade: websocket\r\n"
                            "Connection: Upgrade\r\n"
                            "Sec-WebSocket-Accept: %s\r\n\r\n",
                            accept);
}

/* RFC 9110, section 15.5.22 asks a 426 for Upgrade, and section 7.8 that for Connection: upgrade. */
#define UPGRADE_HEADERS "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
#define RETRY_HEADER    "Retry-After: " RETRY_AFTER_S "\r\n"

static const struct refusal {
    int status;
    const char *phrase;
    const char *headers;
    const char *body;
} refusals[REJECT_REASONS_COUNT] = {
    [REJECT_MALFORMED] = {400, "Bad Request", "", "not a well-formed HTTP/1.1 request"},
    [REJECT_METHOD] = {405, "Method Not Allowed", "Allow: GET\r\n", "only GET is allowed"},
    [REJECT_PATH] = {404, "Not Found", "", "the WebSocket is at /ws"},
    [REJECT_NOT_UPGRADE] = {426, "Upgrade Required", UPGRADE_HEADERS, "this is a WebSocket"},
    [REJECT_VERSION] = {426, "Upgrade Required", UPGRADE_HEADERS, "the WebSocket version must be 13"},
    [REJECT_KEY] = {400, "Bad Request", "", "Sec-WebSocket-Key must be 16 bytes in base64"},
    [REJECT_SID] = {400, "Bad Request", "",
                    "clientId must be 1 to 128 bytes of UTF-8 without controls, { or }"},
    [REJECT_ORIGIN] = {403, "Forbidden", "", "this origin is not allowed"},
    [REJECT_HEADER_BYTES] = {431, "Request Header Fields Too Large", "", "the request is too large"},
    [REJECT_TIMEOUT] = {408, "Request Timeout", "", "the request took too long"},
    [REJECT_CONNECTIONS] = {503, "Service Unavailable", RETRY_HEADER, "there are too many connections"},
    [REJECT_DRAINING] = {503, "Service Unavailable", RETRY_HEADER, "the relay is stopping"},
    [REJECT_DESCRIPTORS] = {503, "Service Unavailable", RETRY_HEADER,
                            "the relay has no descriptors to spare"},
    [REJECT_NO_MEMORY] = {503, "Service Unavailable", RETRY_HEADER, "the relay has no memory to spare"},
};

int upgrade_status(enum reject_reason reason)
{
    return refusals[reason].status;
}

size_t upgrade_refused(char out[UPGRADE_RESPONSE_MAX], enum reject_reason reason, const struct request *r,
                       time_t now)
{
    const struct refusal *f = &refusals[reason];
    bool has_body = !r || !span_is(r->method, "HEAD");
    struct tm utc;
    char date[32];
    strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&now, &utc));
    return (size_t)snprintf(out, UPGRADE_RESPONSE_MAX,
                            "HTTP/1.1 %d %s\r\n"
                            "%s"
                            "Date: %s\r\n"
                            "Content-Type: text/plain; charset=utf-8\r\n"
                            "Content-Length: %zu\r\n"
                            "Connection: %sclose\r\n\r\n"
                            "%s%s",
                            f->status, f->phrase, f->headers, date, strlen(f->body) + 1,
                            f->status == 426 ? "upgrade, " : "", has_body ? f->body : "",
                            has_body ? "\n" : "");
}
