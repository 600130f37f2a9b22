/* What lies between a layer's products: norms, rotation, keys and values to their pages. */

#include "numbers.h"

#include <math.h>
#include <omp.h>

#define FEWEST_ROWS 64 /* that are shared among threads */

/* What a row [size] is multiplied by to have a mean square of one (Zhang and Sennrich, 2019). */
static float norm_scale(const float *x, int64_t size, float eps)
{
    vec squares = {0};
    int64_t i = 0;
    for (; i + LANES <= size; i += LANES) {
        vec own = *(const loose *)(x + i);
        squares += own * own;
    }
    float sum = sum_of(squares);
    for (; i < size; i++) sum += x[i] * x[i];
    return 1 / sqrtf(sum / size + eps);
}

/* A row [size] normalised, rounded as it would be if it were stored, and times a weight. */
static void normalise(const float *x, const number *weight, float *out, int64_t size, float eps)
{
    float scale = norm_scale(x, size, eps);
    for (int64_t i = 0; i < size; i++) out[i] = widened(narrowed(x[i] * scale)) * widened(weight[i]);
}

void rms_norm(const number *x, const number *weight, number *out, int64_t rows, int64_t size, float eps,
              int threads)
{
#pragma omp parallel for num_threads(threads) if (rows >= FEWEST_ROWS)
    for (int64_t row = 0; row < rows; row++) {
        float own[size];
        widen(own, x + row * size, size);
        normalise(own, weight, own, size, eps);
        narrow(out + row * size, own, size);
    }
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

/* Heads [rows, query_heads + 2 kv_heads, size] to queries [rows, query_heads, size] and to the slots
   of pages; `norms` are [normalised, size], one for each of the first heads of a row. */
void place_heads(const number *heads, const number *norms, int64_t normalised, float eps,
                 const number *cosines, const number *sines, number *key_pages, number *value_pages,
                 const int64_t *slots, number *queries, int64_t rows, int64_t query_heads,
                 int64_t kv_heads, int64_t size, int threads)
{
    int64_t num_heads = query_heads + 2 * kv_heads, turned = query_heads + kv_heads;
#pragma omp parallel for num_threads(threads) if (rows >= FEWEST_ROWS)
    for (int64_t row = 0; row < rows; row++) {
        const number *cosine = cosines + row * (size / 2), *sine = sines + row * (size / 2);
        int64_t slot = slots[row] * kv_heads;
        float own[size];
        for (int64_t head = 0; head < num_heads; head++) {
            number *to = head < query_heads ? queries + (row * query_heads + head) * size
                        : head < turned    ? key_pages + (slot + head - query_heads) * size
                                           : value_pages + (slot + head - turned) * size;
            widen(own, heads + (row * num_heads + head) * size, size);
            if (head < normalised) normalise(own, norms + head * size, own, size, eps);
            if (head < turned) turn(own, cosine, sine, size);
            narrow(to, own, size);
        }
    }
}
