/* Vectors and tiles of the passes: bfloat16 rows, packed operands, products by AMX.

   A product's first operand is rows, or tiles [rows / 16][depth / 32][16, 32]; its second one is
   packed as [columns / 16][depth / 2][16 pairs], pair p of a column being its entries 2p and 2p + 1. */

#ifndef TILES_H
#define TILES_H

#include "simd.h"

#if LANES != 16
#error "the passes have vectors of 16 floats"
#endif

#define SIDE 32 /* rows and columns of a product: two tiles each */
#define HEAD 64 /* entries of a head */
#define LINE 64 /* bytes */

typedef uint16_t bf16; /* a bfloat16 */
typedef uint32_t pairs __attribute__((vector_size(64)));
typedef uint16_t halves __attribute__((vector_size(32)));

INLINE vec load_bf16(const bf16 *from)
{
    halves x;
    memcpy(&x, from, sizeof x);
    return (vec)(__builtin_convertvector(x, pairs) << 16);
}

/* Round to nearest even; the NaNs of arithmetic stay NaNs. */
INLINE void store_bf16(bf16 *to, vec x)
{
    pairs bits = (pairs)x;
    halves rounded = __builtin_convertvector((bits + 0x7fff + (bits >> 16 & 1)) >> 16, halves);
    memcpy(to, &rounded, sizeof rounded);
}

INLINE vec load_f32(const float *from) { return *(const loose *)from; }

INLINE void store_f32(float *to, vec x) { *(loose *)to = x; }

INLINE vec all(float x) { return (vec){0} + x; }

INLINE float largest(vec x)
{
    for (int i = 8; i; i /= 2)
        for (int k = 0; k < i; k++) x[k] = x[k] > x[k + i] ? x[k] : x[k + i];
    return x[0];
}

/* Pairs of the entries of two rows, zeros for one that is not there. */
INLINE pairs pair_up(const bf16 *x, int64_t over_rows, int64_t row, int64_t rows)
{
    halves first = {0}, second = {0};
    if (row < rows) memcpy(&first, x + row * over_rows, sizeof first);
    if (row + 1 < rows) memcpy(&second, x + (row + 1) * over_rows, sizeof second);
    return __builtin_convertvector(first, pairs) | __builtin_convertvector(second, pairs) << 16;
}

#define LOW 0, 16, 1, 17, 4, 20, 5, 21, 8, 24, 9, 25, 12, 28, 13, 29
#define HIGH 2, 18, 3, 19, 6, 22, 7, 23, 10, 26, 11, 27, 14, 30, 15, 31
#define LOW_TWO 0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29
#define HIGH_TWO 2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31
#define EVEN 0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27
#define ODD 4, 5, 6, 7, 12, 13, 14, 15, 20, 21, 22, 23, 28, 29, 30, 31

/* Transpose 16 rows of 16 pairs. */
INLINE void transpose(pairs rows[16])
{
    pairs x[16];
    for (int i = 0; i < 16; i += 2) {
        x[i] = __builtin_shufflevector(rows[i], rows[i + 1], LOW);
        x[i + 1] = __builtin_shufflevector(rows[i], rows[i + 1], HIGH);
    }
    for (int i = 0; i < 16; i += 4)
        for (int k = 0; k < 2; k++) {
            rows[i + 2 * k] = __builtin_shufflevector(x[i + k], x[i + k + 2], LOW_TWO);
            rows[i + 2 * k + 1] = __builtin_shufflevector(x[i + k], x[i + k + 2], HIGH_TWO);
        }
    for (int i = 0; i < 4; i++)
        for (int k = 0; k < 16; k += 8) {
            x[i + k] = __builtin_shufflevector(rows[i + k], rows[i + k + 4], EVEN);
            x[i + k + 4] = __builtin_shufflevector(rows[i + k], rows[i + k + 4], ODD);
        }
    for (int i = 0; i < 8; i++) {
        rows[i] = __builtin_shufflevector(x[i], x[i + 8], EVEN);
        rows[i + 8] = __builtin_shufflevector(x[i], x[i + 8], ODD);
    }
}

/* Second operand from `x` [depth, columns], of which `rows` are there. */
static void pack_rows(const bf16 *x, int64_t over_rows, int64_t rows, int64_t depth, int64_t columns,
                      bf16 *packed)
{
    for (int64_t column = 0; column < columns; column += 16)
        for (int64_t i = 0; i < depth; i += 2, packed += 32) {
            pairs both = pair_up(x + column, over_rows, i, rows);
            memcpy(packed, &both, sizeof both);
        }
}

