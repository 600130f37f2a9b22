/* Batch-invariant sums of products of rows with panels [inputs, WIDTH], WIDTH outputs of a weight.

   A tile of up to TILE rows is summed in registers, one input after the other: a sum has the same
   terms in the same order for any number of rows and threads. While a panel is multiplied the next
   one is prefetched, since a product of few rows takes as long as reading its weight (Goto and van
   de Geijn, 2008).

   Entries are float32, or bfloat16 in pairs of inputs; sums are float32. A CPU multiplies bfloat16
   in AMX tiles (-DTILES) or in pairs (-DPAIRS, AVX512_BF16); without either, weights are widened in
   registers and rows before. */

#ifndef PANELS_H
#define PANELS_H

#include "bf16.h"

#if defined(BF16) && !defined(FLOAT_PANELS)
#define BF16_PANELS
#else
#undef TILES
#undef PAIRS
#endif
#if defined(TILES) || defined(PAIRS)
#include <immintrin.h>
#endif

#ifdef TILES
#define TILE 16 /* rows and, of float32, columns of a register of AMX */
#define UNIT 32 /* inputs multiplied at a time */
#else
#define TILE (LANES == 16 ? 12 : 6)
#define UNIT PAIR
#endif
#define VECTORS 2 /* a tile is TILE by VECTORS registers, which leaves some for weights */
#define WIDTH (LANES * VECTORS)
#define BLOCK (LANES == 16 ? 192 : 96) /* rows that share a pass over a panel */
#define CHUNK 2048                     /* inputs of a panel that stay in the L2 cache */
#define LINE 64                        /* bytes */

#ifdef BF16_PANELS
typedef uint16_t entry;
#define PAIR 2 /* inputs that share a place in a panel */
#else
typedef float entry;
#define PAIR 1
#endif
#if defined(TILES) || defined(PAIRS)
typedef entry row_entry;
#else
typedef float row_entry;
#endif

/* Prefetch `lines` of the weight that is multiplied next. */
INLINE void fetch(const char *ahead, int lines)
{
    for (int i = 0; i < lines; i++) __builtin_prefetch(ahead + i * LINE, 0, 2);
}

#ifdef TILES
#include "amx.h"
#else

#if defined(BF16_PANELS) && !defined(PAIRS)
#define HALVES 2 /* of a place's pairs, widened and multiplied one after the other */
#else
#define HALVES 1
#endif

INLINE vec weights_of(const entry *place, int half, int v)
{
    ivec pairs = *(const ivec *)(place + PAIR * v * LANES);
    return (vec)(HALVES == 1 ? pairs : half ? pairs & -65536 : pairs << 16);
}

INLINE vec add_product(vec sum, vec weights, const row_entry *x)
{
#ifdef PAIRS
    int32_t pair;
    memcpy(&pair, x, sizeof pair);
    return (vec)_mm512_dpbf16_ps((__m512)sum, (__m512bh)weights, (__m512bh)_mm512_set1_epi32(pair));
#else
    sum += weights * *x;
#if HALVES > 1 && LANES * 4 == REGISTER
    __asm__("" : "+v"(sum)); /* pins it: gcc would spill some sums */
#endif
    return sum;
#endif
}

/* Add the products of `num` rows and a part of a panel to `sums`, while prefetching some lines. */
INLINE void add_tile(int num, const row_entry *x, int64_t over_rows, int64_t over_inputs,
                     const entry *panel, int64_t inputs, const char *ahead, int64_t every,
                     vec (*sums)[VECTORS])
{
    vec held[TILE][VECTORS], weights[VECTORS];
    for (int i = 0; i < num; i++)
        for (int v = 0; v < VECTORS; v++) held[i][v] = sums[i][v];
    for (int64_t k = 0, wait = 0; k < inputs; k += PAIR, wait--) {
        if (wait == 0) {
            wait = every;
            fetch(ahead, 4 * WIDTH / LINE);
            ahead += 4 * WIDTH;
        }
        for (int half = 0; half < HALVES; half++) {
            for (int v = 0; v < VECTORS; v++) weights[v] = weights_of(panel + k * WIDTH, half, v);
            const row_entry *inputs_of_rows = x + (k + half) * over_inputs;
            for (int i = 0; i < num; i++)
                for (int v = 0; v < VECTORS; v++)
                    held[i][v] = add_product(held[i][v], weights[v], inputs_of_rows + i * over_rows);
        }
    }
    for (int i = 0; i < num; i++)
        for (int v = 0; v < VECTORS; v++) sums[i][v] = held[i][v];
}

static void add_rows(int num, const row_entry *x, int64_t over_rows, int64_t over_inputs,
                     const entry *panel, int64_t inputs, const char *ahead, int64_t every,
                     vec (*sums)[VECTORS])
{
#define OF(n) \
    case n: add_tile(n, x, over_rows, over_inputs, panel, inputs, ahead, every, sums); break;
    switch (num) {
        OF(1) OF(2) OF(3) OF(4) OF(5) OF(6)
#if LANES > 8
        OF(7) OF(8) OF(9) OF(10) OF(11) OF(12)
#endif
    }
#undef OF
}

/* Add the products of rows and a panel to sums [rows, WIDTH], in tiles of nearly one size; an input
   of a row is `over_inputs` after the one before, or right after it where they come in pairs. */
static void add_products(const row_entry *x, int64_t rows, int64_t over_rows, int64_t over_inputs,
                         const entry *panel, int64_t inputs, vec (*sums)[VECTORS])
{
    int64_t tiles = (rows + TILE - 1) / TILE;
    for (int64_t k = 0; k < inputs; k += CHUNK) {
        int64_t part = inputs - k < CHUNK ? inputs - k : CHUNK;
        int64_t fetched = (part / PAIR + tiles - 1) / tiles;
        const char *ahead = (const char *)(panel + (k + part) * WIDTH);
        for (int64_t t = 0; t < tiles; t++) {
            int64_t row = t * rows / tiles, num = (t + 1) * rows / tiles - row;
            add_rows(num, x + row * over_rows + k * over_inputs, over_rows, over_inputs,
                     panel + k * WIDTH, part, ahead + 4 * WIDTH * fetched * t, tiles, sums + row);
        }
    }
}

/* The sums [rows, WIDTH] of a block of rows and a panel. */
static void add_block(const row_entry *x, int64_t rows, int64_t over_rows, const entry *panel,
                      int64_t inputs, vec (*sums)[VECTORS])
{
    memset(sums, 0, rows * sizeof *sums);
    add_products(x, rows, over_rows, 1, panel, inputs, sums);
}

INLINE void release_tiles(void) {}

#endif
#endif
