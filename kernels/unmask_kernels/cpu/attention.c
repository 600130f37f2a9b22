/* Attention over pages, whose every query is the same in any company; scores and shares are float32.

   The queries of a sequence that share a key head are its rows, a block of them at a time. Keys come
   in runs that begin at multiples of KEYS, packed as panels.h multiplies them, and the runs of a row
   are merged in order (Milakov and Gimelshein, 2018). A key out of a row's reach adds an exact zero. */

#define FLOAT_PANELS
#include "panels.h"
#include "parts.h"

#include <math.h>

#define KEYS 256

typedef struct {
    const number *query;         /* [queries, heads, size] */
    const number *keys, *values; /* [pages, page_size, kv_heads, size] */
    number *out;                 /* as the queries */
    const int64_t *query_starts, *starts, *horizons, *pages, *page_starts;
    int64_t page_size, kv_heads, group, size;
    float scale, softcap; /* 0 where scores are not bounded */
    char *memory;         /* `attention_room` for each thread */
} Attention;

/* A thread's memory; rows are queries times the heads of a group. */
typedef struct {
    float *rows;       /* [BLOCK, size], times the scale */
    float *key_panels; /* of KEYS outputs and `size` inputs */
    float *value_panels;
    float *scores; /* [BLOCK, KEYS] */
    float *sums;   /* [BLOCK, size, filled up to panels] */
    float *best, *total, *shrink; /* [BLOCK] */
    int64_t *start, *horizon;     /* [BLOCK] */
} Room;

static int64_t filled(int64_t size) { return (size + WIDTH - 1) / WIDTH * WIDTH; }

/* Where a room from an address on ends. */
static uintptr_t lay_out(Room *room, uintptr_t at, int64_t size)
{
    at = (at + LINE - 1) / LINE * LINE;
#define TAKE(name, count)                                                     \
    room->name = (void *)at;                                                  \
    at += ((count) * (int64_t)sizeof *room->name + LINE - 1) / LINE * LINE;
    TAKE(rows, BLOCK * size)
    TAKE(key_panels, KEYS * size)
    TAKE(value_panels, KEYS * filled(size))
    TAKE(scores, BLOCK * KEYS)
    TAKE(sums, BLOCK * filled(size))
    TAKE(best, BLOCK)
    TAKE(total, BLOCK)
    TAKE(shrink, BLOCK)
    TAKE(start, BLOCK)
    TAKE(horizon, BLOCK)
#undef TAKE
    return at;
}

/* Query heads to a key head. */
int64_t largest_group(void) { return BLOCK; }

/* Bytes that a thread needs, wherever they begin. */
int64_t attention_room(int64_t size)
{
    Room room;
    return lay_out(&room, 0, size) + LINE;
}

/* Keys and values from `first` to `last` of a sequence as panels; zeros for those after it. */
static void pack_keys(const Attention *a, const int64_t *pages, int64_t head, int64_t first,
                      int64_t skipped, int64_t last, const Room *room)
{
    int64_t size = a->size, count = (last - first + WIDTH - 1) / WIDTH * WIDTH;
    for (int64_t j = 0; j < count; j++) {
        int64_t key = first + j, inside = key >= skipped && key < last;
        int64_t slot = inside ? pages[key / a->page_size] * a->page_size + key % a->page_size : 0;
        const number *own = a->keys + (slot * a->kv_heads + head) * size;
        const number *value = a->values + (slot * a->kv_heads + head) * size;
        float *to = room->key_panels + j / WIDTH * WIDTH * size + j % WIDTH;
        for (int64_t d = 0; d < size; d++) to[d * WIDTH] = inside ? widened(own[d]) : 0;
        for (int64_t d = 0; d < filled(size); d += WIDTH) {
            int64_t width = size - d < WIDTH ? size - d : WIDTH;
            float *place = room->value_panels + d * count + j * WIDTH;
            memset(place, 0, WIDTH * sizeof *place);
            if (inside) widen(place, value + d, width);
        }
    }
}

/* The highest score that a row sees, not below `best`; those out of its reach become -inf. */
INLINE float mask_row(float *scores, int32_t from, int32_t to, int64_t count, float best)
{
    ivec place;
    vec none = -INFINITY + (vec){0}, top = none;
    for (int i = 0; i < LANES; i++) place[i] = i;
    for (int64_t j = 0; j < count; j += LANES, place += LANES) {
        vec *own = (vec *)(scores + j);
        *own = choose((place < from) | (place >= to), none, *own);
        top = choose(*own > top, *own, top);
    }
    for (int i = 0; i < LANES; i++) best = top[i] > best ? top[i] : best;
    return best;
}

