/* Attention within segments, forward and backward, in blocks of 32 queries and 32 keys.

   A segment is padded to a multiple of 32, its size. `mask` [size, size / 16] has a bit for each query
   and key, 1 where the query sees the key; `mask_t` is the same for keys by queries. `tiles`
   [size / 32, size / 32] has 1 for each block that is not all hidden, `tiles_t` is its transpose. Those
   of all segments follow each other. */

#include "tiles.h"

#include <math.h>

typedef struct {
    const int32_t *starts, *lengths;
    int64_t num_segments;
    uint16_t *mask, *mask_t;
    uint8_t *tiles, *tiles_t;
    int64_t heads, kv_heads, rows;
} Attention;

typedef struct {
    int64_t start, length, size, blocks;
    uint16_t *mask, *mask_t;
    uint8_t *tiles, *tiles_t;
} Segment;

INLINE Segment first_segment(const Attention *a)
{
    return (Segment){.mask = a->mask, .mask_t = a->mask_t, .tiles = a->tiles, .tiles_t = a->tiles_t};
}

INLINE void fill_in(Segment *s, const Attention *a, int64_t index)
{
    s->start = a->starts[index];
    s->length = a->lengths[index];
    s->blocks = (s->length + SIDE - 1) / SIDE;
    s->size = s->blocks * SIDE;
}

INLINE void leave(Segment *s)
{
    s->mask += s->size * s->size / 16;
    s->mask_t += s->size * s->size / 16;
    s->tiles += s->blocks * s->blocks;
    s->tiles_t += s->blocks * s->blocks;
}

/* Mark, in zeros, keys of blocks below a query's limit and those of its group, if that is not 0. */
void build_masks(const Attention *a, const int16_t *blocks, const int16_t *limits,
                 const int16_t *groups)
{
    Segment s = first_segment(a);
    for (int64_t index = 0; index < a->num_segments; index++, leave(&s)) {
        fill_in(&s, a, index);
        const int16_t *block = blocks + s.start, *limit = limits + s.start, *group = groups + s.start;
        for (int64_t i = 0; i < s.length; i++)
            for (int64_t k = 0; k < s.length; k++) {
                if (block[k] >= limit[i] && (group[i] == 0 || group[k] != group[i])) continue;
                s.mask[(i * s.size + k) / 16] |= 1 << k % 16;
                s.mask_t[(k * s.size + i) / 16] |= 1 << i % 16;
                s.tiles[i / SIDE * s.blocks + k / SIDE] = 1;
                s.tiles_t[k / SIDE * s.blocks + i / SIDE] = 1;
            }
    }
}

static const float SCALE = 0.125f; /* HEAD to the power of -1/2 */
static const float LOWEST = -3e38f;

/* Entries whose bit is not set become `other`. */
INLINE vec chosen(vec x, uint16_t bits, float other)
{
    const ivec bit = {1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768};
    return choose((bit & (int32_t)bits) != 0, x, all(other));
}

static void copy_rows(const bf16 *x, int64_t over_rows, int64_t rows, int64_t size, bf16 *out)
{
    for (int64_t i = 0; i < rows; i++) memcpy(out + i * HEAD, x + i * over_rows, HEAD * sizeof *out);
    memset(out + rows * HEAD, 0, (size - rows) * HEAD * sizeof *out);
}

/* The next part of a workspace. */
static void *take(char **from, int64_t bytes)
{
    char *part = *from;
    *from += (bytes + LINE - 1) / LINE * LINE;
    return part;
}

/* Bytes for a segment of `size`; the backward pass has more in them than the forward pass. */
int64_t attention_workspace(int64_t size)
{
    const int64_t halves = 7 * HEAD + 2 * SIDE + size, floats = 2 * HEAD + 2; /* of each position */
    const int64_t blocks = (2 * SIDE + HEAD) * SIDE * sizeof(float), parts = 20;
    return size * (halves * sizeof(bf16) + floats * sizeof(float)) + blocks + parts * LINE;
}

/* Softmax of a row of scores, not yet divided by the sum, which is returned. */
static float exponentials(const float *scores, const uint16_t *mask, const uint8_t *tiles, int64_t size,
                          bf16 *probs, float *top)
{
    vec tops = all(LOWEST), masses = all(0);
    for (int64_t k = 0; k < size; k += 16)
        if (tiles[k / SIDE]) tops = larger(tops, chosen(load_f32(scores + k), mask[k / 16], LOWEST));
    *top = largest(tops) * SCALE;
    for (int64_t k = 0; k < size; k += 16) {
        if (!tiles[k / SIDE]) continue;
        vec mass = chosen(exponential(load_f32(scores + k) * SCALE - *top), mask[k / 16], 0);
        store_bf16(probs + k, mass);
        masses += mass;
    }
    return sum_of(masses);
}

