/* Attention over pages, whose every query is the same in any company; scores and shares are float32.

   The queries of a sequence that share a key head are its rows. A panel is WIDTH of them, so that the
   scores of a run of keys lie [keys, WIDTH]: a vector holds the scores of as many rows, and keys and
   values are multiplied as they are stored. Runs begin at multiples of KEYS and are merged in order
   (Milakov and Gimelshein, 2018). A key that only other rows of a panel see adds an exact zero. */

#define FLOAT_PANELS
#include "panels.h"
#include "thread_pool.h"

#include <math.h>

#define KEYS 256
#define PANELS 12 /* that share what was read of the pages */

typedef struct {
    const number *query;         /* [queries, heads, size] */
    const number *keys, *values; /* [pages, page_size, kv_heads, size] */
    number *out;                 /* as the queries */
    const int64_t *query_starts, *starts, *horizons, *pages, *page_starts;
    int64_t page_size, kv_heads, group, size;
    float scale, softcap; /* 0 where scores are not bounded */
    char *memory;         /* `attention_workspace` for each thread */
} Attention;

/* What is known of a panel's rows after some runs. */
typedef struct {
    vec best[VECTORS], total[VECTORS]; /* the highest score, the sum of all shares */
    int64_t starts[WIDTH], horizons[WIDTH], lowest, highest, rows;
} Panel;

/* A thread's memory. */
typedef struct {
    Panel *panels;  /* [PANELS] */
    float *queries; /* [PANELS, size, WIDTH], times the scale */
    float *sums;    /* [PANELS, filled(size) / WIDTH, WIDTH rows, WIDTH] */
    float *keys;    /* [KEYS, size] */
    float *values;  /* [filled(size) / WIDTH, KEYS, WIDTH] */
    float *scores;  /* [KEYS, WIDTH] */
} Room;

static int64_t filled(int64_t size) { return (size + WIDTH - 1) / WIDTH * WIDTH; }

/* Where a room from an address on ends. */
static uintptr_t lay_out(Room *room, uintptr_t at, int64_t size)
{
    at = (at + LINE - 1) / LINE * LINE;
#define TAKE(name, count)                                                     \
    room->name = (void *)at;                                                  \
    at += ((count) * (int64_t)sizeof *room->name + LINE - 1) / LINE * LINE;
    TAKE(panels, PANELS)
    TAKE(queries, PANELS * WIDTH * size)
    TAKE(sums, PANELS * WIDTH * filled(size))
    TAKE(keys, KEYS * size)
    TAKE(values, KEYS * filled(size))
    TAKE(scores, KEYS * WIDTH)
#undef TAKE
    return at;
}

/* Bytes that a thread needs, wherever they begin. */
int64_t attention_workspace(int64_t size)
{
    Room room;
    return lay_out(&room, 0, size) + LINE;
}

/* Where the numbers of a row of a sequence are among queries [queries, heads, size]. */
INLINE int64_t place_of(const Attention *a, int64_t sequence, int64_t head, int64_t row)
{
    int64_t query = a->query_starts[sequence] + row / a->group;
    return ((query * a->kv_heads + head) * a->group + row % a->group) * a->size;
}

/* Up to WIDTH rows as a panel that has seen nothing; its last row stands in for those it lacks. */
static void open_panel(const Attention *a, int64_t sequence, int64_t head, int64_t first, int64_t rows,
                       Panel *panel, float *queries)
{
    const number *from[WIDTH];
    *panel = (Panel){.lowest = INT64_MAX, .rows = rows};
    for (int64_t i = 0; i < WIDTH; i++) {
        int64_t row = first + (i < rows ? i : rows - 1);
        int64_t query = a->query_starts[sequence] + row / a->group;
        int64_t start = a->starts == NULL ? 0 : a->starts[query], horizon = a->horizons[query];
        from[i] = a->query + place_of(a, sequence, head, row);
        panel->starts[i] = start;
        panel->horizons[i] = horizon;
        if (start < panel->lowest) panel->lowest = start;
        if (horizon > panel->highest) panel->highest = horizon;
    }
    for (int v = 0; v < VECTORS; v++) panel->best[v] = -INFINITY + (vec){0};
    for (int64_t d = 0, size = a->size; d < size; d++)
        for (int v = 0; v < VECTORS; v++) {
            vec own;
            for (int i = 0; i < LANES; i++) own[i] = widened(from[v * LANES + i][d]);
            *(vec *)(queries + d * WIDTH + v * LANES) = own * a->scale;
        }
}

