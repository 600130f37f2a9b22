/* RMS norms, QK norm with RoPE, and KV writes. */

#include "bf16.h"
#include "thread_pool.h"

#include <math.h>

#define SUMS 2 /* independent sums at a time */

/* Factor of a row [size] that makes its mean square one (Zhang and Sennrich, 2019). */
static float norm_scale(const float *x, int64_t size, float eps)
{
    vec squares[SUMS] = {0};
    int64_t i = 0;
    for (; i + SUMS * LANES <= size; i += SUMS * LANES)
        for (int s = 0; s < SUMS; s++) {
            vec part = *(const loose *)(x + i + s * LANES);
            squares[s] += part * part;
        }
    for (int s = 1; s < SUMS; s++) squares[0] += squares[s];
    float sum = sum_of(squares[0]);
    for (; i < size; i++) sum += x[i] * x[i];
    return 1 / sqrtf(sum / size + eps);
}

/* Normalise a row [size], round it to its stored type, and multiply it by a weight. */
static void normalise(float *x, const number *weight, int64_t size, float eps)
{
    float scale = norm_scale(x, size, eps);
    for (int64_t i = 0; i < size; i++) x[i] = widened(narrowed(x[i] * scale)) * widened(weight[i]);
}

typedef struct {
    const number *x, *weight; /* [rows, size], [size] */
    number *out;
    int64_t size;
    float eps;
} Norm;

static void normalise_row(const void *work, int64_t row, int thread)
{
    (void)thread;
    const Norm *n = work;
    float values[n->size];
    widen(values, n->x + row * n->size, n->size);
    normalise(values, n->weight, n->size, n->eps);
    narrow(n->out + row * n->size, values, n->size);
}

void rms_norm(const number *x, const number *weight, number *out, int64_t rows, int64_t size, float eps,
              int threads)
{
    Norm norm = {x, weight, out, size, eps};
    run_parts(normalise_row, &norm, rows, rows < FEWEST_ROWS ? 1 : threads);
}

/* RoPE of a head [size] in halves, with cosines and sines [size / 2]. */
static void rotate(float *x, const number *cosines, const number *sines, int64_t size)
{
    int64_t half = size / 2;
    for (int64_t i = 0; i < half; i++) {
        float low = x[i], high = x[half + i], cosine = widened(cosines[i]), sine = widened(sines[i]);
        x[i] = low * cosine - high * sine;
        x[half + i] = high * cosine + low * sine;
    }
}

typedef struct {
    const number *heads; /* [rows, query_heads + 2 kv_heads, size] */
    const number *norms; /* [normalised, size] */
    int64_t normalised;
    float eps;
    const number *cosines, *sines; /* [rows, size / 2] */
    number *key_pages, *value_pages;
    const int64_t *slots; /* [rows] */
    number *queries;      /* [rows, query_heads, size] */
    int64_t query_heads, kv_heads, size;
} Heads;

static void store_row(const void *work, int64_t row, int thread)
{
    (void)thread;
    const Heads *h = work;
    int64_t size = h->size, half = size / 2, slot = h->slots[row] * h->kv_heads;
    int64_t rotated = h->query_heads + h->kv_heads, num_heads = rotated + h->kv_heads;
    float values[size];
    for (int64_t head = 0; head < num_heads; head++) {
        number *to = head < h->query_heads ? h->queries + (row * h->query_heads + head) * size
                     : head < rotated      ? h->key_pages + (slot + head - h->query_heads) * size
                                           : h->value_pages + (slot + head - rotated) * size;
        widen(values, h->heads + (row * num_heads + head) * size, size);
        if (head < h->normalised) normalise(values, h->norms + head * size, size, h->eps);
        if (head < rotated) rotate(values, h->cosines + row * half, h->sines + row * half, size);
        narrow(to, values, size);
    }
}

/* QK norm of the first `normalised` heads, RoPE, and KV writes; see layers/ops.py. */
void qk_norm_rope_store(const number *heads, const number *norms, int64_t normalised, float eps,
                 const number *cosines, const number *sines, number *key_pages, number *value_pages,
                 const int64_t *slots, number *queries, int64_t rows, int64_t query_heads,
                 int64_t kv_heads, int64_t size, int threads)
{
    Heads work = {heads,     norms,       normalised, eps,     cosines,     sines,
                  key_pages, value_pages, slots,      queries, query_heads, kv_heads, size};
    run_parts(store_row, &work, rows, rows < FEWEST_ROWS ? 1 : threads);
}