typedef struct {
    bf16 *keys, *values; /* packed */
    bf16 *queries, *probs; /* [SIDE, HEAD], [SIDE, size] */
    float *scores, *mixed; /* [SIDE, size], [SIDE, HEAD] */
} ForwardWorkspace;

static ForwardWorkspace forward_workspace(int64_t size, char *workspace)
{
    return (ForwardWorkspace){
        .keys = take(&workspace, size * HEAD * sizeof(bf16)),
        .values = take(&workspace, size * HEAD * sizeof(bf16)),
        .queries = take(&workspace, SIDE * HEAD * sizeof(bf16)),
        .probs = take(&workspace, SIDE * size * sizeof(bf16)),
        .scores = take(&workspace, SIDE * size * sizeof(float)),
        .mixed = take(&workspace, SIDE * HEAD * sizeof(float)),
    };
}

/* Attention of up to 32 queries, `work->queries`, from the `first` of a segment on. */
static void attend(const Segment *s, const ForwardWorkspace *work, int64_t first, int64_t rows,
                   bf16 *out, int64_t over_out, float *lse)
{
    const uint8_t *tiles = s->tiles + first / SIDE * s->blocks;
    for (int64_t k = 0; k < s->blocks; k++)
        if (tiles[k])
            add_product(rows_of(work->queries, HEAD), work->keys + k * SIDE * HEAD, HEAD,
                        work->scores + k * SIDE, s->size, 0, NULL);
    float masses[SIDE];
    for (int64_t i = 0; i < rows; i++) {
        float top;
        masses[i] = exponentials(work->scores + i * s->size, s->mask + (first + i) * s->size / 16,
                                 tiles, s->size, work->probs + i * s->size, &top);
        lse[i] = top + logf(masses[i]);
    }
    memset(work->probs + rows * s->size, 0, (SIDE - rows) * s->size * sizeof *work->probs);
    for (int64_t k = 0; k < HEAD; k += SIDE)
        add_product(rows_of(work->probs, s->size), work->values + k * s->size, s->size, work->mixed + k,
                    HEAD, 0, tiles);
    for (int64_t i = 0; i < rows; i++)
        for (int64_t k = 0; k < HEAD; k += 16)
            store_bf16(out + i * over_out + k, load_f32(work->mixed + i * HEAD + k) / masses[i]);
}

/* `out` [rows, heads, HEAD] and `lse`, logs of sums of exponentials [heads, rows], from queries and keys
   `qk` [rows, heads + kv_heads, HEAD] and values, which are in rows of queries, keys and values. */
void attention(const Attention *a, const bf16 *qk, const bf16 *values, bf16 *out, float *lse,
               char *workspace)
{
    const int64_t group = a->heads / a->kv_heads, over = (a->heads + a->kv_heads) * HEAD;
    const int64_t over_values = over + a->kv_heads * HEAD, over_out = a->heads * HEAD;
    Segment s = first_segment(a);
    begin_tiles();
    for (int64_t index = 0; index < a->num_segments; index++, leave(&s)) {
        fill_in(&s, a, index);
        const ForwardWorkspace work = forward_workspace(s.size, workspace);
        for (int64_t head = 0; head < a->heads; head++) {
            const int64_t kv = head / group;
            if (head % group == 0) {
                pack_columns(qk + s.start * over + (a->heads + kv) * HEAD, over, s.length, HEAD, s.size,
                             work.keys);
                pack_rows(values + s.start * over_values + kv * HEAD, over_values, s.length, s.size,
                          HEAD, work.values);
            }
            for (int64_t first = 0; first < s.length; first += SIDE) {
                const int64_t left = s.length - first, rows = left < SIDE ? left : SIDE;
                const int64_t row = s.start + first;
                copy_rows(qk + row * over + head * HEAD, over, rows, SIDE, work.queries);
                attend(&s, &work, first, rows, out + row * over_out + head * HEAD, over_out,
                       lse + head * a->rows + row);
            }
        }
    }
    end_tiles();
}

static void write_rows(const float *x, int64_t rows, bf16 *out, int64_t over_rows)
{
    for (int64_t i = 0; i < rows; i++)
        for (int64_t k = 0; k < HEAD; k += 16)
            store_bf16(out + i * over_rows + k, load_f32(x + i * HEAD + k));
}

