/* Batch-invariant attention over pages; scores and softmax weights are float32.

   The queries of a sequence that share a KV head are its rows. A panel is WIDTH of them, so that the
   scores of a run of keys are [keys, WIDTH]: a vector holds the scores of as many rows, and keys and
   values are multiplied as they are stored. Runs begin at multiples of KEYS and are merged in order
   (Milakov and Gimelshein, 2018). A key that only other rows of a panel see adds an exact zero. */

#define FLOAT_PANELS
#include "panels.h"
#include "thread_pool.h"

#include <math.h>

#define KEYS 256
#define PANELS 12 /* share the keys and values read of pages */

typedef struct {
    const number *query;         /* [queries, heads, size] */
    const number *keys, *values; /* [pages, page_size, kv_heads, size] */
    number *out;                 /* as the queries */
    const int64_t *query_starts, *starts, *horizons, *pages, *page_starts;
    int64_t page_size, kv_heads, group, size;
    float scale, softcap; /* 0 for no softcap */
    char *memory;         /* `attention_workspace` bytes for each thread */
} Attention;

/* Running softmax of a panel's rows. */
typedef struct {
    vec best[VECTORS], total[VECTORS]; /* highest score, sum of softmax weights */
    int64_t starts[WIDTH], horizons[WIDTH], lowest, highest, rows;
} Panel;

/* Workspace of a thread. */
typedef struct {
    Panel *panels;  /* [PANELS] */
    float *queries; /* [PANELS, size, WIDTH], times the scale */
    float *sums;    /* [PANELS, padded(size) / WIDTH, WIDTH rows, WIDTH] */
    float *keys;    /* [KEYS, size] */
    float *values;  /* [padded(size) / WIDTH, KEYS, WIDTH] */
    float *scores;  /* [KEYS, WIDTH] */
} Workspace;

static int64_t padded(int64_t size) { return (size + WIDTH - 1) / WIDTH * WIDTH; }

/* Lay out a workspace from an address on; returns its end. */
static uintptr_t lay_out(Workspace *space, uintptr_t at, int64_t size)
{
    at = (at + LINE - 1) / LINE * LINE;
#define TAKE(name, count)                                                     \
    space->name = (void *)at;                                                  \
    at += ((count) * (int64_t)sizeof *space->name + LINE - 1) / LINE * LINE;
    TAKE(panels, PANELS)
    TAKE(queries, PANELS * WIDTH * size)
    TAKE(sums, PANELS * WIDTH * padded(size))
    TAKE(keys, KEYS * size)
    TAKE(values, KEYS * padded(size))
    TAKE(scores, KEYS * WIDTH)
#undef TAKE
    return at;
}

/* Bytes of a thread's workspace, at any address. */
int64_t attention_workspace(int64_t size)
{
    Workspace space;
    return lay_out(&space, 0, size) + LINE;
}

/* Offset of a row of a sequence in queries [queries, heads, size]. */
INLINE int64_t place_of(const Attention *a, int64_t sequence, int64_t head, int64_t row)
{
    int64_t query = a->query_starts[sequence] + row / a->group;
    return ((query * a->kv_heads + head) * a->group + row % a->group) * a->size;
}

/* Start a panel of up to WIDTH rows, padded with its last row. */
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
            vec query;
            for (int i = 0; i < LANES; i++) query[i] = widened(from[v * LANES + i][d]);
            *(vec *)(queries + d * WIDTH + v * LANES) = query * a->scale;
        }
}

/* Keys and values from `first` to `last` of a sequence, in float32. */
static void read_pages(const Attention *a, int64_t sequence, int64_t head, int64_t first, int64_t last,
                       const Workspace *space)
{
    int64_t size = a->size;
    const int64_t *pages = a->pages + a->page_starts[sequence];
    for (int64_t key = first; key < last; key++) {
        int64_t slot = pages[key / a->page_size] * a->page_size + key % a->page_size;
        int64_t at = (slot * a->kv_heads + head) * size, d = 0;
        float *to = space->values + (key - first) * WIDTH;
        widen(space->keys + (key - first) * size, a->keys + at, size);
        for (; d + WIDTH <= size; d += WIDTH, to += KEYS * WIDTH) widen(to, a->values + at + d, WIDTH);
        if (d < size) {
            memset(to, 0, WIDTH * sizeof *to);
            widen(to, a->values + at + d, size - d);
        }
    }
}

