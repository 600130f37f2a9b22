/* Products of rows with a packed weight, whose every row is the same in any company.

   A weight [N, K] is cut into panels of WIDTH outputs, each [K, WIDTH], so that a product reads it in
   the order in which it lies. A tile of up to TILE rows is summed in registers, over one input after
   the other, by fused multiply-adds: however many rows there are, and however many threads, a sum has
   the same terms in the same order. While a panel is multiplied the next one is fetched, since with
   few rows a product takes as long as reading its weight does. (Goto and van de Geijn, 2008)

   Numbers are float32, or with -DBF16 bfloat16, of which a panel holds pairs of inputs; sums are
   float32 either way. A CPU that multiplies such pairs takes rows as they are; for one that does not,
   `product` takes rows of float32. */

#include <omp.h>
#include <stdint.h>
#include <string.h>
#ifdef __AVX512BF16__
#include <immintrin.h>
#endif

#ifndef LANES
#ifdef __AVX512F__
#define LANES 16
#define TILE 12
#else
#define LANES 8
#define TILE 6
#endif
#endif
#define VECTORS 2 /* a tile is TILE by VECTORS registers, and leaves some for weights */
#define WIDTH (LANES * VECTORS)
#define BLOCK (16 * TILE) /* rows that share a pass over a panel */
#define CHUNK 2048        /* inputs of a panel that stay in the second cache */
#define LINE 64           /* bytes */
#ifdef BF16
#define PAIR 2 /* inputs that share a place in a panel */
#else
#define PAIR 1
#endif

#define INLINE static inline __attribute__((always_inline))

typedef float vec __attribute__((vector_size(4 * LANES)));
typedef int32_t ivec __attribute__((vector_size(4 * LANES)));
typedef float loose __attribute__((vector_size(4 * LANES), aligned(4)));

#ifdef BF16
typedef uint16_t number; /* the upper half of a float */
#else
typedef float number;
#endif
#if defined(BF16) && defined(__AVX512BF16__)
typedef uint16_t row_number;
#else
typedef float row_number;
#endif

/* What becomes of a sum: it is written, added to what is there, multiplied by it, or activated. */
enum { SET, ADD, MULTIPLY, SILU, GELU };

typedef struct {
    const row_number *x; /* [rows, inputs] */
    const number *panels;
    const float *bias; /* [outputs], filled up to whole panels, or NULL */
    number *out;       /* [rows, outputs] */
    int64_t rows, inputs, outputs;
    int then;
} Product;

int64_t panel_width(void) { return WIDTH; }

int64_t row_number_size(void) { return sizeof(row_number); }

/* Copy weight[n * over_outputs + k * over_inputs] to panels, with zeros up to whole ones. */
void pack(const number *weight, int64_t over_outputs, int64_t over_inputs, number *panels,
          int64_t outputs, int64_t inputs, int threads)
{
    int64_t num_panels = (outputs + WIDTH - 1) / WIDTH;
#pragma omp parallel for num_threads(threads)
    for (int64_t i = 0; i < num_panels; i++) {
        int64_t first = i * WIDTH, width = outputs - first < WIDTH ? outputs - first : WIDTH;
        number *to = panels + first * inputs;
        for (int64_t k = 0; k < inputs; k++, to += k % PAIR == 0 ? PAIR * WIDTH : 0)
            for (int64_t j = 0; j < WIDTH; j++)
                to[PAIR * j + k % PAIR] =
                    j < width ? weight[(first + j) * over_outputs + k * over_inputs] : 0;
    }
}

INLINE vec choose(ivec mask, vec yes, vec no)
{
    return (vec)((mask & (ivec)yes) | (~mask & (ivec)no));
}

/* exp, within two units of the last place (Cephes): 2^n times a polynomial on [-ln 2 / 2, ln 2 / 2].
   It is infinite from 88.4 on, and never below 1e-38. */
INLINE vec exponential(vec x)
{
    const vec zero = {0}, lowest = zero - 87.0f, highest = zero + 89.0f, rounder = zero + 12582912.0f;
    x = choose(x < lowest, lowest, choose(x > highest, highest, x));
    vec n = (x * 1.44269504f + rounder) - rounder;
    vec r = x - n * 0.693359375f + n * 2.12194440e-4f;
    vec p = zero + 1.9875691500e-4f;
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * (r * r) + r + 1.0f;
    return p * (vec)((__builtin_convertvector(n, ivec) + 127) << 23);
}

