// Automata over tokens, open blocks, and sets of states as bits.

#ifndef UNMASK_TOKEN_AUTOMATA_H
#define UNMASK_TOKEN_AUTOMATA_H

#include <stdint.h>

typedef struct {
    const int32_t *starts;                          // [S + 1] first edge of a state
    const int32_t *targets, *classes;               // [E]
    const int32_t *next_starts, *next_states;       // [S + 1], [P] states after a state, each once
    const int32_t *before_starts, *before_states;   // [S + 1], [P] states before it
    const int32_t *class_starts;                    // [C + 1] first move of a class
    const int32_t *move_sources, *move_targets;     // [E] edges by class, then by source
    const int32_t *distance;                        // [S] fewest tokens to an end
    const uint32_t *leaving;  // [S, words] bits of the classes that lead on from a state
    const int32_t *class_of;  // [V] class of a token
    const int64_t *forced;    // [C] only token of a class, negative for several
    int64_t num_states, num_words, farthest;        // the largest distance of a state in a set
} Automaton;

enum { MASKED = -1 };
enum { NO_MEMORY = -1, IMPOSSIBLE, POSSIBLE };  // results

// An open block. Sets of states are bits.
typedef struct {
    const Automaton *automaton;
    int64_t length, has_edits;
    uint64_t *left, *right;  // [length + 1, set words]
    int32_t *classes;        // [length], MASKED for masks
} Block;

// A block's rows [first, past) of a step; their positions are counted from `start`. Positions
// outside of the block are none of its.
typedef struct {
    Block *block;
    int64_t start, first, past, grammar;
} Part;

static inline int64_t set_words(const Automaton *a) { return (a->num_states + 63) / 64; }

static inline int has_state(const uint64_t *set, int64_t state) {
    return set[state >> 6] >> (state & 63) & 1;
}

static inline void add_state(uint64_t *set, int64_t state) {
    set[state >> 6] |= 1ull << (state & 63);
}

static inline int have_common(const uint64_t *one, const uint64_t *other, int64_t num_words) {
    uint64_t common = 0;
    for (int64_t w = 0; w < num_words; w++) common |= one[w] & other[w];
    return common != 0;
}

static inline int64_t count_states(const uint64_t *set, int64_t num_words) {
    int64_t count = 0;
    for (int64_t w = 0; w < num_words; w++) count += __builtin_popcountll(set[w]);
    return count;
}

// Runs the body for each `state` of a set.
#define EACH_STATE(set, num_words, state)                                  \
    for (int64_t w_ = 0; w_ < (num_words); w_++)                           \
        for (uint64_t rest_ = (set)[w_], state; rest_; rest_ &= rest_ - 1) \
            if (state = w_ * 64 + __builtin_ctzll(rest_), 1)

int64_t accept_choices(
    const Part *parts, int64_t num_parts, const int64_t *positions, const int64_t *tokens,
    int64_t most_work, uint8_t *accepted);

#endif
