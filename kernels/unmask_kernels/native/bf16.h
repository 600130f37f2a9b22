/* Stored numbers, float32 or with -DBF16 bfloat16; all arithmetic is float32. */

#ifndef BF16_H
#define BF16_H

#include "simd.h"

#ifdef BF16

typedef uint16_t number; /* the upper half of a float */

INLINE float widened(number x)
{
    uint32_t bits = (uint32_t)x << 16;
    float wide;
    memcpy(&wide, &bits, sizeof wide);
    return wide;
}

/* Round to nearest even. */
INLINE number narrowed(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    uint32_t rounded = (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
    return (bits & 0x7fffffff) > 0x7f800000 ? 0x7fc0 : rounded; /* a NaN would become 0 */
}

INLINE void widen(float *restrict to, const number *restrict from, int64_t count)
{
    for (int64_t i = 0; i < count; i++) to[i] = widened(from[i]);
}

INLINE void narrow(number *restrict to, const float *restrict from, int64_t count)
{
    for (int64_t i = 0; i < count; i++) to[i] = narrowed(from[i]);
}

#else

typedef float number;

INLINE float widened(number x) { return x; }

INLINE number narrowed(float x) { return x; }

INLINE void widen(float *to, const number *from, int64_t count)
{
    memcpy(to, from, count * sizeof *to);
}

INLINE void narrow(number *to, const float *from, int64_t count)
{
    memcpy(to, from, count * sizeof *to);
}

#endif

#endif
