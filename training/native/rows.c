/* Passes over rows of tokens, forward and backward: embedding, norms, RoPE, SwiGLU, cross-entropy, and
   the gradients of matrices. Gradients of weights are float32 and added to what is there. */

#include "tiles.h"

#include <math.h>
#include <stdlib.h>

void embed(const int16_t *ids, const number *table, number *out, int64_t rows, int64_t size)
{
    for (int64_t row = 0; row < rows; row++)
        memcpy(out + row * size, table + ids[row] * size, size * sizeof *out);
}

void embed_backward(const int16_t *ids, const number *slopes, float *table, int64_t rows, int64_t size)
{
    for (int64_t row = 0; row < rows; row++)
        for (int64_t i = 0; i < size; i += 16) {
            float *entry = table + ids[row] * size + i;
            put_wide(entry, get_wide(entry) + get(slopes + row * size + i));
        }
}

/* Rows [rows, size] with a mean square of one, times a weight; `scales` [rows] are the factors. */
void norm(const number *x, const number *weight, number *out, float *scales, int64_t rows, int64_t size,
          float eps)
{
    for (int64_t row = 0; row < rows; row++, x += size, out += size) {
        vec squares = all(0);
        for (int64_t i = 0; i < size; i += 16) squares += get(x + i) * get(x + i);
        scales[row] = 1 / sqrtf(sum_of(squares) / size + eps);
        for (int64_t i = 0; i < size; i += 16) put(out + i, get(x + i) * scales[row] * get(weight + i));
    }
}

/* The gradient of a norm's input from that of its output, with that of a residual if there is one. */
void norm_backward(const number *slopes, const number *x, const number *weight, const float *scales,
                   const number *residual, number *out, float *weight_slopes, int64_t rows,
                   int64_t size)
{
    for (int64_t row = 0; row < rows; row++, slopes += size, x += size, out += size) {
        const float scale = scales[row];
        vec dots = all(0);
        for (int64_t i = 0; i < size; i += 16) {
            vec product = get(slopes + i) * get(x + i);
            dots += product * get(weight + i);
            put_wide(weight_slopes + i, get_wide(weight_slopes + i) + product * scale);
        }
        const float share = sum_of(dots) * scale * scale * scale / size;
        for (int64_t i = 0; i < size; i += 16) {
            vec slope = get(slopes + i) * get(weight + i) * scale - get(x + i) * share;
            put(out + i, residual ? slope + get(residual + row * size + i) : slope);
        }
    }
}

typedef struct {
    int64_t query_heads, heads; /* of the rotated ones */
    int64_t over_rows; /* of projections: queries, keys and values of all heads */
    const number *query_weight, *key_weight; /* [HEAD], of the norms */
    const float *cosines, *sines; /* [positions, HEAD / 2] */
    const int16_t *positions; /* [rows] */
    float eps;
} Rotation;

/* QK norm and RoPE of heads: `out` [rows, heads, HEAD] from projections; `scales` [rows, heads]. */
void rotate(const number *projected, const Rotation *rotation, number *out, float *scales, int64_t rows)
{
    for (int64_t row = 0; row < rows; row++)
        for (int64_t head = 0; head < rotation->heads; head++, out += HEAD, scales++) {
            const number *x = projected + row * rotation->over_rows + head * HEAD;
            const int is_query = head < rotation->query_heads;
            const number *weight = is_query ? rotation->query_weight : rotation->key_weight;
            const int64_t angle = rotation->positions[row] * (HEAD / 2);
            vec squares = all(0);
            for (int i = 0; i < HEAD; i += 16) squares += get(x + i) * get(x + i);
            *scales = 1 / sqrtf(sum_of(squares) / HEAD + rotation->eps);
            for (int i = 0; i < HEAD / 2; i += 16) {
                vec low = get(x + i) * *scales * get(weight + i);
                vec high = get(x + HEAD / 2 + i) * *scales * get(weight + HEAD / 2 + i);
                vec cosine = get_wide(rotation->cosines + angle + i);
                vec sine = get_wide(rotation->sines + angle + i);
                put(out + i, low * cosine - high * sine);
                put(out + HEAD / 2 + i, high * cosine + low * sine);
            }
        }
}

