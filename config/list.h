/* Comma-separated lists, as some options hold them. */
#ifndef CONFIG_LIST_H
#define CONFIG_LIST_H

#include "relay/span.h"

/* Cuts the first item off a list; blanks (space, tab) around it do not belong to it. False when the list is
 * used up, then its bytes are NULL. Begin with the whole text; "" has one item, which is empty, as "a," has
 * two. */
bool list_next(struct span *list, struct span *item);

#endif
