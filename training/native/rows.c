/* Passes over rows of tokens, forward and backward: embedding, norms, RoPE, SwiGLU, cross-entropy, and
   the gradients of matrices. Gradients of weights are float32 and added to what is there. */

#include "tiles.h"

#include <math.h>
#include <stdlib.h>

void embed(const int16_t *ids, const bf16 *table, bf16 *out, int64_t rows, int64_t size)
{
    for (int64_t row = 0; row < rows; row++)
        memcpy(out + row * size, table + ids[row] * size, size * sizeof *out);
}

void embed_backward(const int16_t *ids, const bf16 *grad, float *table, int64_t rows, int64_t size)
{
    for (int64_t row = 0; row < rows; row++)
        for (int64_t i = 0; i < size; i += 16) {
            float *entry = table + ids[row] * size + i;
            store_f32(entry, load_f32(entry) + load_bf16(grad + row * size + i));
        }
}

/* Rows [rows, size] with a mean square of one, times a weight; `scales` [rows] are the factors. */
void norm(const bf16 *x, const bf16 *weight, bf16 *out, float *scales, int64_t rows, int64_t size,
          float eps)
{
    for (int64_t row = 0; row < rows; row++, x += size, out += size) {
        vec squares = all(0);
        for (int64_t i = 0; i < size; i += 16) squares += load_bf16(x + i) * load_bf16(x + i);
        scales[row] = 1 / sqrtf(sum_of(squares) / size + eps);
        for (int64_t i = 0; i < size; i += 16)
            store_bf16(out + i, load_bf16(x + i) * scales[row] * load_bf16(weight + i));
    }
}

/* The gradient of a norm's input from that of its output, with that of a residual if there is one. */
void norm_backward(const bf16 *grad, const bf16 *x, const bf16 *weight, const float *scales,
                   const bf16 *residual, bf16 *out, float *weight_grad, int64_t rows, int64_t size)
{
    for (int64_t row = 0; row < rows; row++, grad += size, x += size, out += size) {
        const float scale = scales[row];
        vec dots = all(0);
        for (int64_t i = 0; i < size; i += 16) {
            vec product = load_bf16(grad + i) * load_bf16(x + i);
            dots += product * load_bf16(weight + i);
            store_f32(weight_grad + i, load_f32(weight_grad + i) + product * scale);
        }
        const float pull = sum_of(dots) * scale * scale * scale / size;
        for (int64_t i = 0; i < size; i += 16) {
            vec dx = load_bf16(grad + i) * load_bf16(weight + i) * scale - load_bf16(x + i) * pull;
            store_bf16(out + i, residual ? dx + load_bf16(residual + row * size + i) : dx);
        }
    }
}

typedef struct {
    int64_t query_heads, heads; /* of queries, and with those of keys */
    int64_t over_rows; /* of queries, keys and values of all heads */
    const bf16 *query_weight, *key_weight; /* [HEAD], of the norms */
    const float *cosines, *sines; /* [positions, HEAD / 2] */
    const int16_t *positions; /* [rows] */
    float eps;
} Rope;

/* QK norm and RoPE: `out` [rows, heads, HEAD] from `qkv`; `scales` [rows, heads] are the norm's. */
void qk_norm_rope(const bf16 *qkv, const Rope *rope, bf16 *out, float *scales, int64_t rows)
{
    for (int64_t row = 0; row < rows; row++)
        for (int64_t head = 0; head < rope->heads; head++, out += HEAD, scales++) {
            const bf16 *x = qkv + row * rope->over_rows + head * HEAD;
            const int is_query = head < rope->query_heads;
            const bf16 *weight = is_query ? rope->query_weight : rope->key_weight;
            const int64_t angle = rope->positions[row] * (HEAD / 2);
            vec squares = all(0);
            for (int i = 0; i < HEAD; i += 16) squares += load_bf16(x + i) * load_bf16(x + i);
            *scales = 1 / sqrtf(sum_of(squares) / HEAD + rope->eps);
            for (int i = 0; i < HEAD / 2; i += 16) {
                vec low = load_bf16(x + i) * *scales * load_bf16(weight + i);
                vec high = load_bf16(x + HEAD / 2 + i) * *scales * load_bf16(weight + HEAD / 2 + i);
                vec cosine = load_f32(rope->cosines + angle + i);
                vec sine = load_f32(rope->sines + angle + i);
                store_bf16(out + i, low * cosine - high * sine);
                store_bf16(out + HEAD / 2 + i, high * cosine + low * sine);
            }
        }
}

