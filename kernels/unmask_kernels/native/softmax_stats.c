/* Softmax statistics of rows of float32 logits: the most likely token, and sums over the others. */

#include "thread_pool.h"
#include "simd.h"

#include <math.h>

#define SPAN (64 * LANES) /* logits summed in float32; spans are summed in float64 */

typedef struct {
    const float *logits; /* [rows, vocab] */
    int64_t vocab;
    int64_t *token;         /* [rows], the lowest of equals */
    float *highest;         /* [rows] */
    double *others, *below; /* [rows]; `below` may be NULL */
} SoftmaxStats;

/* Sums over all tokens but the most likely one, relative to its exp(logit). */
typedef struct {
    double others, below; /* of e = exp(logit - highest), and of e * (highest - logit) */
} Sums;

/* `count` logits from an address on, padded with -inf. */
INLINE vec logits_of(const float *from, int64_t count)
{
    if (count >= LANES) return *(const loose *)from;
    vec logits = -INFINITY + (vec){0};
    memcpy(&logits, from, count * sizeof *from);
    return logits;
}

static float highest_of(const float *logits, int64_t count)
{
    vec top = -INFINITY + (vec){0};
    for (int64_t j = 0; j < count; j += LANES) top = larger(logits_of(logits + j, count - j), top);
    float highest = top[0];
    for (int i = 1; i < LANES; i++) highest = top[i] > highest ? top[i] : highest;
    return highest;
}

INLINE void add_span(const float *logits, int64_t count, float highest, int with_below, Sums *sums)
{
    const vec zero = {0}, lowest = zero - INFINITY;
    vec others = zero, below = zero;
    for (int64_t j = 0; j < count; j += LANES) {
        vec x = logits_of(logits + j, count - j);
        ivec forbidden = x == lowest;
        vec e = choose(forbidden, zero, exponential(x - highest));
        others += e;
        if (with_below) below += choose(forbidden, zero, e * (highest - x));
    }
    sums->others += sum_of(others);
    if (with_below) sums->below += sum_of(below);
}

static void add_tokens(const float *logits, int64_t count, float highest, int with_below, Sums *sums)
{
    for (int64_t j = 0; j < count; j += SPAN) {
        int64_t span = count - j < SPAN ? count - j : SPAN;
        if (with_below)
            add_span(logits + j, span, highest, 1, sums);
        else
            add_span(logits + j, span, highest, 0, sums);
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

/* A row all of whose tokens are forbidden has token 0, and sums of 0. */
void softmax_stats(const float *logits, int64_t *token, float *highest, double *others, double *below,
                 int64_t rows, int64_t vocab, int threads)
{
    SoftmaxStats work = {logits, vocab, token, highest, others, below};
    run_parts(reduce_row, &work, rows, threads);
}