/* Keys and values from `first` to `last` of a sequence, as they are multiplied. */
static void read_pages(const Attention *a, int64_t sequence, int64_t head, int64_t first, int64_t last,
                       const Room *room)
{
    int64_t size = a->size;
    const int64_t *pages = a->pages + a->page_starts[sequence];
    for (int64_t key = first; key < last; key++) {
        int64_t slot = pages[key / a->page_size] * a->page_size + key % a->page_size;
        int64_t at = (slot * a->kv_heads + head) * size, d = 0;
        float *to = room->values + (key - first) * WIDTH;
        widen(room->keys + (key - first) * size, a->keys + at, size);
        for (; d + WIDTH <= size; d += WIDTH, to += KEYS * WIDTH) widen(to, a->values + at + d, WIDTH);
        if (d < size) {
            memset(to, 0, WIDTH * sizeof *to);
            widen(to, a->values + at + d, size - d);
        }
    }
}

/* Scores of keys that are out of a row's reach become the lowest. */
static void hide_keys(const Panel *panel, vec (*scores)[VECTORS], int64_t first, int32_t count)
{
    const vec lowest = -INFINITY + (vec){0};
    ivec from[VECTORS], to[VECTORS];
    for (int i = 0; i < WIDTH; i++) {
        int64_t start = panel->starts[i] - first, horizon = panel->horizons[i] - first;
        ((int32_t *)from)[i] = start < 0 ? 0 : start < count ? start : count;
        ((int32_t *)to)[i] = horizon < 0 ? 0 : horizon < count ? horizon : count;
    }
    for (int32_t k = 0; k < count; k++)
        for (int v = 0; v < VECTORS; v++)
            scores[k][v] = choose((from[v] <= k) & (to[v] > k), scores[k][v], lowest);
}

/* Scores of `count` keys from `first` on become shares, where `hides` those out of a row's reach
   zero. What rows had summed is to shrink to `shrink` of it; returns whether any does. */
INLINE int share_keys(const Attention *a, Panel *panel, vec (*scores)[VECTORS], int64_t first,
                      int32_t count, int hides, vec *shrink)
{
    const vec zero = {0}, lowest = zero - INFINITY, cap = zero + a->softcap;
    vec top[VECTORS], level[VECTORS], total[VECTORS] = {0};
    memcpy(top, panel->best, sizeof top);
    if (a->softcap > 0)
        for (int32_t k = 0; k < count; k++)
            for (int v = 0; v < VECTORS; v++)
                scores[k][v] = cap - 2 * cap / (1 + exponential(2 * scores[k][v] / cap));
    if (hides) hide_keys(panel, scores, first, count);
    for (int32_t k = 0; k < count; k++)
        for (int v = 0; v < VECTORS; v++) top[v] = larger(scores[k][v], top[v]);
    for (int v = 0; v < VECTORS; v++) level[v] = choose(top[v] == lowest, zero, top[v]);
    for (int32_t k = 0; k < count; k++)
        for (int v = 0; v < VECTORS; v++) {
            vec share = exponential(scores[k][v] - level[v]);
            if (hides) share = choose(scores[k][v] == lowest, zero, share);
            scores[k][v] = share;
            total[v] += share;
        }
    int shrinks = 0;
    for (int v = 0; v < VECTORS; v++) {
        shrink[v] = choose(panel->best[v] == lowest, zero, exponential(panel->best[v] - level[v]));
        panel->total[v] = panel->total[v] * shrink[v] + total[v];
        panel->best[v] = top[v];
        for (int i = 0; i < LANES; i++) shrinks |= shrink[v][i] != 1;
    }
    return shrinks;
}

