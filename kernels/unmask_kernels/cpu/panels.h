/* Sums of products of rows with panels, which are WIDTH outputs of a weight, [inputs, WIDTH].

   A tile of up to TILE rows is summed in registers, over one input after the other, by fused
   multiply-adds: however many rows there are, and however many threads, a sum has the same terms in
   the same order. While a panel is multiplied the next one is fetched, since with few rows a product
   takes as long as reading its weight does. (Goto and van de Geijn, 2008)

   Numbers are float32, or with -DBF16 bfloat16, of which a panel holds pairs of inputs; sums are
   float32 either way. Where a CPU multiplies such pairs rows are bfloat16 too, elsewhere float32. */

#ifndef PANELS_H
#define PANELS_H

#include "vectors.h"

#ifdef __AVX512BF16__
#include <immintrin.h>
#endif

#define TILE (LANES == 16 ? 12 : 6)
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
#if LANES > 8
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

#endif