INLINE vec activated(vec x, int activation)
{
    /* GELU by its hyperbolic tangent is x times a sigmoid as well: 1 + tanh(u) = 2 sigmoid(2 u). */
    vec slope = activation == SILU ? x : x * (1.5957691216f + 0.0713548162f * x * x);
    return x / (1.0f + exponential(-slope));
}

/* Add the products of one place of a panel and a row's inputs there. */
INLINE void add_place(const number *panel, const row_number *x, vec *sums)
{
    for (int v = 0; v < VECTORS; v++) {
#ifndef BF16
        sums[v] += *(const vec *)(panel + v * LANES) * *x;
#elif defined(__AVX512BF16__)
        int32_t pair;
        memcpy(&pair, x, sizeof pair);
        sums[v] = (vec)_mm512_dpbf16_ps((__m512)sums[v], *(const __m512bh *)(panel + 2 * v * LANES),
                                        (__m512bh)_mm512_set1_epi32(pair));
#else
        ivec pairs = *(const ivec *)(panel + 2 * v * LANES);
        sums[v] += (vec)(pairs << 16) * x[0];
        sums[v] += (vec)(pairs & -65536) * x[1];
#endif
    }
}

/* Add the products of `num` rows and a part of a panel to `sums`, while fetching some lines ahead. */
INLINE void add_tile(int num, const row_number *x, int64_t over_rows, const number *panel, int64_t inputs,
                     const char *ahead, int64_t every, vec (*sums)[VECTORS])
{
    vec held[TILE][VECTORS];
    for (int i = 0; i < num; i++)
        for (int v = 0; v < VECTORS; v++) held[i][v] = sums[i][v];
    for (int64_t k = 0, wait = 0; k < inputs; k += PAIR, wait--) {
        if (wait == 0) {
            wait = every;
            for (int b = 0; b < 4 * WIDTH; b += LINE, ahead += LINE) __builtin_prefetch(ahead, 0, 2);
        }
        for (int i = 0; i < num; i++) add_place(panel + k * WIDTH, x + i * over_rows + k, held[i]);
    }
    for (int i = 0; i < num; i++)
        for (int v = 0; v < VECTORS; v++) sums[i][v] = held[i][v];
}

static void add_rows(int num, const row_number *x, int64_t over_rows, const number *panel, int64_t inputs,
                     const char *ahead, int64_t every, vec (*sums)[VECTORS])
{
#define OF(n) case n: add_tile(n, x, over_rows, panel, inputs, ahead, every, sums); break;
    switch (num) {
        OF(1) OF(2) OF(3) OF(4) OF(5) OF(6)
#if TILE > 6
        OF(7) OF(8) OF(9) OF(10) OF(11) OF(12)
#endif
    }
#undef OF
}

/* The sums [rows, WIDTH] of a block of rows and a panel, in tiles of nearly one size. */
static void add_block(const row_number *x, int64_t rows, int64_t over_rows, const number *panel,
                      int64_t inputs, vec (*sums)[VECTORS])
{
    int64_t tiles = (rows + TILE - 1) / TILE;
    memset(sums, 0, rows * sizeof *sums);
    for (int64_t k = 0; k < inputs; k += CHUNK) {
        int64_t part = inputs - k < CHUNK ? inputs - k : CHUNK;
        int64_t fetched = (part / PAIR + tiles - 1) / tiles;
        const char *ahead = (const char *)(panel + (k + part) * WIDTH);
        for (int64_t t = 0; t < tiles; t++) {
            int64_t row = t * rows / tiles, num = (t + 1) * rows / tiles - row;
            add_rows(num, x + row * over_rows + k, over_rows, panel + k * WIDTH, part,
                     ahead + 4 * WIDTH * fetched * t, tiles, sums + row);
        }
    }
}

