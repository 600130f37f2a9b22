// Classes that positions of blocks may take, and positions that only one token may fill;
// unmask.decoding.automata.sets has the reference.

#include "token_automata.h"

#include <stdlib.h>
#include <string.h>

// Adds the classes of one state's edges into `next`, unless the mask has them all already.
static void add_classes(const Automaton *a, int64_t state, const uint64_t *next, uint32_t *mask) {
    const uint32_t *leaving = a->leaving + state * a->num_words;
    uint32_t missing = 0;
    for (int64_t w = 0; w < a->num_words; w++) missing |= leaving[w] & ~mask[w];
    if (!missing) return;
    for (int32_t e = a->starts[state]; e < a->starts[state + 1]; e++) {
        const uint32_t klass = a->classes[e];
        mask[klass >> 5] |= (uint32_t)has_state(next, a->targets[e]) << (klass & 31);
    }
}

// Writes for the rows of all parts their grammar, and bits of the classes that their positions may
// take in place of their own: [rows, num_words], zeros before.
void block_masks(
    const Part *parts, int64_t num_parts, const int64_t *positions, int64_t num_words,
    uint32_t *words, int32_t *grammar_of_row) {
    for (const Part *part = parts; part < parts + num_parts; part++) {
        const Block *block = part->block;
        const Automaton *a = block->automaton;
        const int64_t size = set_words(a), bytes = size * sizeof(uint64_t);
        const uint64_t *last_from = NULL, *last_next = NULL;
        const uint32_t *last = NULL;
        for (int64_t row = part->first; row < part->past; row++) {
            const int64_t i = positions[row] - part->start;
            if (i < 0 || i >= block->length) continue;
            // States of a mask's own set on the right lead on; an edited token's lead elsewhere.
            const uint64_t *from = block->left + i * size, *next = block->right + (i + 1) * size;
            const uint64_t *live = block->has_edits ? from : block->right + i * size;
            uint32_t *mask = words + row * num_words;
            grammar_of_row[row] = part->grammar;
            if (last && !memcmp(from, last_from, bytes) && !memcmp(next, last_next, bytes))
                memcpy(mask, last, num_words * sizeof *mask);
            else
                EACH_STATE(from, size, state) {
                    if (has_state(live, state)) add_classes(a, state, next, mask);
                }
            last = mask;
            last_from = from;
            last_next = next;
        }
    }
}

// The class of a masked position that may take no other, MASKED for other positions.
static int32_t only_class(const Block *block, int64_t position) {
    const Automaton *a = block->automaton;
    const int64_t size = set_words(a);
    const uint64_t *from = block->left + position * size, *live = block->right + position * size;
    const uint64_t *next = live + size;
    int32_t only = MASKED;
    if (block->classes[position] != MASKED) return MASKED;
    EACH_STATE(from, size, state) {
        if (!has_state(live, state)) continue;
        for (int32_t e = a->starts[state]; e < a->starts[state + 1]; e++) {
            if (a->classes[e] == only || !has_state(next, a->targets[e])) continue;
            if (only != MASKED) return MASKED;
            only = a->classes[e];
        }
    }
    return only;
}

// Takes in each part the masked positions that only one token may fill; writes their parts,
// positions and tokens, and returns how many there are, or NO_MEMORY.
int64_t fill_forced(
    const Part *parts, int64_t num_parts, int64_t *part_of, int64_t *positions, int64_t *tokens) {
    int64_t count = 0;
    for (int64_t p = 0; p < num_parts; p++) {
        Block *block = parts[p].block;
        const Automaton *a = block->automaton;
        const int64_t first = count;
        for (int64_t i = 0; i < block->length; i++) {
            const int32_t klass = only_class(block, i);
            if (klass == MASKED || a->forced[klass] < 0) continue;
            part_of[count] = p;
            positions[count] = parts[p].start + i;
            tokens[count++] = a->forced[klass];
        }
        if (block->has_edits && count > first) {  // the tokens around them may change
            uint8_t *accepted = malloc(count - first);
            const Part own = {block, parts[p].start, 0, count - first, 0};
            const int is_done = accepted
                && accept_choices(&own, 1, positions + first, tokens + first, INT64_MAX, accepted);
            free(accepted);
            if (!is_done) return NO_MEMORY;
        }
        for (int64_t k = first; k < count; k++)
            block->classes[positions[k] - parts[p].start] = a->class_of[tokens[k]];
    }
    return count;
}