/* Turns gradients of rotated heads into those of projections, in place. */
void rotate_backward(number *slopes, const number *projected, const Rotation *rotation,
                     const float *scales, float *query_slopes, float *key_slopes, int64_t rows)
{
    for (int64_t row = 0; row < rows; row++)
        for (int64_t head = 0; head < rotation->heads; head++, scales++) {
            const number *x = projected + row * rotation->over_rows + head * HEAD;
            number *slope = slopes + row * rotation->over_rows + head * HEAD;
            const int is_query = head < rotation->query_heads;
            const number *weight = is_query ? rotation->query_weight : rotation->key_weight;
            float *weight_slopes = is_query ? query_slopes : key_slopes;
            const int64_t angle = rotation->positions[row] * (HEAD / 2);
            vec turned[HEAD / 16], dots = all(0);
            for (int i = 0; i < 2; i++) {
                vec cosine = get_wide(rotation->cosines + angle + 16 * i);
                vec sine = get_wide(rotation->sines + angle + 16 * i);
                vec low = get(slope + 16 * i), high = get(slope + HEAD / 2 + 16 * i);
                turned[i] = low * cosine + high * sine;
                turned[i + 2] = high * cosine - low * sine;
            }
            for (int i = 0; i < HEAD / 16; i++) {
                vec product = turned[i] * get(x + 16 * i);
                float *sum = weight_slopes + 16 * i;
                put_wide(sum, get_wide(sum) + product * *scales);
                dots += product * get(weight + 16 * i);
            }
            const float share = sum_of(dots) * *scales * *scales * *scales / HEAD;
            for (int i = 0; i < HEAD / 16; i++)
                put(slope + 16 * i,
                    turned[i] * get(weight + 16 * i) * *scales - get(x + 16 * i) * share);
        }
}

INLINE vec sigmoid(vec x) { return 1 / (1 + exponential(-x)); }

/* `out` [rows, size] = silu(gate) up, from [rows, gate and up]. */
void swiglu(const number *x, number *out, int64_t rows, int64_t size)
{
    for (int64_t row = 0; row < rows; row++, x += 2 * size, out += size)
        for (int64_t i = 0; i < size; i += 16) {
            vec gate = get(x + i);
            put(out + i, gate * sigmoid(gate) * get(x + size + i));
        }
}

void swiglu_backward(const number *slopes, const number *x, number *out, int64_t rows, int64_t size)
{
    for (int64_t row = 0; row < rows; row++, slopes += size, x += 2 * size, out += 2 * size)
        for (int64_t i = 0; i < size; i += 16) {
            vec gate = get(x + i), slope = get(slopes + i), share = sigmoid(gate);
            vec silu = gate * share;
            put(out + i, slope * get(x + size + i) * (share + silu * (1 - share)));
            put(out + size + i, slope * silu);
        }
}

/* Sum of weighted cross-entropies of rows of logits, which become their gradients. `shares` [size] is
   room for a row. */
double cross_entropy(number *logits, const int32_t *targets, const float *weights, float *shares,
                     int64_t rows, int64_t size)
{
    double total = 0;
    for (int64_t row = 0; row < rows; row++, logits += size) {
        vec tops = get(logits), masses = all(0);
        for (int64_t i = 16; i < size; i += 16) tops = larger(tops, get(logits + i));
        const float top = largest(tops);
        for (int64_t i = 0; i < size; i += 16) {
            vec mass = exponential(get(logits + i) - top);
            put_wide(shares + i, mass);
            masses += mass;
        }
        const float mass = sum_of(masses);
        const uint32_t bits = (uint32_t)logits[targets[row]] << 16;
        float chosen;
        memcpy(&chosen, &bits, sizeof chosen);
        total += weights[row] * (logf(mass) + top - chosen);
        shares[targets[row]] -= mass;
        for (int64_t i = 0; i < size; i += 16)
            put(logits + i, get_wide(shares + i) * (weights[row] / mass));
    }
    return total;
}

/* `sums` [outputs, inputs] grow by turned `slopes` [rows, outputs] times `x` [rows, inputs]; both sizes
   are multiples of 32. 0 without memory. */
int weight_slopes(const number *slopes, int64_t outputs, const number *x, int64_t inputs, float *sums,
                  int64_t rows)
{
    enum { CHUNK = 512, WIDTH = 128 }; /* both operands fit into the second cache */
    number *turned = aligned_alloc(LINE, WIDTH * CHUNK * sizeof *turned);
    number *packed = aligned_alloc(LINE, inputs * CHUNK * sizeof *packed);
    const int has_room = turned && packed;
    if (has_room) begin_tiles();
    for (int64_t row = 0; has_room && row < rows; row += CHUNK) {
        const int64_t here = rows - row < CHUNK ? rows - row : CHUNK, depth = (here + 31) / 32 * 32;
        pack_rows(x + row * inputs, inputs, here, depth, inputs, packed);
        for (int64_t output = 0; output < outputs; output += WIDTH) {
            const int64_t width = outputs - output < WIDTH ? outputs - output : WIDTH;
            pack_turned(slopes + row * outputs + output, outputs, here, depth, width, turned);
            for (int64_t i = 0; i < width; i += SIDE)
                for (int64_t k = 0; k < inputs; k += SIDE)
                    add_product(tiles_of(turned + i * depth, depth), packed + k * depth, depth,
                                sums + (output + i) * inputs + k, inputs, 1, NULL);
        }
    }
    if (has_room) end_tiles();
    free(turned);
    free(packed);
    return has_room;
}