/* `count` of up to WIDTH numbers, and back, to the nearest and of two to the even one. */
INLINE void read_numbers(vec *to, const number *from, int64_t count)
{
#ifdef BF16
    uint32_t bits[WIDTH] = {0};
    for (int64_t i = 0; i < count; i++) bits[i] = (uint32_t)from[i] << 16;
    memcpy(to, bits, sizeof bits);
#else
    memcpy(to, from, count * sizeof *from);
#endif
}

INLINE void write_numbers(number *to, const vec *from, int64_t count)
{
#ifdef BF16
    uint32_t bits[WIDTH];
    memcpy(bits, from, sizeof bits);
    for (int64_t i = 0; i < count; i++) {
        uint32_t rounded = (bits[i] + 0x7fff + (bits[i] >> 16 & 1)) >> 16;
        to[i] = (bits[i] & 0x7fffffff) > 0x7f800000 ? 0x7fc0 : rounded; /* else a NaN becomes 0 */
    }
#else
    memcpy(to, from, count * sizeof *to);
#endif
}

/* What becomes of the sums of a row: `width` of them, all but in the last panel. */
INLINE void finish_row(const vec *sums, const float *bias, number *out, int64_t width, int then)
{
    vec done[VECTORS], there[VECTORS] = {0};
    if (then == ADD || then == MULTIPLY) read_numbers(there, out, width);
    for (int v = 0; v < VECTORS; v++) {
        vec sum = bias == NULL ? sums[v] : sums[v] + *(const loose *)(bias + v * LANES);
        done[v] = then == SET      ? sum
                  : then == ADD    ? there[v] + sum
                  : then == MULTIPLY ? there[v] * sum
                                     : activated(sum, then);
    }
    write_numbers(out, done, width);
}

static void finish_block(const Product *p, int64_t row, int64_t rows, int64_t first,
                         vec (*sums)[VECTORS])
{
    int64_t width = p->outputs - first < WIDTH ? p->outputs - first : WIDTH;
    const float *bias = p->bias == NULL ? NULL : p->bias + first;
    for (int64_t i = 0; i < rows; i++) {
        number *out = p->out + (row + i) * p->outputs + first;
        if (width == WIDTH)
            finish_row(sums[i], bias, out, WIDTH, p->then);
        else
            finish_row(sums[i], bias, out, width, p->then);
    }
}

static void multiply_panel(const Product *p, int64_t row, int64_t panel)
{
    vec sums[BLOCK][VECTORS];
    int64_t rows = p->rows - row < BLOCK ? p->rows - row : BLOCK, first = panel * WIDTH;
    add_block(p->x + row * p->inputs, rows, p->inputs, p->panels + first * p->inputs, p->inputs, sums);
    finish_block(p, row, rows, first, sums);
}

void product(const row_number *x, const number *panels, const float *bias, number *out, int64_t rows,
             int64_t inputs, int64_t outputs, int then, int threads)
{
    Product p = {x, panels, bias, out, rows, inputs, outputs, then};
    int64_t num_panels = (outputs + WIDTH - 1) / WIDTH;
#pragma omp parallel for collapse(2) schedule(static) num_threads(threads)
    for (int64_t row = 0; row < rows; row += BLOCK)
        for (int64_t panel = 0; panel < num_panels; panel++) multiply_panel(&p, row, panel);
}

typedef struct {
    const number *x;      /* [rows, columns] */
    const number *panels; /* the gate's, the other factor's and the way back's, one after the other */
    number *parts;        /* [rows * top, columns] */
    int64_t top, columns, inner;
    int activation;
} Expert;

static int64_t panels_size(int64_t outputs, int64_t inputs)
{
    return (outputs + WIDTH - 1) / WIDTH * WIDTH * inputs;
}

int64_t expert_size(int64_t columns, int64_t inner)
{
    return 2 * panels_size(inner, columns) + panels_size(columns, inner);
}

/* Bytes that a thread needs. */
int64_t expert_room(int64_t columns, int64_t inner)
{
    int64_t widest = columns > inner ? columns : inner;
    return BLOCK * (widest * sizeof(row_number) + (columns + inner) * sizeof(number));
}

static void multiply(Product p)
{
    for (int64_t first = 0; first < p.outputs; first += WIDTH) multiply_panel(&p, 0, first / WIDTH);
}

