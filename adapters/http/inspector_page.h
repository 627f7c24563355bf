/* The inspector's document in pieces, as CMakeLists.txt makes them of inspector/: the port comes after the first; style and
 * script are whole elements' contents, as a browser hashes them. */
#ifndef HTTP_INSPECTOR_PAGE_H
#define HTTP_INSPECTOR_PAGE_H

#include <stddef.h>

struct piece {
    const unsigned char *bytes;
    size_t len;
};

extern const struct piece inspector_top, inspector_head, inspector_style, inspector_body, inspector_script,
    inspector_end;

#endif