/* The gradients of queries and keys in `qkv` from those of `qk_norm_rope`'s results, in place. */
void qk_norm_rope_backward(bf16 *grad, const bf16 *qkv, const Rope *rope, const float *scales,
                           float *query_grad, float *key_grad, int64_t rows)
{
    for (int64_t row = 0; row < rows; row++)
        for (int64_t head = 0; head < rope->heads; head++, scales++) {
            const bf16 *x = qkv + row * rope->over_rows + head * HEAD;
            bf16 *dx = grad + row * rope->over_rows + head * HEAD;
            const int is_query = head < rope->query_heads;
            const bf16 *weight = is_query ? rope->query_weight : rope->key_weight;
            float *weight_grad = is_query ? query_grad : key_grad;
            const int64_t angle = rope->positions[row] * (HEAD / 2);
            vec unrotated[HEAD / 16], dots = all(0);
            for (int i = 0; i < 2; i++) {
                vec cosine = load_f32(rope->cosines + angle + 16 * i);
                vec sine = load_f32(rope->sines + angle + 16 * i);
                vec low = load_bf16(dx + 16 * i), high = load_bf16(dx + HEAD / 2 + 16 * i);
                unrotated[i] = low * cosine + high * sine;
                unrotated[i + 2] = high * cosine - low * sine;
            }
            for (int i = 0; i < HEAD / 16; i++) {
                vec product = unrotated[i] * load_bf16(x + 16 * i);
                float *sum = weight_grad + 16 * i;
                store_f32(sum, load_f32(sum) + product * *scales);
                dots += product * load_bf16(weight + 16 * i);
            }
            const float pull = sum_of(dots) * *scales * *scales * *scales / HEAD;
            for (int i = 0; i < HEAD / 16; i++) {
                vec scaled = unrotated[i] * load_bf16(weight + 16 * i) * *scales;
                store_bf16(dx + 16 * i, scaled - load_bf16(x + 16 * i) * pull);
            }
        }
}

INLINE vec sigmoid(vec x) { return 1 / (1 + exponential(-x)); }

/* `out` [rows, size] = silu(gate) up, from [rows, gate and up]. */
void swiglu(const bf16 *x, bf16 *out, int64_t rows, int64_t size)
{
    for (int64_t row = 0; row < rows; row++, x += 2 * size, out += size)
        for (int64_t i = 0; i < size; i += 16) {
            vec gate = load_bf16(x + i);
            store_bf16(out + i, gate * sigmoid(gate) * load_bf16(x + size + i));
        }
}

void swiglu_backward(const bf16 *grad, const bf16 *x, bf16 *out, int64_t rows, int64_t size)
{
    for (int64_t row = 0; row < rows; row++, grad += size, x += 2 * size, out += 2 * size)
        for (int64_t i = 0; i < size; i += 16) {
            vec gate = load_bf16(x + i), dy = load_bf16(grad + i), s = sigmoid(gate);
            vec silu = gate * s;
            store_bf16(out + i, dy * load_bf16(x + size + i) * (s + silu * (1 - s)));
            store_bf16(out + size + i, dy * silu);
        }
}

/* Sum of weighted cross-entropies of rows of logits, which become their gradients. `probs` [size] is
   a workspace. */
double cross_entropy(bf16 *logits, const int32_t *targets, const float *weights, float *probs,
                     int64_t rows, int64_t size)
{
    double total = 0;
    for (int64_t row = 0; row < rows; row++, logits += size) {
        vec tops = load_bf16(logits), masses = all(0);
        for (int64_t i = 16; i < size; i += 16) tops = larger(tops, load_bf16(logits + i));
        const float top = largest(tops);
        for (int64_t i = 0; i < size; i += 16) {
            vec mass = exponential(load_bf16(logits + i) - top);
            store_f32(probs + i, mass);
            masses += mass;
        }
        const float mass = sum_of(masses);
        const uint32_t bits = (uint32_t)logits[targets[row]] << 16;
        float chosen;
        memcpy(&chosen, &bits, sizeof chosen);
        total += weights[row] * (logf(mass) + top - chosen);
        probs[targets[row]] -= mass;
        for (int64_t i = 0; i < size; i += 16)
            store_bf16(logits + i, load_f32(probs + i) * (weights[row] / mass));
    }
    return total;
}

/* `sums` [outputs, inputs] grow by transposed `grad` [rows, outputs] times `x` [rows, inputs]; outputs
   and inputs are multiples of 32. 0 without memory. */
int weight_grad(const bf16 *grad, int64_t outputs, const bf16 *x, int64_t inputs, float *sums,
                int64_t rows)
{
    enum { CHUNK = 512, WIDTH = 128 }; /* both operands fit into the second cache */
    bf16 *transposed = aligned_alloc(LINE, WIDTH * CHUNK * sizeof *transposed);
    bf16 *packed = aligned_alloc(LINE, inputs * CHUNK * sizeof *packed);
    const int has_room = transposed && packed;
    if (has_room) begin_tiles();
    for (int64_t row = 0; has_room && row < rows; row += CHUNK) {
        const int64_t here = rows - row < CHUNK ? rows - row : CHUNK, depth = (here + 31) / 32 * 32;
        pack_rows(x + row * inputs, inputs, here, depth, inputs, packed);
        for (int64_t output = 0; output < outputs; output += WIDTH) {
            const int64_t width = outputs - output < WIDTH ? outputs - output : WIDTH;
            pack_transposed(grad + row * outputs + output, outputs, here, depth, width, transposed);
            for (int64_t i = 0; i < width; i += SIDE)
                for (int64_t k = 0; k < inputs; k += SIDE)
                    add_product(tiles_of(transposed + i * depth, depth), packed + k * depth, depth,
                                sums + (output + i) * inputs + k, inputs, 1, NULL);
        }
    }
    if (has_room) end_tiles();
    free(transposed);
    free(packed);
    return has_room;
}