/* Scores of a row and `count` keys from `first` become shares; what was summed shrinks to match. */
static void share_row(const Attention *a, const Room *room, int64_t row, int64_t first, int64_t count)
{
    float *scores = room->scores + row * KEYS;
    if (a->softcap > 0)
        for (int64_t j = 0; j < count; j += LANES) {
            vec *own = (vec *)(scores + j), cap = a->softcap + (vec){0};
            *own = cap - 2 * cap / (1.0f + exponential(2 * *own / cap));
        }
    int64_t from = room->start[row] - first, to = room->horizon[row] - first;
    float best = mask_row(scores, from, to, count, room->best[row]);
    room->shrink[row] = 1;
    if (best == -INFINITY) {
        memset(scores, 0, count * sizeof *scores);
        return;
    }
    vec total = {0}, level = best + (vec){0}, zero = {0};
    for (int64_t j = 0; j < count; j += LANES) {
        vec *own = (vec *)(scores + j);
        ivec none = *own == -INFINITY;
        *own = choose(none, zero, exponential(*own - level));
        total += *own;
    }
    vec before = room->best[row] - level;
    room->shrink[row] = room->best[row] == -INFINITY ? 0 : exponential(before)[0];
    room->total[row] = room->total[row] * room->shrink[row] + sum_of(total);
    room->best[row] = best;
}

/* What `rows` of a block see in one run of keys. */
static void add_run(const Attention *a, const Room *room, int64_t rows, int64_t first, int64_t count)
{
    vec sums[BLOCK][VECTORS];
    int64_t size = a->size, width = filled(size);
    for (int64_t j = 0; j < count; j += WIDTH) {
        add_block(room->rows, rows, size, room->key_panels + j * size, size, sums);
        for (int64_t i = 0; i < rows; i++) memcpy(room->scores + i * KEYS + j, sums[i], sizeof sums[i]);
    }
    for (int64_t i = 0; i < rows; i++) share_row(a, room, i, first, count);
    for (int64_t d = 0; d < size; d += WIDTH) {
        add_block(room->scores, rows, KEYS, room->value_panels + d * count, count, sums);
        for (int64_t i = 0; i < rows; i++)
            for (int v = 0; v < VECTORS; v++) {
                vec *own = (vec *)(room->sums + i * width + d + v * LANES);
                *own = *own * room->shrink[i] + sums[i][v];
            }
    }
}

/* Where the numbers of a block's row are among queries [queries, heads, size]. */
INLINE int64_t place_of(const Attention *a, int64_t first, int64_t head, int64_t row)
{
    int64_t query = first + row / a->group;
    return ((query * a->kv_heads + head) * a->group + row % a->group) * a->size;
}

/* Queries from `first` to `last` of a sequence, for the heads that share a key head. */
static void attend(const Attention *a, int64_t sequence, int64_t head, int64_t first, int64_t last,
                   char *memory)
{
    Room room;
    lay_out(&room, (uintptr_t)memory, a->size);
    int64_t size = a->size, group = a->group, rows = (last - first) * group, width = filled(size);
    int64_t lowest = INT64_MAX, highest = 0;
    for (int64_t i = 0; i < rows; i++) {
        const number *from = a->query + place_of(a, first, head, i);
        int64_t query = first + i / group;
        for (int64_t d = 0; d < size; d++) room.rows[i * size + d] = widened(from[d]) * a->scale;
        room.start[i] = a->starts == NULL ? 0 : a->starts[query];
        room.horizon[i] = a->horizons[query];
        room.best[i] = -INFINITY;
        room.total[i] = 0;
        lowest = room.start[i] < lowest ? room.start[i] : lowest;
        highest = room.horizon[i] > highest ? room.horizon[i] : highest;
    }
    memset(room.sums, 0, rows * width * sizeof *room.sums);
    const int64_t *pages = a->pages + a->page_starts[sequence];
    for (int64_t run = lowest / KEYS * KEYS; run < highest; run += KEYS) {
        int64_t end = highest - run < KEYS ? highest : run + KEYS;
        pack_keys(a, pages, head, run, lowest, end, &room);
        add_run(a, &room, rows, run, (end - run + WIDTH - 1) / WIDTH * WIDTH);
    }
    for (int64_t i = 0; i < rows; i++) {
        number *to = a->out + place_of(a, first, head, i);
        float scale = room.total[i] > 0 ? 1 / room.total[i] : 0;
        for (int64_t d = 0; d < size; d++) to[d] = narrowed(room.sums[i * width + d] * scale);
    }
}

/* A key head of a sequence. */
static void attend_head(const void *work, int64_t part, int thread)
{
    const Attention *a = work;
    int64_t sequence = part / a->kv_heads, queries = BLOCK / a->group;
    int64_t end = a->query_starts[sequence + 1];
    char *own = a->memory + thread * attention_room(a->size);
    for (int64_t first = a->query_starts[sequence]; first < end; first += queries)
        attend(a, sequence, part % a->kv_heads, first, end - first < queries ? end : first + queries, own);
}

/* Attention of the queries of `sequences`; a group may have up to BLOCK heads. */
void attention(const number *query, const number *keys, const number *values, number *out,
               int64_t sequences, const int64_t *query_starts, const int64_t *starts,
               const int64_t *horizons, const int64_t *pages, const int64_t *page_starts,
               int64_t page_size, int64_t kv_heads, int64_t group, int64_t size, float scale,
               float softcap, char *memory, int threads)
{
    Attention a = {query,    keys,  values, out,   query_starts, starts, horizons, pages, page_starts,
                   page_size, kv_heads, group, size, scale,        softcap, memory};
    run_parts(attend_head, &a, sequences * kv_heads, threads);
}
