/* Gumbel noise of vocabulary entries, by Philox4x32-10 (Salmon et al., SC 2011). */

#include "thread_pool.h"
#include "simd.h"

#define PART 8192 /* entries of a row at a time */
#define ROUNDS 10
#define WORDS 4 /* of a counter */
#define COUNTERS (REGISTER / 4)
#define GROUP (WORDS * COUNTERS) /* entries of a vector of counters */

typedef uint32_t words __attribute__((vector_size(REGISTER)));
typedef uint64_t halves __attribute__((vector_size(REGISTER)));
typedef int32_t signed_words __attribute__((vector_size(REGISTER)));
typedef float real __attribute__((vector_size(REGISTER)));

typedef struct {
    float *out; /* [rows, count] */
    const int64_t *seeds, *positions, *steps; /* [rows] */
    int64_t first, count, parts; /* of a row */
} Noise;

#if REGISTER == 64
INLINE halves products_of(halves a, halves b) { return (halves)_mm512_mul_epu32((__m512i)a, (__m512i)b); }
#else
INLINE halves products_of(halves a, halves b) { return (halves)_mm256_mul_epu32((__m256i)a, (__m256i)b); }
#endif

/* Upper and lower words of the products of words and a number. */
INLINE void both_halves(words a, uint32_t number, words *high, words *low)
{
    const halves lower = (halves){0} + 0xFFFFFFFFu, factor = (halves){0} + number;
    halves even = products_of((halves)a, factor), odd = products_of((halves)a >> 32, factor);
    *high = (words)((even >> 32) | (odd & ~lower));
    *low = (words)((even & lower) | (odd << 32));
}

/* Natural logarithm of positive normal numbers, within two units of the last place (Cephes). */
INLINE real logarithm(real x)
{
    signed_words bits = (signed_words)x, exponent = (bits - 0x3F3504F3) >> 23;
    real f = (real)(bits - (exponent << 23)) - 1.0f, z = f * f;
    real n = __builtin_convertvector(exponent, real);
    real p = (real){0} + 7.0376836292e-2f;
    p = p * f - 1.1514610310e-1f;
    p = p * f + 1.1676998740e-1f;
    p = p * f - 1.2420140846e-1f;
    p = p * f + 1.4249322787e-1f;
    p = p * f - 1.6668057665e-1f;
    p = p * f + 2.0000714765e-1f;
    p = p * f - 2.4999993993e-1f;
    p = p * f + 3.3333331174e-1f;
    real y = f * z * p - n * 2.12194440e-4f - 0.5f * z;
    return f + y + n * 0.693359375f;
}

INLINE real gumbel(words bits)
{
    real uniform = (__builtin_convertvector((signed_words)(bits >> 9), real) + 0.5f) * 1.1920928955078125e-07f;
    return -logarithm(-logarithm(uniform));
}

/* Noise of a vector of counters from `counter` on: entry 4 i + w has word w of counter i. */
INLINE void fill(float *out, uint32_t counter, uint32_t position, uint32_t step, uint64_t seed)
{
    words x[WORDS] = {(words){0} + counter, (words){0} + position, (words){0} + step, {0}};
    for (int i = 0; i < COUNTERS; i++) x[0][i] += i;
    uint32_t keys[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
    for (int round = 0; round < ROUNDS; round++) {
        words high[2], low[2];
        both_halves(x[0], 0xD2511F53u, &high[0], &low[0]);
        both_halves(x[2], 0xCD9E8D57u, &high[1], &low[1]);
        words first = high[1] ^ x[1] ^ keys[0], third = high[0] ^ x[3] ^ keys[1];
        x[0] = first, x[1] = low[1], x[2] = third, x[3] = low[0];
        keys[0] += 0x9E3779B9u, keys[1] += 0xBB67AE85u;
    }
    real noise[WORDS];
    for (int w = 0; w < WORDS; w++) noise[w] = gumbel(x[w]);
    for (int i = 0; i < COUNTERS; i++)
        for (int w = 0; w < WORDS; w++) out[WORDS * i + w] = noise[w][i];
}

static void fill_part(const void *work, int64_t part, int thread)
{
    (void)thread;
    const Noise *n = work;
    int64_t row = part / n->parts, start = part % n->parts * PART;
    int64_t end = start + PART < n->count ? start + PART : n->count;
    uint32_t position = n->positions[row], step = n->steps[row];
    float *out = n->out + row * n->count;
    for (int64_t i = start; i < end; i += GROUP) {
        uint32_t counter = (n->first + i) / WORDS;
        if (end - i >= GROUP) {
            fill(out + i, counter, position, step, n->seeds[row]);
        } else {
            float rest[GROUP];
            fill(rest, counter, position, step, n->seeds[row]);
            memcpy(out + i, rest, (end - i) * sizeof *rest);
        }
    }
}

/* Noise [rows, count] of the entries from `first`, a multiple of four. */
void gumbel_noise(float *out, const int64_t *seeds, const int64_t *positions, const int64_t *steps,
                  int64_t rows, int64_t first, int64_t count, int threads)
{
    int64_t parts = (count + PART - 1) / PART;
    Noise work = {out, seeds, positions, steps, first, count, parts};
    run_parts(fill_part, &work, rows * parts, threads);
}

typedef struct {
    float *out; /* [count] */
    const int64_t *seeds, *positions, *steps, *entries; /* [count] */
    int64_t count;
} Entries;

static void fill_entries(const void *work, int64_t part, int thread)
{
    (void)thread;
    const Entries *n = work;
    int64_t start = part * PART, end = start + PART < n->count ? start + PART : n->count;
    for (int64_t i = start; i < end; i++) {
        float noise[GROUP];
        fill(noise, n->entries[i] / WORDS, n->positions[i], n->steps[i], n->seeds[i]);
        n->out[i] = noise[n->entries[i] % WORDS];
    }
}

/* Noise [count] of single entries [count], with a key each: the bits of `gumbel_noise`. */
void gumbel_at(float *out, const int64_t *seeds, const int64_t *positions, const int64_t *steps,
               const int64_t *entries, int64_t count, int threads)
{
    Entries work = {out, seeds, positions, steps, entries, count};
    run_parts(fill_entries, &work, (count + PART - 1) / PART, threads);
}