/* Scores of keys out of a row's reach become -inf. */
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

/* Scores of `count` keys from `first` on become softmax weights, with `hides` zero out of a row's
   reach. Earlier sums have to be multiplied by `shrink`; returns 0 if all of it is 1. */
INLINE int softmax_keys(const Attention *a, Panel *panel, vec (*scores)[VECTORS], int64_t first,
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
            vec weight = exponential(scores[k][v] - level[v]);
            if (hides) weight = choose(scores[k][v] == lowest, zero, weight);
            scores[k][v] = weight;
            total[v] += weight;
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

/* Add the keys from `first` to `last`, which were read, to a panel. */
static void add_run(const Attention *a, const Workspace *space, int64_t at, int64_t first, int64_t last)
{
    Panel *panel = space->panels + at;
    int64_t size = a->size, from = panel->lowest > first ? panel->lowest : first, skipped = from - first;
    int64_t end = panel->highest < last ? panel->highest : last, count = end - from;
    if (count <= 0) return;
    int hides = 0;
    for (int i = 0; i < WIDTH; i++) hides |= panel->starts[i] > from || panel->horizons[i] < end;
    vec shrink[VECTORS], (*scores)[VECTORS] = (void *)space->scores;
    const float *queries = space->queries + at * WIDTH * size;
    add_block(space->keys + skipped * size, count, size, queries, size, scores);
    int shrinks = hides ? softmax_keys(a, panel, scores, from, count, 1, shrink)
                        : softmax_keys(a, panel, scores, from, count, 0, shrink);
    for (int64_t d = 0; d < size; d += WIDTH) {
        vec(*sums)[VECTORS] = (void *)(space->sums + (at * padded(size) + d) * WIDTH);
        if (shrinks)
            for (int64_t i = 0; i < panel->rows; i++)
                for (int v = 0; v < VECTORS; v++) sums[i][v] *= ((const float *)shrink)[i];
        add_products(space->scores, panel->rows, 1, WIDTH, space->values + d * KEYS + skipped * WIDTH,
                     count, sums);
    }
}

/* Write the normalised sums of a panel's rows to `out`. */
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

/* Rows from `first` to `last` of a sequence, for the query heads of a KV head. */
static void attend(const Attention *a, int64_t sequence, int64_t head, int64_t first, int64_t last,
                   char *memory)
{
    Workspace space;
    lay_out(&space, (uintptr_t)memory, a->size);
    int64_t panels = (last - first + WIDTH - 1) / WIDTH, over_sums = WIDTH * padded(a->size);
    int64_t lowest = INT64_MAX, highest = 0;
    for (int64_t p = 0; p < panels; p++) {
        Panel *panel = space.panels + p;
        int64_t row = first + p * WIDTH, rows = last - row < WIDTH ? last - row : WIDTH;
        open_panel(a, sequence, head, row, rows, panel, space.queries + p * WIDTH * a->size);
        if (panel->lowest < lowest) lowest = panel->lowest;
        if (panel->highest > highest) highest = panel->highest;
    }
    memset(space.sums, 0, panels * over_sums * sizeof *space.sums);
    for (int64_t run = lowest / KEYS * KEYS; run < highest; run += KEYS) {
        int64_t from = run > lowest ? run : lowest, end = highest - run < KEYS ? highest : run + KEYS;
        read_pages(a, sequence, head, from, end, &space);
        for (int64_t p = 0; p < panels; p++) add_run(a, &space, p, from, end);
    }
    for (int64_t p = 0; p < panels; p++)
        close_panel(a, sequence, head, first + p * WIDTH, space.panels + p,
                    (void *)(space.sums + p * over_sums));
}

/* All rows of a KV head of a sequence. */
static void attend_head(const void *work, int64_t part, int thread)
{
    const Attention *a = work;
    int64_t sequence = part / a->kv_heads, most = PANELS * WIDTH;
    int64_t rows = (a->query_starts[sequence + 1] - a->query_starts[sequence]) * a->group;
    char *memory = a->memory + thread * attention_workspace(a->size);
    for (int64_t first = 0; first < rows; first += most) {
        int64_t last = rows - first < most ? rows : first + most;
        attend(a, sequence, part % a->kv_heads, first, last, memory);
    }
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