/* `x` [HEAD, SIDE] to columns of its first `rows` rows once transposed. */
static void write_transposed(const float *x, int64_t rows, bf16 *out, int64_t over_rows)
{
    for (int64_t column = 0; column < HEAD; column += 16)
        for (int64_t first = 0; first < SIDE; first += 16) {
            pairs block[16];
            for (int64_t i = 0; i < 16; i++)
                memcpy(&block[i], x + (column + i) * SIDE + first, sizeof block[i]);
            transpose(block);
            for (int64_t i = 0; i < 16 && first + i < rows; i++)
                store_bf16(out + (first + i) * over_rows + column, (vec)block[i]);
        }
}

typedef struct {
    const bf16 *qk, *values, *out, *grad;
    int64_t over, over_values, over_out; /* entries between rows */
} Backward;

/* Parts of a workspace for one segment, padded; blocks are transposed, keys by queries. */
typedef struct {
    bf16 *keys, *values, *transposed_keys; /* rows, rows, tiles */
    bf16 *query_columns, *query_rows, *grad_columns, *grad_rows; /* packed */
    float *key_grad, *value_grad; /* [size, HEAD] */
    float *dots, *lse; /* [size] of queries */
    bf16 *probs, *score_grad; /* [SIDE, size] */
    float *scores, *prob_grad; /* [SIDE, SIDE] */
    float *query_grad; /* [HEAD, SIDE] */
    bf16 *packed; /* score_grad of all keys, as columns of queries */
} BackwardWorkspace;

static BackwardWorkspace backward_workspace(int64_t size, char *workspace)
{
    const int64_t head = size * HEAD * sizeof(bf16), strip = SIDE * size * sizeof(bf16);
    const int64_t block = SIDE * SIDE * sizeof(float), floats = size * sizeof(float);
    return (BackwardWorkspace){
        .keys = take(&workspace, head),
        .values = take(&workspace, head),
        .transposed_keys = take(&workspace, head),
        .query_columns = take(&workspace, head),
        .query_rows = take(&workspace, head),
        .grad_columns = take(&workspace, head),
        .grad_rows = take(&workspace, head),
        .key_grad = take(&workspace, size * HEAD * sizeof(float)),
        .value_grad = take(&workspace, size * HEAD * sizeof(float)),
        .dots = take(&workspace, floats),
        .lse = take(&workspace, floats),
        .probs = take(&workspace, strip),
        .score_grad = take(&workspace, strip),
        .scores = take(&workspace, block),
        .prob_grad = take(&workspace, block),
        .query_grad = take(&workspace, HEAD * SIDE * sizeof(float)),
        .packed = take(&workspace, size * size * sizeof(bf16)),
    };
}

/* Keys and values of a head, and no gradients yet. */
static void take_keys(const Backward *b, const Segment *s, int64_t heads, int64_t kv,
                      const BackwardWorkspace *work)
{
    const bf16 *keys = b->qk + s->start * b->over + (heads + kv) * HEAD;
    copy_rows(keys, b->over, s->length, s->size, work->keys);
    copy_rows(b->values + s->start * b->over_values + kv * HEAD, b->over_values, s->length, s->size,
              work->values);
    pack_transposed(keys, b->over, s->length, s->size, HEAD, work->transposed_keys);
    memset(work->key_grad, 0, s->size * HEAD * sizeof *work->key_grad);
    memset(work->value_grad, 0, s->size * HEAD * sizeof *work->value_grad);
}

/* Queries of a head and the gradients of its output, whose product with the output is the sum of
   probabilities times their gradients (FlashAttention-2, section 3.1). */
static void take_queries(const Backward *b, const Segment *s, const float *lse, int64_t head,
                         const BackwardWorkspace *work)
{
    const bf16 *queries = b->qk + s->start * b->over + head * HEAD;
    const bf16 *grad = b->grad + s->start * b->over_out + head * HEAD;
    const bf16 *out = b->out + s->start * b->over_out + head * HEAD;
    pack_columns(queries, b->over, s->length, HEAD, s->size, work->query_columns);
    pack_rows(queries, b->over, s->length, s->size, HEAD, work->query_rows);
    pack_columns(grad, b->over_out, s->length, HEAD, s->size, work->grad_columns);
    pack_rows(grad, b->over_out, s->length, s->size, HEAD, work->grad_rows);
    for (int64_t i = 0; i < s->size; i++) {
        vec dot = all(0);
        for (int64_t k = 0; i < s->length && k < HEAD; k += 16)
            dot += load_bf16(grad + i * b->over_out + k) * load_bf16(out + i * b->over_out + k);
        work->dots[i] = sum_of(dot);
        work->lse[i] = i < s->length ? lse[i] : 0;
    }
}