static void copy_row(row_number *to, const number *from, int64_t count)
{
#if defined(BF16) && !defined(__AVX512BF16__)
    for (int64_t i = 0; i < count; i++) {
        uint32_t bits = (uint32_t)from[i] << 16;
        memcpy(to + i, &bits, sizeof bits);
    }
#else
    memcpy(to, from, count * sizeof *from);
#endif
}

/* Up to BLOCK of an expert's rows; `room` is for them, and what is made of them in between. */
static void send_block(const Expert *e, const int64_t *places, int64_t rows, char *room)
{
    int64_t columns = e->columns, inner = e->inner;
    number *hidden = (number *)room, *made = hidden + BLOCK * inner;
    row_number *own = (row_number *)(made + BLOCK * columns);
    const number *gate = e->panels, *up = gate + panels_size(inner, columns),
                 *down = up + panels_size(inner, columns);
    for (int64_t i = 0; i < rows; i++)
        copy_row(own + i * columns, e->x + places[i] / e->top * columns, columns);
    multiply((Product){own, gate, NULL, hidden, rows, columns, inner, e->activation});
    multiply((Product){own, up, NULL, hidden, rows, columns, inner, MULTIPLY});
    copy_row(own, hidden, rows * inner);
    multiply((Product){own, down, NULL, made, rows, inner, columns, SET});
    for (int64_t i = 0; i < rows; i++)
        memcpy(e->parts + places[i] * columns, made + i * columns, columns * sizeof *made);
}

/* Rows sorted by their experts: those of expert i are places[starts[i]] to places[starts[i + 1]]. */
static void sort_rows(const int64_t *ids, int64_t num_places, int64_t num_experts, int64_t *starts,
                      int64_t *places)
{
    memset(starts, 0, (num_experts + 2) * sizeof *starts);
    for (int64_t i = 0; i < num_places; i++) starts[ids[i] + 2]++;
    for (int64_t e = 0; e < num_experts; e++) starts[e + 2] += starts[e + 1];
    for (int64_t i = 0; i < num_places; i++) places[starts[ids[i] + 1]++] = i;
}

/* The sum [columns] of a row's parts [top, columns] by their shares, one after another. */
static void sum_parts(const number *parts, const float *shares, number *out, int64_t top,
                      int64_t columns)
{
    for (int64_t c = 0; c < columns; c += WIDTH) {
        int64_t width = columns - c < WIDTH ? columns - c : WIDTH;
        vec total[VECTORS] = {0}, part[VECTORS] = {0};
        for (int64_t k = 0; k < top; k++) {
            read_numbers(part, parts + k * columns + c, width);
            for (int v = 0; v < VECTORS; v++) total[v] += part[v] * shares[k];
        }
        write_numbers(out + c, total, width);
    }
}

/* Rows x [rows, columns] through the experts ids [rows, top], summed in order by shares [rows, top].

   `starts` [num_experts + 2], `places` [rows * top], `parts` [rows * top, columns] and `room`, one of
   `expert_room` for each thread, are overwritten. */
void experts(const number *x, const int64_t *ids, const float *shares, const number *panels, number *out,
             int64_t rows, int64_t top, int64_t num_experts, int64_t columns, int64_t inner,
             int activation, int64_t *starts, int64_t *places, number *parts, char *room, int threads)
{
    int64_t size = expert_size(columns, inner), own_room = expert_room(columns, inner);
    sort_rows(ids, rows * top, num_experts, starts, places);
#pragma omp parallel num_threads(threads)
    {
        char *own = room + own_room * omp_get_thread_num();
#pragma omp for schedule(dynamic)
        for (int64_t i = 0; i < num_experts; i++) {
            Expert e = {x, panels + i * size, parts, top, columns, inner, activation};
            for (int64_t first = starts[i]; first < starts[i + 1]; first += BLOCK) {
                int64_t left = starts[i + 1] - first;
                send_block(&e, places + first, left < BLOCK ? left : BLOCK, own);
            }
        }
#pragma omp for schedule(static)
        for (int64_t row = 0; row < rows; row++)
            sum_parts(parts + row * top * columns, shares + row * top, out + row * columns, top, columns);
    }
}
