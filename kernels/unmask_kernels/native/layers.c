/* What lies between a layer's products: norms, rotation, keys and values to their pages. */

#include "bf16.h"
#include "thread_pool.h"

#include <math.h>

#define SUMS 2 /* at a time, none of which waits for another */

/* What a row [size] is multiplied by to have a mean square of one (Zhang and Sennrich, 2019). */
static float norm_scale(const float *x, int64_t size, float eps)
{
    vec squares[SUMS] = {0};
    int64_t i = 0;
    for (; i + SUMS * LANES <= size; i += SUMS * LANES)
        for (int s = 0; s < SUMS; s++) {
            vec own = *(const loose *)(x + i + s * LANES);
            squares[s] += own * own;
        }
    for (int s = 1; s < SUMS; s++) squares[0] += squares[s];
    float sum = sum_of(squares[0]);
    for (; i < size; i++) sum += x[i] * x[i];
    return 1 / sqrtf(sum / size + eps);
}

/* Normalise a row [size], round it as it would be if it were stored, and multiply it by a weight. */
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
    float own[n->size];
    widen(own, n->x + row * n->size, n->size);
    normalise(own, n->weight, n->size, n->eps);
    narrow(n->out + row * n->size, own, n->size);
}

void rms_norm(const number *x, const number *weight, number *out, int64_t rows, int64_t size, float eps,
              int threads)
{
    Norm norm = {x, weight, out, size, eps};
    run_parts(normalise_row, &norm, rows, rows < FEWEST_ROWS ? 1 : threads);
}

/* Turn the halves of a head [size] by angles given as cosines and sines [size / 2]. */
static void turn(float *x, const number *cosines, const number *sines, int64_t size)
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

static void place_row(const void *work, int64_t row, int thread)
{
    (void)thread;
    const Heads *h = work;
    int64_t size = h->size, half = size / 2, slot = h->slots[row] * h->kv_heads;
    int64_t turned = h->query_heads + h->kv_heads, num_heads = turned + h->kv_heads;
    float own[size];
    for (int64_t head = 0; head < num_heads; head++) {
        number *to = head < h->query_heads ? h->queries + (row * h->query_heads + head) * size
                     : head < turned       ? h->key_pages + (slot + head - h->query_heads) * size
                                           : h->value_pages + (slot + head - turned) * size;
        widen(own, h->heads + (row * num_heads + head) * size, size);
        if (head < h->normalised) normalise(own, h->norms + head * size, size, h->eps);
        if (head < turned) turn(own, h->cosines + row * half, h->sines + row * half, size);
        narrow(to, own, size);
    }
}

/* Heads of a projection to queries and to the slots of pages; the first of a row are normalised. */
void qk_norm_rope_store(const number *heads, const number *norms, int64_t normalised, float eps,
                 const number *cosines, const number *sines, number *key_pages, number *value_pages,
                 const int64_t *slots, number *queries, int64_t rows, int64_t query_heads,
                 int64_t kv_heads, int64_t size, int threads)
{
    Heads work = {heads,     norms,       normalised, eps,     cosines,     sines,
                  key_pages, value_pages, slots,      queries, query_heads, kv_heads, size};
    run_parts(place_row, &work, rows, rows < FEWEST_ROWS ? 1 : threads);
}
