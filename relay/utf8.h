/* UTF-8, one character at a time (Unicode 15, table 3-7; RFC 3629). */
#ifndef RELAY_UTF8_H
#define RELAY_UTF8_H

#include "relay/span.h"

/* Looks at the character that begins at s.bytes; s.len must be at least 1.
 *  > 0  the length, 1 to 4, of a well-formed character
 *  < 0  the negated length, 1 to 3, of the maximal subpart of an ill-formed one: what a browser replaces by
 *       one U+FFFD (Unicode 15, section 3.9, "U+FFFD Substitution of Maximal Subparts") */
int utf8_next(struct span s);

/* True when the well-formed character that begins at s.bytes is a control: C0, DEL or C1 (U+0080 to U+009F). */
bool utf8_is_control(struct span s);

#endif
