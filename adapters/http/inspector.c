#include "adapters/http/inspector.h"

#include <openssl/evp.h>
#include <string.h>

#include "adapters/http/inspector_page.h"
#include "config/address.h"

#define SHA256_LEN 32
#define BASE64_LEN 44

/* Nothing but this style and this script; pictures may come from anywhere, sockets go anywhere, since a person
 * enters both addresses. No text can become HTML: the document makes no use of such functions, and may not. */
#define HEADERS                                                                                     \
    "Content-Security-Policy: default-src 'none'; style-src 'sha256-%s'; script-src 'sha256-%s'; "  \
    "connect-src ws: wss:; img-src blob: data: http: https:; base-uri 'none'; form-action 'none'; " \
    "frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'\r\n"          \
    "X-Content-Type-Options: nosniff\r\nX-Frame-Options: DENY\r\nReferrer-Policy: no-referrer\r\n"  \
    "Cross-Origin-Resource-Policy: same-origin\r\nCross-Origin-Opener-Policy: same-origin\r\n"      \
    "Cache-Control: no-cache\r\n"

/* Without SHA-256 here the browser refuses to run the page. */
static void hash(char out[BASE64_LEN + 1], const struct piece *piece)
{
    uint8_t digest[EVP_MAX_MD_SIZE];
    if (EVP_Digest(piece->bytes, piece->len, digest, NULL, EVP_sha256(), NULL) != 1)
        memset(digest, 0, sizeof digest);
    EVP_EncodeBlock((unsigned char *)out, digest, SHA256_LEN);
}

static uint16_t first_port(const char *listen)
{
    struct address addresses[ADDRESS_LIST_MAX];
    int count = address_parse_list(addresses, ADDRESS_LIST_MAX, span_str(listen));
    for (int i = 0; i < count; i++)
        if (addresses[i].kind == ADDRESS_TCP)
            return addresses[i].port;
    return 0;
}

void inspector_init(struct inspector *i, const char *listen)
{
    char style[BASE64_LEN + 1], script[BASE64_LEN + 1];
    uint16_t port = first_port(listen);
    hash(style, &inspector_style);
    hash(script, &inspector_script);
    snprintf(i->headers, sizeof(i->headers), HEADERS, style, script);
    i->port[0] = '\0';
    if (port != 0)
        snprintf(i->port, sizeof(i->port), "%u", port);
}

static void write_piece(const struct piece *piece, FILE *to)
{
    fwrite(piece->bytes, 1, piece->len, to);
}

void inspector_write(const struct inspector *i, FILE *to)
{
    write_piece(&inspector_top, to);
    fputs(i->port, to);
    write_piece(&inspector_head, to);
    write_piece(&inspector_style, to);
    write_piece(&inspector_body, to);
    write_piece(&inspector_script, to);
    write_piece(&inspector_end, to);
}
