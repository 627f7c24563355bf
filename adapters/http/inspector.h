/* The inspector: one page, a client of the relay like any other, that shows what it is sent. Its sources are in
 * adapters/http/inspector/; the build joins them into the document that is written here. */
#ifndef HTTP_INSPECTOR_H
#define HTTP_INSPECTOR_H

#include <stdio.h>

#define INSPECTOR_CONTENT_TYPE "text/html; charset=utf-8"

struct inspector {
    char port[6]; /* of the WebSocket address, which the page is told; empty when there is none to tell */
    char headers[768]; /* of the answer, each with its CRLF: what the page may do, and that it is not kept */
};

/* listen: the option, a valid list of addresses. The page is told the first TCP port of it. */
void inspector_init(struct inspector *i, const char *listen);

/* The whole document. */
void inspector_write(const struct inspector *i, FILE *to);

#endif
