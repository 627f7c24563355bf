/* Numbers as text: integers digit for digit, floats with the fewest digits that read back the same, laid out
 * as Python's repr does (67.0, 1e+22, -0.0, 5e-324). Not for NaN and infinities. Each writes at most
 * NUMBER_MAX bytes, without a NUL, and returns how many.
 *
 * Rare floats go through printf and strtod, which follow the locale: the program never calls setlocale(), so
 * it is "C", whatever the environment says. */
#ifndef MSGPACK_NUMBER_H
#define MSGPACK_NUMBER_H

#include <stddef.h>
#include <stdint.h>

#define NUMBER_MAX 32

size_t number_unsigned(uint8_t *to, uint64_t n);
size_t number_signed(uint8_t *to, int64_t n);
size_t number_double(uint8_t *to, double v);
size_t number_float(uint8_t *to, float v);

#endif
