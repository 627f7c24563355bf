/* How many files and sockets the process may have open. */
#ifndef PROCESS_DESCRIPTORS_H
#define PROCESS_DESCRIPTORS_H

#include <stdint.h>

/* Raises the limit as far as the process may (RLIMIT_NOFILE: the soft limit to the hard one). What it is then;
 * UINT64_MAX: there is none. */
uint64_t descriptors_raise(void);

#endif
