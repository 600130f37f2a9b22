/* What lies between a layer's products, in float32: norms, rotation, keys and values to their pages. */

#ifndef BF16

#include "vectors.h"

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

static void normalise(const float *x, const float *weight, float *out, int64_t size, float eps)
{
    float scale = norm_scale(x, size, eps);
    for (int64_t i = 0; i < size; i++) out[i] = x[i] * scale * weight[i];
}

void rms_norm(const float *x, const float *weight, float *out, int64_t rows, int64_t size, float eps,
              int threads)
{
#pragma omp parallel for num_threads(threads) if (rows >= FEWEST_ROWS)
    for (int64_t row = 0; row < rows; row++)
        normalise(x + row * size, weight, out + row * size, size, eps);
}

/* Turn the halves of a head [size] by angles given as cosines and sines [size / 2]. */
static void turn(const float *x, const float *cosine, const float *sine, float *out, int64_t size)
{
    int64_t half = size / 2;
    for (int64_t i = 0; i < half; i++) {
        float low = x[i], high = x[half + i];
        out[i] = low * cosine[i] - high * sine[i];
        out[half + i] = high * cosine[i] + low * sine[i];
    }
}

/* Heads [rows, query_heads + 2 kv_heads, size] to queries [rows, query_heads, size] and to the slots
   of pages; `norms` are [normalised, size], one for each of the first heads of a row. */
void place_heads(const float *heads, const float *norms, int64_t normalised, float eps,
                 const float *cosines, const float *sines, float *key_pages, float *value_pages,
                 const int64_t *slots, float *queries, int64_t rows, int64_t query_heads,
                 int64_t kv_heads, int64_t size, int threads)
{
    int64_t num_heads = query_heads + 2 * kv_heads, turned = query_heads + kv_heads;
#pragma omp parallel for num_threads(threads) if (rows >= FEWEST_ROWS)
    for (int64_t row = 0; row < rows; row++) {
        const float *cosine = cosines + row * (size / 2), *sine = sines + row * (size / 2);
        int64_t slot = slots[row] * kv_heads;
        float own[size];
        for (int64_t head = 0; head < num_heads; head++) {
            const float *x = heads + (row * num_heads + head) * size;
            float *to = head < query_heads ? queries + (row * query_heads + head) * size
                        : head < turned    ? key_pages + (slot + head - query_heads) * size
                                           : value_pages + (slot + head - turned) * size;
            if (head < normalised) {
                normalise(x, norms + head * size, own, size, eps);
                x = own;
            }
            if (head < turned)
                turn(x, cosine, sine, to, size);
            else
                memcpy(to, x, size * sizeof *to);
        }
    }
}

#endif
