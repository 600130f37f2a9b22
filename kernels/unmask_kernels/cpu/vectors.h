/* Vectors of float32 as wide as the CPU's registers. */

#ifndef VECTORS_H
#define VECTORS_H

#include <stdint.h>
#include <string.h>

#ifdef __AVX512F__
#define REGISTER 64 /* bytes */
#else
#define REGISTER 32
#endif
#ifndef LANES
#define LANES (REGISTER / 4)
#endif

#define INLINE static inline __attribute__((always_inline))

typedef float vec __attribute__((vector_size(4 * LANES)));
typedef int32_t ivec __attribute__((vector_size(4 * LANES)));
typedef float loose __attribute__((vector_size(4 * LANES), aligned(4)));

INLINE vec choose(ivec mask, vec yes, vec no)
{
    return (vec)((mask & (ivec)yes) | (~mask & (ivec)no));
}

/* exp, within two units of the last place (Cephes): 2^n times a polynomial on [-ln 2 / 2, ln 2 / 2].
   It is infinite from 88.4 on, and never below 1e-38. */
INLINE vec exponential(vec x)
{
    const vec zero = {0}, lowest = zero - 87.0f, highest = zero + 89.0f, rounder = zero + 12582912.0f;
    x = choose(x < lowest, lowest, choose(x > highest, highest, x));
    vec n = (x * 1.44269504f + rounder) - rounder;
    vec r = x - n * 0.693359375f + n * 2.12194440e-4f;
    vec p = zero + 1.9875691500e-4f;
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * (r * r) + r + 1.0f;
    return p * (vec)((__builtin_convertvector(n, ivec) + 127) << 23);
}

INLINE float sum_of(vec x)
{
    float sum = 0;
    for (int i = 0; i < LANES; i++) sum += x[i];
    return sum;
}

#endif