/* Probabilities of 32 keys for 32 queries, and the gradients of their scores. */
static void block_grad(const Segment *s, int64_t first, int64_t start, const BackwardWorkspace *work)
{
    add_product(rows_of(work->keys + first * HEAD, HEAD), work->query_columns + start * HEAD, HEAD,
                work->scores, SIDE, 0, NULL);
    add_product(rows_of(work->values + first * HEAD, HEAD), work->grad_columns + start * HEAD, HEAD,
                work->prob_grad, SIDE, 0, NULL);
    for (int64_t i = 0; i < SIDE; i++)
        for (int64_t k = 0; k < SIDE; k += 16) {
            const int64_t query = start + k, from = i * SIDE + k, to = i * s->size + query;
            const uint16_t bits = s->mask_t[((first + i) * s->size + query) / 16];
            vec score = load_f32(work->scores + from) * SCALE - load_f32(work->lse + query);
            vec prob = chosen(exponential(score), bits, 0);
            vec prob_grad = load_f32(work->prob_grad + from) - load_f32(work->dots + query);
            store_bf16(work->probs + to, prob);
            store_bf16(work->score_grad + to, prob * prob_grad * SCALE);
        }
    for (int64_t k = start; k < start + SIDE; k += 16)
        pack_rows(work->score_grad + k, s->size, SIDE, SIDE, 16,
                  work->packed + k * s->size + first * 16);
}

/* Gradients of one head's keys and values, added, and of its queries. */
static void head_grad(const Segment *s, const BackwardWorkspace *work, bf16 *queries, int64_t over)
{
    for (int64_t block = 0; block < s->blocks; block++) {
        const int64_t first = block * SIDE;
        const uint8_t *tiles = s->tiles_t + block * s->blocks;
        for (int64_t k = 0; k < s->blocks; k++)
            if (tiles[k]) block_grad(s, first, k * SIDE, work);
        for (int64_t k = 0; k < HEAD; k += SIDE) {
            add_product(rows_of(work->probs, s->size), work->grad_rows + k * s->size, s->size,
                        work->value_grad + first * HEAD + k, HEAD, 1, tiles);
            add_product(rows_of(work->score_grad, s->size), work->query_rows + k * s->size, s->size,
                        work->key_grad + first * HEAD + k, HEAD, 1, tiles);
        }
    }
    for (int64_t block = 0; block < s->blocks; block++) {
        const int64_t first = block * SIDE, left = s->length - first;
        for (int64_t k = 0; k < HEAD; k += SIDE)
            add_product(tiles_of(work->transposed_keys + k * s->size, s->size),
                        work->packed + first * s->size, s->size, work->query_grad + k * SIDE, SIDE, 0,
                        s->tiles + block * s->blocks);
        write_transposed(work->query_grad, left < SIDE ? left : SIDE, queries + first * over, over);
    }
}

/* Gradients of `qk` and of values, in rows of queries, keys and values, from `grad`, those of
   `attention`'s output. */
void attention_backward(const Attention *a, const bf16 *qk, const bf16 *values, const bf16 *out,
                        const float *lse, const bf16 *grad, bf16 *result, char *workspace)
{
    const int64_t group = a->heads / a->kv_heads, over = (a->heads + a->kv_heads) * HEAD;
    const int64_t over_values = over + a->kv_heads * HEAD;
    const Backward b = {qk, values, out, grad, over, over_values, a->heads * HEAD};
    Segment s = first_segment(a);
    begin_tiles();
    for (int64_t index = 0; index < a->num_segments; index++, leave(&s)) {
        fill_in(&s, a, index);
        const BackwardWorkspace work = backward_workspace(s.size, workspace);
        bf16 *rows = result + s.start * over_values;
        for (int64_t kv = 0; kv < a->kv_heads; kv++) {
            take_keys(&b, &s, a->heads, kv, &work);
            for (int64_t head = kv * group; head < (kv + 1) * group; head++) {
                take_queries(&b, &s, lse + head * a->rows + s.start, head, &work);
                head_grad(&s, &work, rows + head * HEAD, over_values);
            }
            write_rows(work.key_grad, s.length, rows + (a->heads + kv) * HEAD, over_values);
            write_rows(work.value_grad, s.length, rows + (a->heads + a->kv_heads + kv) * HEAD,
                       over_values);
        }
    }
    end_tiles();
}
