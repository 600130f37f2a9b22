/* Vectors of float32 as wide as the CPU's registers. */

#ifndef SIMD_H
#define SIMD_H

#include <immintrin.h>
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

/* The larger or smaller of two numbers; the second if one is a NaN. */
#if LANES * 4 != REGISTER
INLINE vec larger(vec a, vec b) { return choose(a > b, a, b); }
INLINE vec smaller(vec a, vec b) { return choose(a < b, a, b); }
#elif REGISTER == 64
INLINE vec larger(vec a, vec b) { return (vec)_mm512_max_ps((__m512)a, (__m512)b); }
INLINE vec smaller(vec a, vec b) { return (vec)_mm512_min_ps((__m512)a, (__m512)b); }
#else
INLINE vec larger(vec a, vec b) { return (vec)_mm256_max_ps((__m256)a, (__m256)b); }
INLINE vec smaller(vec a, vec b) { return (vec)_mm256_min_ps((__m256)a, (__m256)b); }
#endif

/* exp, within two units of the last place (Cephes): 2^n times a polynomial on [-ln 2 / 2, ln 2 / 2].
   It is infinite from 88.4 on, and never below 1e-38. */
INLINE vec exponential(vec x)
{
    const vec zero = {0}, lowest = zero - 87.0f, highest = zero + 89.0f, rounder = zero + 12582912.0f;
    x = larger(lowest, smaller(highest, x));
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
    float part[4] = {0};
    for (int i = 0; i < LANES; i++) part[i % 4] += x[i];
    return (part[0] + part[1]) + (part[2] + part[3]);
}

#endif
