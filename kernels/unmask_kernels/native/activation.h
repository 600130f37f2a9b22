/* Activations of gated products (Shazeer, 2020). */

#ifndef ACTIVATION_H
#define ACTIVATION_H

#include "simd.h"

enum { SILU, GELU };

INLINE vec activated(vec x, int activation)
{
    /* The tanh approximation of GELU is x times a sigmoid too: 1 + tanh(u) = 2 sigmoid(2 u). */
    vec slope = activation == SILU ? x : x * (1.5957691216f + 0.0713548162f * x * x);
    return x / (1.0f + exponential(-slope));
}

#endif
