/* Products of rows with packed weights in 8 bits (W8A8): whole numbers with a scale a row and a
   scale an output.

   Sums are exact in int32, so a row's are the same beside any others. AVX512_VNNI multiplies four
   unsigned inputs of a row with four signed ones of a weight: rows are stored with 128 added, which
   a constant of each output takes off. A weight [N, K] is cut into panels [K / 4, WIDTH, 4], as in
   panels.h. */

#include "activation.h"
#include "bf16.h"
#include "thread_pool.h"

#define QUAD 4     /* inputs multiplied at a time */
#define VECTORS 2  /* registers of a row's outputs in a tile */
#define WIDTH (LANES * VECTORS)
#define TILE 12    /* rows of a tile, which leave registers for weights */
#define BLOCK 192  /* rows that share a pass over a panel */
#define CHUNK 4096 /* inputs of a panel that stay in the L2 cache */
#define LINE 64    /* bytes */
#define OFFSET 128 /* of rows */
#define LARGEST 127.0f
#define QUANTIZED_TOGETHER 8        /* rows of a part */
#define LEAST_PART (1 << 20)        /* multiplications of a part */
#define EXTRA_ROWS 8                /* as long as reading a weight takes */

typedef struct {
    const int8_t *panels;
    const float *scales, *bias;    /* [outputs], padded to whole panels; no bias if NULL */
    const int32_t *corrections;    /* [outputs], padded: -OFFSET times the sum of a weight's numbers */
} Weight;

typedef struct {
    Weight weight, up; /* `up` has no panels if nothing is gated */
    const uint8_t *x;  /* [rows, inputs] */
    const float *row_scales;
    number *out; /* [rows, outputs] */
    int64_t rows, inputs, outputs, panels_a_part, parts_a_block;
    int adds, activates, activation;
} Job;

int64_t int8_panel_width(void) { return WIDTH; }

typedef struct {
    const number *x;
    uint8_t *out;
    float *scales;
    int64_t rows, inputs, stride, padded;
} Rows;

static void quantize_some(const void *work, int64_t part, int thread)
{
    (void)thread;
    const Rows *r = work;
    int64_t first = part * QUANTIZED_TOGETHER, end = first + QUANTIZED_TOGETHER;
    for (int64_t row = first; row < end && row < r->rows; row++) {
        const number *x = r->x + row * r->stride;
        uint8_t *out = r->out + row * r->padded;
        float top = 0.0f;
        int odd = 0; /* a NaN or an infinity, which no whole number is */
        for (int64_t k = 0; k < r->inputs; k++) {
            float size = __builtin_fabsf(widened(x[k]));
            top = size > top ? size : top;
            odd |= !(size <= __FLT_MAX__);
        }
        if (odd) {
            memset(out, OFFSET, r->padded);
            r->scales[row] = __builtin_nanf("");
            continue;
        }
        float inverse = top > 0.0f ? LARGEST / top : 0.0f;
        r->scales[row] = top / LARGEST;
        for (int64_t k = 0; k < r->inputs; k++)
            out[k] = (uint8_t)(int32_t)(widened(x[k]) * inverse + (OFFSET + 0.5f));
        for (int64_t k = r->inputs; k < r->padded; k++) out[k] = OFFSET;
    }
}

/* Rows [rows, inputs] as whole numbers of which the largest is 127, with OFFSET added; `padded` is
   the number of inputs rounded up to quads. */
void quantize_rows(const number *x, int64_t stride, uint8_t *out, float *scales, int64_t rows,
                   int64_t inputs, int64_t padded, int threads)
{
    Rows work = {x, out, scales, rows, inputs, stride, padded};
    run_parts(quantize_some, &work, (rows + QUANTIZED_TOGETHER - 1) / QUANTIZED_TOGETHER, threads);
}

/* Copy a weight [outputs, inputs] to panels, padded with zeros, and note its corrections. */
void pack_int8(const int8_t *weight, int64_t stride, int8_t *panels, int32_t *corrections,
               int64_t outputs, int64_t inputs, int64_t padded)
{
    for (int64_t n = 0; n < (outputs + WIDTH - 1) / WIDTH * WIDTH; n++) {
        int8_t *to = panels + n / WIDTH * WIDTH * padded + n % WIDTH * QUAD;
        int32_t sum = 0;
        for (int64_t k = 0; k < padded; k++) {
            int8_t value = n < outputs && k < inputs ? weight[n * stride + k] : 0;
            to[k / QUAD * WIDTH * QUAD + k % QUAD] = value;
            sum += value;
        }
        corrections[n] = -OFFSET * sum;
    }
}

INLINE ivec add_quads(ivec sum, ivec rows, ivec weights)
{
    return (ivec)_mm512_dpbusd_epi32((__m512i)sum, (__m512i)rows, (__m512i)weights);
}

/* Add the products of `num` rows and a part of a panel to `sums`, while prefetching some lines. */
INLINE void add_tile(int num, const uint8_t *x, int64_t over_rows, const int8_t *panel,
                     int64_t inputs, const char *ahead, int64_t every, ivec (*sums)[VECTORS])
{
    ivec held[TILE][VECTORS];
    for (int i = 0; i < num; i++)
        for (int v = 0; v < VECTORS; v++) held[i][v] = sums[i][v];
    for (int64_t k = 0, wait = 0; k < inputs; k += QUAD, wait--) {
        if (wait == 0) {
            wait = every;
            for (int i = 0; i < QUAD * WIDTH / LINE; i++) __builtin_prefetch(ahead + i * LINE, 0, 2);
            ahead += QUAD * WIDTH;
        }
        const ivec *weights = (const ivec *)(panel + k * WIDTH);
        for (int i = 0; i < num; i++) {
            int32_t quad;
            memcpy(&quad, x + i * over_rows + k, sizeof quad);
            for (int v = 0; v < VECTORS; v++)
                held[i][v] = add_quads(held[i][v], (ivec){0} + quad, weights[v]);
        }
    }
    for (int i = 0; i < num; i++)
        for (int v = 0; v < VECTORS; v++) sums[i][v] = held[i][v];
}

