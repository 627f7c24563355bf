/* Comma-separated lists, as some options hold them. */
#include "config/list.h"

bool list_next(struct span *list, struct span *item)
{
    if (list->bytes == NULL)
        return false;
    span_cut(list, ',', item);
    *item = span_trim(*item);
    return true;
}