/* Second operand from `x` [columns, depth], of which `rows` are there. */
static void pack_columns(const bf16 *x, int64_t over_rows, int64_t rows, int64_t depth, int64_t columns,
                         bf16 *packed)
{
    for (int64_t column = 0; column < columns; column += 16)
        for (int64_t i = 0; i < depth; i += 32, packed += 512) {
            pairs block[16] = {0};
            for (int64_t k = 0; k < 16 && column + k < rows; k++)
                memcpy(&block[k], x + (column + k) * over_rows + i, sizeof block[k]);
            transpose(block);
            memcpy(packed, block, sizeof block);
        }
}

/* Tiles of a first operand, the transpose of `x` [depth, columns], of which `rows` are there. */
static void pack_transposed(const bf16 *x, int64_t over_rows, int64_t rows, int64_t depth,
                            int64_t columns, bf16 *packed)
{
    for (int64_t i = 0; i < depth; i += 32)
        for (int64_t column = 0; column < columns; column += 16) {
            pairs block[16];
            for (int64_t k = 0; k < 16; k++) block[k] = pair_up(x + column, over_rows, i + 2 * k, rows);
            transpose(block);
            memcpy(packed + column * depth + i * 16, block, sizeof block);
        }
}

/* Force writes to memory: compilers do not know all that the intrinsics read. */
INLINE void settle(const void *written) { __asm__ volatile("" : : "r"(written) : "memory"); }

static void begin_tiles(void)
{
    struct {
        uint8_t palette, start_line, reserved[14];
        uint16_t bytes[16];
        uint8_t lines[16];
    } shapes = {.palette = 1};
    for (int i = 0; i < 8; i++) {
        shapes.bytes[i] = LINE;
        shapes.lines[i] = 16;
    }
    settle(&shapes);
    _tile_loadconfig(&shapes);
}

static void end_tiles(void) { _tile_release(); }

typedef struct {
    const bf16 *at;
    int64_t over_rows, over_steps, over_tiles; /* entries between rows, steps of 32, 16 rows */
} Operand;

INLINE Operand rows_of(const bf16 *at, int64_t over_rows)
{
    return (Operand){at, over_rows, 32, 16 * over_rows};
}

INLINE Operand tiles_of(const bf16 *at, int64_t depth) { return (Operand){at, 32, 512, 16 * depth}; }

/* `sums` [32, 32] become, or with `adds` grow by, a product. Steps of 32 that are 0 in `tiles`, if that
   is given, are left out. */
INLINE void add_product(Operand rows, const bf16 *columns, int64_t depth, float *sums,
                        int64_t over_sums, int adds, const uint8_t *tiles)
{
    const int64_t bytes = over_sums * sizeof *sums, line = rows.over_rows * sizeof *rows.at;
    settle(rows.at);
    if (adds) {
        _tile_loadd(0, sums, bytes);
        _tile_loadd(1, sums + 16, bytes);
        _tile_loadd(2, sums + 16 * over_sums, bytes);
        _tile_loadd(3, sums + 16 * over_sums + 16, bytes);
    } else {
        _tile_zero(0);
        _tile_zero(1);
        _tile_zero(2);
        _tile_zero(3);
    }
    for (int64_t step = 0; step < depth / 32; step++) {
        if (tiles && !tiles[step]) continue;
        const bf16 *upper = rows.at + step * rows.over_steps, *left = columns + step * 512;
        _tile_loadd(4, upper, line);
        _tile_loadd(6, left, LINE);
        _tile_loadd(7, left + 16 * depth, LINE);
        _tile_dpbf16ps(0, 4, 6);
        _tile_loadd(5, upper + rows.over_tiles, line);
        _tile_dpbf16ps(1, 4, 7);
        _tile_dpbf16ps(2, 5, 6);
        _tile_dpbf16ps(3, 5, 7);
    }
    _tile_stored(0, sums, bytes);
    _tile_stored(1, sums + 16, bytes);
    _tile_stored(2, sums + 16 * over_sums, bytes);
    _tile_stored(3, sums + 16 * over_sums + 16, bytes);
    settle(sums);
}

#endif
