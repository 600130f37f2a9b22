/* Forbids the tokens of classes that a row's mask leaves out. */

#include "thread_pool.h"

#include <math.h>

typedef struct {
    float *logits;                  /* [rows, vocab] */
    const int32_t *grammar_of_row;  /* [rows], negative for none */
    const int16_t *class_of;        /* [grammars, stride], class of each token */
    const uint32_t *words;          /* [rows, num_words], bits of the allowed classes */
    int64_t vocab, stride, num_words;
} ClassMasks;

static void forbid_row(const void *work, int64_t row, int thread)
{
    (void)thread;
    const ClassMasks *m = work;
    if (m->grammar_of_row[row] < 0) return;
    const int16_t *class_of = m->class_of + m->grammar_of_row[row] * m->stride;
    const uint32_t *words = m->words + row * m->num_words;
    float *logits = m->logits + row * m->vocab;
    for (int64_t v = 0; v < m->vocab; v++) {
        const uint32_t class = class_of[v];
        logits[v] = words[class >> 5] >> (class & 31) & 1 ? logits[v] : -INFINITY;
    }
}

void forbid_classes(float *logits, const int32_t *grammar_of_row, const int16_t *class_of,
                    const uint32_t *words, int64_t rows, int64_t vocab, int64_t stride,
                    int64_t num_words, int threads)
{
    ClassMasks work = {logits, grammar_of_row, class_of, words, vocab, stride, num_words};
    run_parts(forbid_row, &work, rows, threads);
}
