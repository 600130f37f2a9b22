/* Attention within segments, forward and backward, in blocks of 32 queries and 32 keys.

   A segment is padded to a multiple of 32, its size. What a query sees is one bit of `seen`
   [size, size / 16], for queries by keys; `seeing` is the same for keys by queries. `used`
   [size / 32, size / 32] has 1 for each block in which something is seen, `using` the same turned.
   Those of all segments follow each other. */

#include "tiles.h"

#include <math.h>

typedef struct {
    const int32_t *starts, *lengths;
    int64_t num_segments;
    uint16_t *seen, *seeing;
    uint8_t *used, *using;
    int64_t heads, kv_heads, rows;
} Attention;

typedef struct {
    int64_t start, length, size, blocks;
    uint16_t *seen, *seeing;
    uint8_t *used, *using;
} Segment;

INLINE Segment first_segment(const Attention *a)
{
    return (Segment){.seen = a->seen, .seeing = a->seeing, .used = a->used, .using = a->using};
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
    s->seen += s->size * s->size / 16;
    s->seeing += s->size * s->size / 16;
    s->used += s->blocks * s->blocks;
    s->using += s->blocks * s->blocks;
}

/* Mark, in zeros, keys of blocks below a query's limit and those of its group, if that is not 0. */
void mark_seen(const Attention *a, const int16_t *blocks, const int16_t *limits, const int16_t *groups)
{
    Segment s = first_segment(a);
    for (int64_t index = 0; index < a->num_segments; index++, leave(&s)) {
        fill_in(&s, a, index);
        const int16_t *block = blocks + s.start, *limit = limits + s.start, *group = groups + s.start;
        for (int64_t i = 0; i < s.length; i++)
            for (int64_t k = 0; k < s.length; k++) {
                if (block[k] >= limit[i] && (group[i] == 0 || group[k] != group[i])) continue;
                s.seen[(i * s.size + k) / 16] |= 1 << k % 16;
                s.seeing[(k * s.size + i) / 16] |= 1 << i % 16;
                s.used[i / SIDE * s.blocks + k / SIDE] = 1;
                s.using[k / SIDE * s.blocks + i / SIDE] = 1;
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

static void copy_rows(const number *x, int64_t over_rows, int64_t rows, int64_t size, number *out)
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
    const int64_t halves = 7 * HEAD + 2 * SIDE + size, floats = 2 * HEAD + 2; /* in each of `size` rows */
    const int64_t blocks = (2 * SIDE + HEAD) * SIDE * sizeof(float), parts = 20;
    return size * (halves * sizeof(number) + floats * sizeof(float)) + blocks + parts * LINE;
}

/* Shares of the keys of a row of scores, not yet divided by their sum, which is returned. */
static float exponentials(const float *scores, const uint16_t *seen, const uint8_t *used, int64_t size,
                          number *shares, float *top)
{
    vec tops = all(LOWEST), masses = all(0);
    for (int64_t k = 0; k < size; k += 16)
        if (used[k / SIDE])
            tops = larger(tops, chosen(get_wide(scores + k), seen[k / 16], LOWEST));
    *top = largest(tops) * SCALE;
    for (int64_t k = 0; k < size; k += 16) {
        if (!used[k / SIDE]) continue;
        vec mass = chosen(exponential(get_wide(scores + k) * SCALE - *top), seen[k / 16], 0);
        put(shares + k, mass);
        masses += mass;
    }
    return sum_of(masses);
}

typedef struct {
    number *keys, *values; /* packed */
    number *queries, *shares; /* [SIDE, HEAD], [SIDE, size] */
    float *scores, *mixed; /* [SIDE, size], [SIDE, HEAD] */
} Bench;

static Bench bench_for(int64_t size, char *workspace)
{
    return (Bench){
        .keys = take(&workspace, size * HEAD * sizeof(number)),
        .values = take(&workspace, size * HEAD * sizeof(number)),
        .queries = take(&workspace, SIDE * HEAD * sizeof(number)),
        .shares = take(&workspace, SIDE * size * sizeof(number)),
        .scores = take(&workspace, SIDE * size * sizeof(float)),
        .mixed = take(&workspace, SIDE * HEAD * sizeof(float)),
    };
}

/* Attention of up to 32 queries, which are on the bench, from the `first` of a segment on. */
static void mix(const Segment *s, const Bench *bench, int64_t first, int64_t rows, number *out,
                int64_t over_out, float *logs)
{
    const uint8_t *used = s->used + first / SIDE * s->blocks;
    for (int64_t k = 0; k < s->blocks; k++)
        if (used[k])
            add_product(rows_of(bench->queries, HEAD), bench->keys + k * SIDE * HEAD, HEAD,
                        bench->scores + k * SIDE, s->size, 0, NULL);
    float masses[SIDE];
    for (int64_t i = 0; i < rows; i++) {
        float top;
        masses[i] = exponentials(bench->scores + i * s->size, s->seen + (first + i) * s->size / 16, used,
                                 s->size, bench->shares + i * s->size, &top);
        logs[i] = top + logf(masses[i]);
    }
    memset(bench->shares + rows * s->size, 0, (SIDE - rows) * s->size * sizeof *bench->shares);
    for (int64_t k = 0; k < HEAD; k += SIDE)
        add_product(rows_of(bench->shares, s->size), bench->values + k * s->size, s->size,
                    bench->mixed + k, HEAD, 0, used);
    for (int64_t i = 0; i < rows; i++)
        for (int64_t k = 0; k < HEAD; k += 16)
            put(out + i * over_out + k, get_wide(bench->mixed + i * HEAD + k) / masses[i]);
}

/* `out` [rows, heads, HEAD] and the logs of sums of exponentials [heads, rows], from `rotated` queries
   and keys [rows, heads + kv_heads, HEAD] and values in rows of projections. */
void attention(const Attention *a, const number *rotated, const number *values, number *out, float *logs,
               char *workspace)
{
    const int64_t group = a->heads / a->kv_heads, over = (a->heads + a->kv_heads) * HEAD;
    const int64_t over_values = over + a->kv_heads * HEAD, over_out = a->heads * HEAD;
    Segment s = first_segment(a);
    begin_tiles();
    for (int64_t index = 0; index < a->num_segments; index++, leave(&s)) {
        fill_in(&s, a, index);
        const Bench bench = bench_for(s.size, workspace);
        for (int64_t head = 0; head < a->heads; head++) {
            const int64_t kv = head / group;
            if (head % group == 0) {
                pack_columns(rotated + s.start * over + (a->heads + kv) * HEAD, over, s.length, HEAD,
                             s.size, bench.keys);
                pack_rows(values + s.start * over_values + kv * HEAD, over_values, s.length, s.size,
                          HEAD, bench.values);
            }
            for (int64_t first = 0; first < s.length; first += SIDE) {
                const int64_t left = s.length - first, rows = left < SIDE ? left : SIDE;
                const int64_t row = s.start + first;
                copy_rows(rotated + row * over + head * HEAD, over, rows, SIDE, bench.queries);
                mix(&s, &bench, first, rows, out + row * over_out + head * HEAD, over_out,
                    logs + head * a->rows + row);
            }
        }
    }
    end_tiles();
}

static void write_rows(const float *x, int64_t rows, number *out, int64_t over_rows)
{
    for (int64_t i = 0; i < rows; i++)
        for (int64_t k = 0; k < HEAD; k += 16)
            put(out + i * over_rows + k, get_wide(x + i * HEAD + k));
}

/* `x` [HEAD, SIDE] to columns of its first `rows` rows once turned. */
static void write_turned(const float *x, int64_t rows, number *out, int64_t over_rows)
{
    for (int64_t column = 0; column < HEAD; column += 16)
        for (int64_t first = 0; first < SIDE; first += 16) {
            pairs block[16];
            for (int64_t i = 0; i < 16; i++)
                memcpy(&block[i], x + (column + i) * SIDE + first, sizeof block[i]);
            turn(block);
            for (int64_t i = 0; i < 16 && first + i < rows; i++)
                put(out + (first + i) * over_rows + column, (vec)block[i]);
        }
}

typedef struct {
    const number *rotated, *values, *out, *slopes;
    int64_t over, over_values, over_out; /* entries between rows */
} Backward;

/* Parts of a workspace for one segment, padded; blocks are turned, keys by queries. */
typedef struct {
    number *keys, *values, *turned_keys; /* rows, rows, tiles */
    number *query_columns, *query_rows, *slope_columns, *slope_rows; /* packed */
    float *key_slopes, *value_slopes; /* [size, HEAD] */
    float *dots, *logs; /* [size] of queries */
    number *shares, *score_slopes; /* [SIDE, size] */
    float *scores, *share_slopes; /* [SIDE, SIDE] */
    float *query_slopes; /* [HEAD, SIDE] */
    number *packed; /* score_slopes of all keys, as columns of queries */
} Room;

static Room room_for(int64_t size, char *workspace)
{
    const int64_t head = size * HEAD * sizeof(number), strip = SIDE * size * sizeof(number);
    const int64_t block = SIDE * SIDE * sizeof(float), floats = size * sizeof(float);
    return (Room){
        .keys = take(&workspace, head),
        .values = take(&workspace, head),
        .turned_keys = take(&workspace, head),
        .query_columns = take(&workspace, head),
        .query_rows = take(&workspace, head),
        .slope_columns = take(&workspace, head),
        .slope_rows = take(&workspace, head),
        .key_slopes = take(&workspace, size * HEAD * sizeof(float)),
        .value_slopes = take(&workspace, size * HEAD * sizeof(float)),
        .dots = take(&workspace, floats),
        .logs = take(&workspace, floats),
        .shares = take(&workspace, strip),
        .score_slopes = take(&workspace, strip),
        .scores = take(&workspace, block),
        .share_slopes = take(&workspace, block),
        .query_slopes = take(&workspace, HEAD * SIDE * sizeof(float)),
        .packed = take(&workspace, size * size * sizeof(number)),
    };
}

/* Keys and values of a head, and no gradients yet. */
static void take_keys(const Backward *b, const Segment *s, int64_t heads, int64_t kv, const Room *room)
{
    const number *keys = b->rotated + s->start * b->over + (heads + kv) * HEAD;
    copy_rows(keys, b->over, s->length, s->size, room->keys);
    copy_rows(b->values + s->start * b->over_values + kv * HEAD, b->over_values, s->length, s->size,
              room->values);
    pack_turned(keys, b->over, s->length, s->size, HEAD, room->turned_keys);
    memset(room->key_slopes, 0, s->size * HEAD * sizeof *room->key_slopes);
    memset(room->value_slopes, 0, s->size * HEAD * sizeof *room->value_slopes);
}

/* Queries of a head and the gradients of its output, whose product with the output is the sum of
   shares times their gradients (FlashAttention-2, section 3.1). */
static void take_queries(const Backward *b, const Segment *s, const float *logs, int64_t head,
                         const Room *room)
{
    const number *queries = b->rotated + s->start * b->over + head * HEAD;
    const number *slopes = b->slopes + s->start * b->over_out + head * HEAD;
    const number *out = b->out + s->start * b->over_out + head * HEAD;
    pack_columns(queries, b->over, s->length, HEAD, s->size, room->query_columns);
    pack_rows(queries, b->over, s->length, s->size, HEAD, room->query_rows);
    pack_columns(slopes, b->over_out, s->length, HEAD, s->size, room->slope_columns);
    pack_rows(slopes, b->over_out, s->length, s->size, HEAD, room->slope_rows);
    for (int64_t i = 0; i < s->size; i++) {
        vec dot = all(0);
        for (int64_t k = 0; i < s->length && k < HEAD; k += 16)
            dot += get(slopes + i * b->over_out + k) * get(out + i * b->over_out + k);
        room->dots[i] = sum_of(dot);
        room->logs[i] = i < s->length ? logs[i] : 0;
    }
}

/* Shares of 32 keys for 32 queries, and the gradients of their scores. */
static void block_slopes(const Segment *s, int64_t first, int64_t start, const Room *room)
{
    add_product(rows_of(room->keys + first * HEAD, HEAD), room->query_columns + start * HEAD, HEAD,
                room->scores, SIDE, 0, NULL);
    add_product(rows_of(room->values + first * HEAD, HEAD), room->slope_columns + start * HEAD, HEAD,
                room->share_slopes, SIDE, 0, NULL);
    for (int64_t i = 0; i < SIDE; i++)
        for (int64_t k = 0; k < SIDE; k += 16) {
            const int64_t query = start + k, from = i * SIDE + k, to = i * s->size + query;
            const uint16_t bits = s->seeing[((first + i) * s->size + query) / 16];
            vec score = get_wide(room->scores + from) * SCALE - get_wide(room->logs + query);
            vec share = chosen(exponential(score), bits, 0);
            vec share_slope = get_wide(room->share_slopes + from) - get_wide(room->dots + query);
            put(room->shares + to, share);
            put(room->score_slopes + to, share * share_slope * SCALE);
        }
    for (int64_t k = start; k < start + SIDE; k += 16)
        pack_rows(room->score_slopes + k, s->size, SIDE, SIDE, 16,
                  room->packed + k * s->size + first * 16);
}

/* Gradients of one head's keys and values, added, and of its queries. */
static void head_slopes(const Segment *s, const Room *room, number *queries, int64_t over)
{
    for (int64_t block = 0; block < s->blocks; block++) {
        const int64_t first = block * SIDE;
        const uint8_t *used = s->using + block * s->blocks;
        for (int64_t k = 0; k < s->blocks; k++)
            if (used[k]) block_slopes(s, first, k * SIDE, room);
        for (int64_t k = 0; k < HEAD; k += SIDE) {
            add_product(rows_of(room->shares, s->size), room->slope_rows + k * s->size, s->size,
                        room->value_slopes + first * HEAD + k, HEAD, 1, used);
            add_product(rows_of(room->score_slopes, s->size), room->query_rows + k * s->size, s->size,
                        room->key_slopes + first * HEAD + k, HEAD, 1, used);
        }
    }
    for (int64_t block = 0; block < s->blocks; block++) {
        const int64_t first = block * SIDE, left = s->length - first;
        for (int64_t k = 0; k < HEAD; k += SIDE)
            add_product(tiles_of(room->turned_keys + k * s->size, s->size),
                        room->packed + first * s->size, s->size, room->query_slopes + k * SIDE, SIDE, 0,
                        s->used + block * s->blocks);
        write_turned(room->query_slopes, left < SIDE ? left : SIDE, queries + first * over, over);
    }
}

/* Gradients of rotated queries and keys and of values, as rows of projections, from those of
   `attention`'s output, `slopes`. */
void attention_backward(const Attention *a, const number *rotated, const number *values,
                        const number *out, const float *logs, const number *slopes, number *result,
                        char *workspace)
{
    const int64_t group = a->heads / a->kv_heads, over = (a->heads + a->kv_heads) * HEAD;
    const int64_t over_values = over + a->kv_heads * HEAD;
    const Backward b = {rotated, values, out, slopes, over, over_values, a->heads * HEAD};
    Segment s = first_segment(a);
    begin_tiles();
    for (int64_t index = 0; index < a->num_segments; index++, leave(&s)) {
        fill_in(&s, a, index);
        const Room room = room_for(s.size, workspace);
        number *rows = result + s.start * over_values;
        for (int64_t kv = 0; kv < a->kv_heads; kv++) {
            take_keys(&b, &s, a->heads, kv, &room);
            for (int64_t head = kv * group; head < (kv + 1) * group; head++) {
                take_queries(&b, &s, logs + head * a->rows + s.start, head, &room);
                head_slopes(&s, &room, rows + head * HEAD, over_values);
            }
            write_rows(room.key_slopes, s.length, rows + (a->heads + kv) * HEAD, over_values);
            write_rows(room.value_slopes, s.length, rows + (a->heads + a->kv_heads + kv) * HEAD,
                       over_values);
        }
    }
    end_tiles();
}