/* What a panel sees of the keys that were read, which are those from `first` to `last`. */
static void add_run(const Attention *a, const Room *room, int64_t at, int64_t first, int64_t last)
{
    Panel *panel = room->panels + at;
    int64_t size = a->size, from = panel->lowest > first ? panel->lowest : first, skipped = from - first;
    int64_t end = panel->highest < last ? panel->highest : last, count = end - from;
    if (count <= 0) return;
    int hides = 0;
    for (int i = 0; i < WIDTH; i++) hides |= panel->starts[i] > from || panel->horizons[i] < end;
    vec shrink[VECTORS], (*scores)[VECTORS] = (void *)room->scores;
    add_block(room->keys + skipped * size, count, size, room->queries + at * WIDTH * size, size, scores);
    int shrinks = hides ? share_keys(a, panel, scores, from, count, 1, shrink)
                        : share_keys(a, panel, scores, from, count, 0, shrink);
    for (int64_t d = 0; d < size; d += WIDTH) {
        vec(*sums)[VECTORS] = (void *)(room->sums + (at * filled(size) + d) * WIDTH);
        if (shrinks)
            for (int64_t i = 0; i < panel->rows; i++)
                for (int v = 0; v < VECTORS; v++) sums[i][v] *= ((const float *)shrink)[i];
        add_products(room->scores, panel->rows, 1, WIDTH, room->values + d * KEYS + skipped * WIDTH,
                     count, sums);
    }
}

/* Sums of a panel's rows to where their queries were. */
static void close_panel(const Attention *a, int64_t sequence, int64_t head, int64_t first,
                        const Panel *panel, vec (*sums)[VECTORS])
{
    for (int64_t d = 0; d < a->size; d += WIDTH, sums += WIDTH) {
        int64_t width = a->size - d < WIDTH ? a->size - d : WIDTH;
        for (int64_t i = 0; i < panel->rows; i++) {
            float total = ((const float *)panel->total)[i], scale = total > 0 ? 1 / total : 0;
            for (int v = 0; v < VECTORS; v++) sums[i][v] *= scale;
            number *out = a->out + place_of(a, sequence, head, first + i) + d;
            if (width == WIDTH)
                narrow(out, (const float *)sums[i], WIDTH);
            else
                narrow(out, (const float *)sums[i], width);
        }
    }
}

/* Rows from `first` to `last` of a sequence, for the heads that share a key head. */
static void attend(const Attention *a, int64_t sequence, int64_t head, int64_t first, int64_t last,
                   char *memory)
{
    Room room;
    lay_out(&room, (uintptr_t)memory, a->size);
    int64_t panels = (last - first + WIDTH - 1) / WIDTH, over_sums = WIDTH * filled(a->size);
    int64_t lowest = INT64_MAX, highest = 0;
    for (int64_t p = 0; p < panels; p++) {
        Panel *panel = room.panels + p;
        int64_t row = first + p * WIDTH, rows = last - row < WIDTH ? last - row : WIDTH;
        open_panel(a, sequence, head, row, rows, panel, room.queries + p * WIDTH * a->size);
        if (panel->lowest < lowest) lowest = panel->lowest;
        if (panel->highest > highest) highest = panel->highest;
    }
    memset(room.sums, 0, panels * over_sums * sizeof *room.sums);
    for (int64_t run = lowest / KEYS * KEYS; run < highest; run += KEYS) {
        int64_t from = run > lowest ? run : lowest, end = highest - run < KEYS ? highest : run + KEYS;
        read_pages(a, sequence, head, from, end, &room);
        for (int64_t p = 0; p < panels; p++) add_run(a, &room, p, from, end);
    }
    for (int64_t p = 0; p < panels; p++)
        close_panel(a, sequence, head, first + p * WIDTH, room.panels + p,
                    (void *)(room.sums + p * over_sums));
}

/* A key head of a sequence. */
static void attend_head(const void *work, int64_t part, int thread)
{
    const Attention *a = work;
    int64_t sequence = part / a->kv_heads, most = PANELS * WIDTH;
    int64_t rows = (a->query_starts[sequence + 1] - a->query_starts[sequence]) * a->group;
    char *own = a->memory + thread * attention_workspace(a->size);
    for (int64_t first = 0; first < rows; first += most)
        attend(a, sequence, part % a->kv_heads, first, rows - first < most ? rows : first + most, own);
}

/* Attention of the queries of `sequences`. */
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
