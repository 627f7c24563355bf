/* The configuration file: name = value, under [section].
 *
 * libinih is not used: as Debian builds it, it strips comments after values, joins indented lines to the one
 * before and cuts lines at 200 bytes; here a value goes to the end of its line. */
#ifndef CONFIG_INI_H
#define CONFIG_INI_H

#include "relay/span.h"

struct ini {
    struct span rest;    /* borrowed text, not yet read */
    struct span section; /* empty before the first one */
    unsigned line;       /* of what was read last; the first is 1 */
};

struct ini_entry {
    struct span section;
    struct span name;  /* never empty */
    struct span value; /* without the blanks around it; may be empty */
    const char *why;   /* with INI_BAD: what is wrong with the line */
};

enum ini_result { INI_ENTRY, INI_END, INI_BAD };

/* Lines end in LF or CRLF. A byte order mark is skipped. */
void ini_init(struct ini *ini, struct span text);
enum ini_result ini_next(struct ini *ini, struct ini_entry *entry);

#endif
