/* Text of others on one line of ours. */
#ifndef CONFIG_QUOTE_H
#define CONFIG_QUOTE_H

#include <stdio.h>

#include "relay/span.h"

/* Writes the text with \xNN for every byte that is a control character or no UTF-8. Of more than `most` bytes
 * only the first are written, and an ellipsis. */
void quote_write(struct span text, size_t most, FILE *to);

#endif
