/* The head of one HTTP/1.1 request (RFC 9112, sections 2 to 5), read strictly, where it lies. Nothing is
 * allocated or copied: every span points into the bytes that were parsed.
 *
 *     GET /path/ws?clientId=a HTTP/1.1 CRLF   Host: relay CRLF … CRLF   CRLF   what follows is not the head's
 *         |-path-| |-query--|                 |------- fields -------|       ^ head_bytes
 *
 * Refused as malformed: lines that do not end in CRLF, control characters, folded lines, a space before the
 * colon, no Host or two, a version other than HTTP/1.x. */
#ifndef HTTP_REQUEST_H
#define HTTP_REQUEST_H

#include "relay/span.h"

struct request {
    struct span method; /* a token, as sent: methods are case-sensitive */
    struct span target; /* as sent */
    struct span path;   /* of the target, not decoded; empty in OPTIONS * and CONNECT host:port */
    struct span query;  /* what follows the first '?', not decoded; empty when there is none */
    struct span host; /* the target's when it is an absolute URL, else that of Host. HTTP/1.0 may have none */
    struct span fields; /* the header lines, each with its CRLF */
    size_t head_bytes;  /* length of the head, its empty line included */
    int minor_version;  /* 0: HTTP/1.0. 1: HTTP/1.1, or any later 1.x (RFC 9110, section 2.5) */
    bool has_body;      /* Transfer-Encoding, or a Content-Length that is not 0: more than the head follows */
};

struct request_field {
    struct span name;
    struct span value; /* without the white space around it; may be empty */
};

enum request_result {
    REQUEST_COMPLETE,
    REQUEST_INCOMPLETE, /* right so far: call again with these bytes and more. *r is not set */
    REQUEST_MALFORMED,  /* 400, and close. *r is not set */
};

/* Parses the head at the beginning of the bytes. It has no limit of its own: the caller bounds len. */
enum request_result request_parse(struct request *r, const void *bytes, size_t len)
    __attribute__((warn_unused_result));

/* The header fields in order: start with *at = 0. False after the last. */
bool request_next_field(const struct request *r, size_t *at, struct request_field *field);

/* The first field of this name (case does not matter); .bytes is NULL when there is none. */
struct span request_header(const struct request *r, const char *name);
/* How many there are. */
int request_header_count(const struct request *r, const char *name);
/* True when this token is in the comma-separated lists of all fields of this name; no case matters. */
bool request_header_has_token(const struct request *r, const char *name, const char *token);

#endif