static void add_rows(int num, const uint8_t *x, int64_t over_rows, const int8_t *panel,
                     int64_t inputs, const char *ahead, int64_t every, ivec (*sums)[VECTORS])
{
#define OF(n) \
    case n: add_tile(n, x, over_rows, panel, inputs, ahead, every, sums); break;
    switch (num) {
        OF(1) OF(2) OF(3) OF(4) OF(5) OF(6) OF(7) OF(8) OF(9) OF(10) OF(11) OF(12)
    }
#undef OF
}

/* The scaled sums [rows, WIDTH] of a block of rows and a panel, plus the bias. */
static void add_block(const Job *job, const Weight *weight, int64_t row, int64_t rows, int64_t first,
                      ivec (*sums)[VECTORS], vec (*out)[VECTORS])
{
    const uint8_t *x = job->x + row * job->inputs;
    const int8_t *panel = weight->panels + first * job->inputs;
    int64_t tiles = (rows + TILE - 1) / TILE;
    for (int64_t i = 0; i < rows; i++) memcpy(sums[i], weight->corrections + first, sizeof sums[i]);
    for (int64_t k = 0; k < job->inputs; k += CHUNK) {
        int64_t part = job->inputs - k < CHUNK ? job->inputs - k : CHUNK;
        int64_t fetched = (part / QUAD + tiles - 1) / tiles;
        const char *ahead = (const char *)(panel + (k + part) * WIDTH);
        for (int64_t t = 0; t < tiles; t++) {
            int64_t from = t * rows / tiles, num = (t + 1) * rows / tiles - from;
            add_rows(num, x + from * job->inputs + k, job->inputs, panel + k * WIDTH, part,
                     ahead + QUAD * WIDTH * fetched * t, tiles, sums + from);
        }
    }
    for (int64_t i = 0; i < rows; i++)
        for (int v = 0; v < VECTORS; v++) {
            int64_t at = first + v * LANES;
            vec scales = *(const loose *)(weight->scales + at) * job->row_scales[row + i];
            out[i][v] = __builtin_convertvector(sums[i][v], vec) * scales;
            if (weight->bias != NULL) out[i][v] += *(const loose *)(weight->bias + at);
        }
}

static void multiply_panel(const Job *job, int64_t row, int64_t panel)
{
    ivec sums[BLOCK][VECTORS];
    vec results[BLOCK][VECTORS], others[BLOCK][VECTORS], residual[VECTORS] = {0};
    int64_t rows = job->rows - row < BLOCK ? job->rows - row : BLOCK, first = panel * WIDTH;
    int64_t width = job->outputs - first < WIDTH ? job->outputs - first : WIDTH;
    add_block(job, &job->weight, row, rows, first, sums, results);
    if (job->up.panels != NULL) add_block(job, &job->up, row, rows, first, sums, others);
    for (int64_t i = 0; i < rows; i++) {
        number *out = job->out + (row + i) * job->outputs + first;
        if (job->adds) widen((float *)residual, out, width);
        for (int v = 0; v < VECTORS; v++) {
            if (job->activates)
                results[i][v] = job->activation == SILU ? activated(results[i][v], SILU)
                                                        : activated(results[i][v], GELU);
            if (job->up.panels != NULL) results[i][v] *= others[i][v];
            if (job->adds) results[i][v] += residual[v];
        }
        narrow(out, (const float *)results[i], width);
    }
}

static void run_panels(const void *work, int64_t part, int thread)
{
    (void)thread;
    const Job *job = work;
    int64_t row = part / job->parts_a_block * BLOCK, panels = (job->outputs + WIDTH - 1) / WIDTH;
    int64_t from = part % job->parts_a_block * job->panels_a_part, to = from + job->panels_a_part;
    for (int64_t panel = from; panel < to && panel < panels; panel++) multiply_panel(job, row, panel);
}

/* Rows times a weight [outputs, inputs], written or added to `out`; or activated, and with the
   panels of `up` times the rows of that. */
void product_int8(const uint8_t *x, const float *row_scales, const Weight *weight, const Weight *up,
                  number *out, int64_t rows, int64_t inputs, int64_t outputs, int adds,
                  int activation, int threads)
{
    int64_t panels = (outputs + WIDTH - 1) / WIDTH, together_rows = rows < BLOCK ? rows : BLOCK;
    int64_t size = inputs * WIDTH * (together_rows + EXTRA_ROWS);
    int64_t together = (LEAST_PART + size - 1) / size;
    if (together > panels || threads < 2) together = panels;
    Job job = {.weight = *weight, .x = x, .row_scales = row_scales, .out = out, .rows = rows,
               .inputs = inputs, .outputs = outputs, .panels_a_part = together, .adds = adds,
               .activates = activation >= 0, .activation = activation};
    if (up != NULL) job.up = *up;
    job.parts_a_block = together ? (panels + together - 1) / together : 0;
    run_parts(run_panels, &job, job.parts_a_block * ((rows + BLOCK - 1) / BLOCK), threads);
}
