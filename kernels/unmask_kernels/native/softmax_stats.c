/* The likeliest token of a row of logits, and what all the others come to; logits are float32. */

#include "thread_pool.h"
#include "simd.h"

#include <math.h>

#define SPAN (64 * LANES) /* logits that are summed in float32, their sums in float64 */

typedef struct {
    const float *logits; /* [rows, vocab] */
    int64_t vocab;
    int64_t *token;         /* [rows], the lowest of equals */
    float *highest;         /* [rows] */
    double *others, *below; /* [rows]; `below` may be NULL */
} SoftmaxStats;

/* Sums over tokens but for the likeliest, with the likelihood of that one as 1. */
typedef struct {
    double others, below; /* softmax_stats, and those times how far a logit is below the highest */
} Sums;

/* `count` logits from an address on, and after the last of a row tokens that are forbidden. */
INLINE vec logits_of(const float *from, int64_t count)
{
    if (count >= LANES) return *(const loose *)from;
    vec own = -INFINITY + (vec){0};
    memcpy(&own, from, count * sizeof *from);
    return own;
}

static float highest_of(const float *logits, int64_t count)
{
    vec top = -INFINITY + (vec){0};
    for (int64_t j = 0; j < count; j += LANES) top = larger(logits_of(logits + j, count - j), top);
    float highest = top[0];
    for (int i = 1; i < LANES; i++) highest = top[i] > highest ? top[i] : highest;
    return highest;
}

INLINE void add_span(const float *logits, int64_t count, float highest, int spreads, Sums *sums)
{
    const vec zero = {0}, lowest = zero - INFINITY;
    vec others = zero, below = zero;
    for (int64_t j = 0; j < count; j += LANES) {
        vec own = logits_of(logits + j, count - j);
        ivec forbidden = own == lowest;
        vec likelihood = choose(forbidden, zero, exponential(own - highest));
        others += likelihood;
        if (spreads) below += choose(forbidden, zero, likelihood * (highest - own));
    }
    sums->others += sum_of(others);
    if (spreads) sums->below += sum_of(below);
}

static void add_tokens(const float *logits, int64_t count, float highest, int spreads, Sums *sums)
{
    for (int64_t j = 0; j < count; j += SPAN) {
        int64_t own = count - j < SPAN ? count - j : SPAN;
        if (spreads)
            add_span(logits + j, own, highest, 1, sums);
        else
            add_span(logits + j, own, highest, 0, sums);
    }
}

static void reduce_row(const void *work, int64_t row, int thread)
{
    (void)thread;
    const SoftmaxStats *l = work;
    const float *logits = l->logits + row * l->vocab;
    int64_t token = 0;
    float highest = highest_of(logits, l->vocab);
    while (token + 1 < l->vocab && logits[token] != highest) token++;
    Sums sums = {0};
    float level = highest == -INFINITY ? 0 : highest;
    add_tokens(logits, token, level, l->below != NULL, &sums);
    add_tokens(logits + token + 1, l->vocab - token - 1, level, l->below != NULL, &sums);
    l->token[row] = token;
    l->highest[row] = highest;
    l->others[row] = sums.others;
    if (l->below != NULL) l->below[row] = sums.below;
}

/* Of a row all of whose tokens are forbidden, token 0 is the likeliest, and the sums are 0. */
void softmax_stats(const float *logits, int64_t *token, float *highest, double *others, double *below,
                 int64_t rows, int64_t vocab, int threads)
{
    SoftmaxStats work = {logits, vocab, token, highest, others, below};
    run_parts(reduce_row, &work, rows, threads);
}
