/* The instructions of AMX and AVX512_BF16 that the C kernels use, for a CPU without, slowly.

   Written from Intel's description of what they do; what hardware would refuse aborts. */

#include <immintrin.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static _Thread_local struct {
    uint8_t palette, start_line, reserved[14];
    uint16_t bytes[16];
    uint8_t lines[16];
} shapes;
static _Thread_local uint8_t registers[8][16][64];

static inline void demand(int holds)
{
    if (!holds) abort();
}

static inline float wide_of(uint16_t number)
{
    uint32_t bits = (uint32_t)number << 16;
    float wide;
    memcpy(&wide, &bits, sizeof wide);
    return wide;
}

static inline void load_shapes(const void *from)
{
    memcpy(&shapes, from, 64);
    demand(shapes.palette == 1);
    for (int i = 0; i < 8; i++) demand(shapes.bytes[i] <= 64 && shapes.lines[i] <= 16);
    memset(registers, 0, sizeof registers);
}

static inline void load(int to, const void *from, int64_t over_lines)
{
    demand(shapes.palette == 1);
    memset(registers[to], 0, sizeof registers[to]);
    for (int i = 0; i < shapes.lines[to]; i++)
        memcpy(registers[to][i], (const char *)from + i * over_lines, shapes.bytes[to]);
}

static inline void store(int from, void *to, int64_t over_lines)
{
    demand(shapes.palette == 1);
    for (int i = 0; i < shapes.lines[from]; i++)
        memcpy((char *)to + i * over_lines, registers[from][i], shapes.bytes[from]);
}

static inline void multiply(int sums, int left, int right)
{
    int rows = shapes.lines[sums], columns = shapes.bytes[sums] / 4, pairs = shapes.bytes[left] / 4;
    demand(shapes.palette == 1 && sums != left && sums != right && left != right);
    demand(shapes.lines[left] == rows && shapes.lines[right] == pairs);
    demand(shapes.bytes[right] == shapes.bytes[sums]);
    for (int m = 0; m < rows; m++) {
        uint16_t x[32];
        float sum[16];
        memcpy(x, registers[left][m], sizeof x);
        memcpy(sum, registers[sums][m], sizeof sum);
        for (int k = 0; k < pairs; k++) {
            uint16_t y[32];
            memcpy(y, registers[right][k], sizeof y);
            for (int n = 0; n < columns; n++) {
                sum[n] += wide_of(x[2 * k]) * wide_of(y[2 * n]);
                sum[n] += wide_of(x[2 * k + 1]) * wide_of(y[2 * n + 1]);
            }
        }
        memcpy(registers[sums][m], sum, sizeof sum);
    }
}

typedef float floats __attribute__((vector_size(64)));
typedef uint32_t pairs __attribute__((vector_size(64)));

static inline floats add_pairs(floats sums, pairs x, pairs y)
{
    sums += (floats)(x & 0xffff0000) * (floats)(y & 0xffff0000);
    return sums + (floats)(x << 16) * (floats)(y << 16);
}

#undef _tile_loadd
#undef _tile_stored
#undef _tile_zero
#undef _tile_dpbf16ps
#define _tile_loadconfig(from) load_shapes(from)
#define _tile_release() (shapes.palette = 0)
#define _tile_zero(to) (demand(shapes.palette == 1), memset(registers[to], 0, sizeof registers[to]))
#define _tile_loadd(to, from, over_lines) load(to, from, over_lines)
#define _tile_stored(from, to, over_lines) store(from, to, over_lines)
#define _tile_dpbf16ps(sums, left, right) multiply(sums, left, right)
#define _mm512_dpbf16_ps(sums, x, y) (__m512) add_pairs((floats)(sums), (pairs)(x), (pairs)(y))
#define _mm512_set1_epi32(x) (__m512i)((pairs){0} + (uint32_t)(x))
