// Sets of states over a block of tokens, classes that its positions may take, and the ordered check
// of choices; unmask.decoding.automata.sets has their meaning and the reference.

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    const int32_t *starts;             // [S + 1] first edge of a state
    const int32_t *targets, *classes;  // [E]
    const int32_t *moves;              // [C, S]; state 0 is dead
    int64_t num_states, num_classes;
} Automaton;

enum { MASKED = -1 };

// States after a token of a class, or after any token, from the states `from`.
static void step_right(const Automaton *a, int32_t klass, const uint8_t *from, uint8_t *to) {
    const int64_t size = a->num_states;
    memset(to, 0, size);
    if (klass != MASKED) {
        const int32_t *moves = a->moves + klass * size;
        for (int64_t s = 1; s < size; s++)
            if (from[s]) to[moves[s]] = 1;
    } else {
        for (int64_t s = 1; s < size; s++)
            if (from[s])
                for (int32_t e = a->starts[s]; e < a->starts[s + 1]; e++) to[a->targets[e]] = 1;
    }
    to[0] = 0;
}

// States of `from`, of all if NULL, that such a token leads to a state of `next`; `to` may be `from`.
static void step_left(
    const Automaton *a, int32_t klass, const uint8_t *from, const uint8_t *next, uint8_t *to) {
    const int64_t size = a->num_states;
    to[0] = 0;
    if (klass != MASKED) {
        const int32_t *moves = a->moves + klass * size;
        for (int64_t s = 1; s < size; s++) to[s] = (!from || from[s]) & next[moves[s]];
        return;
    }
    for (int64_t s = 1; s < size; s++) {
        uint8_t leads = 0;
        if (!from || from[s])
            for (int32_t e = a->starts[s]; e < a->starts[s + 1] && !leads; e++)
                leads = next[a->targets[e]];
        to[s] = leads;
    }
}

// Fills left and right [length + 1, S] from left[0] and right[length]. Positions that may be edited
// are masked in `free_classes`; it is `classes` if there are none.
void block_sets(
    const Automaton *a, const int32_t *classes, const int32_t *free_classes, int64_t length,
    uint8_t *left, uint8_t *right) {
    const int64_t size = a->num_states;
    uint8_t *last = right + length * size;
    for (int64_t i = 0; i < length; i++)
        step_right(a, classes[i], left + i * size, left + (i + 1) * size);
    if (classes == free_classes) {
        memcpy(right, left, length * size);
        for (int64_t s = 0; s < size; s++) last[s] &= left[length * size + s];
    } else {  // a state that no edit reaches is out of the way; `last` is a superset as it is
        memcpy(right, left, size);
        for (int64_t i = 0; i < length - 1; i++)
            step_right(a, free_classes[i], right + i * size, right + (i + 1) * size);
    }
    for (int64_t i = length - 1; i >= 0; i--)
        step_left(a, classes[i], right + i * size, right + (i + 1) * size, right + i * size);
}

// Bits of the classes that each position may take in place of its own: [length, words].
void block_masks(
    const Automaton *a, int64_t length, const uint8_t *left, const uint8_t *right, int64_t words,
    uint32_t *masks) {
    const int64_t size = a->num_states;
    memset(masks, 0, length * words * sizeof *masks);
    for (int64_t i = 0; i < length; i++) {
        const uint8_t *from = left + i * size, *next = right + (i + 1) * size;
        uint32_t *mask = masks + i * words;
        for (int64_t s = 1; s < size; s++) {
            if (!from[s]) continue;
            for (int32_t e = a->starts[s]; e < a->starts[s + 1]; e++) {
                const uint32_t klass = a->classes[e];
                mask[klass >> 5] |= (uint32_t)next[a->targets[e]] << (klass & 31);
            }
        }
    }
}

// The class of each masked position that may take no other, MASKED elsewhere.
void block_forced(
    const Automaton *a, const int32_t *classes, int64_t length, const uint8_t *left,
    const uint8_t *right, int32_t *forced) {
    const int64_t size = a->num_states;
    for (int64_t i = 0; i < length; i++) {
        const uint8_t *from = left + i * size, *next = right + (i + 1) * size;
        int32_t only = MASKED, several = classes[i] != MASKED;
        for (int64_t s = 1; s < size && !several; s++) {
            if (!from[s]) continue;
            for (int32_t e = a->starts[s]; e < a->starts[s + 1] && !several; e++) {
                if (!next[a->targets[e]]) continue;
                several = only != MASKED && only != a->classes[e];
                only = a->classes[e];
            }
        }
        forced[i] = several ? MASKED : only;
    }
}

static int may_take(
    const Automaton *a, int32_t klass, const uint8_t *from, const uint8_t *next) {
    const int32_t *moves = a->moves + klass * a->num_states;
    for (int64_t s = 1; s < a->num_states; s++)
        if (from[s] && next[moves[s]]) return 1;
    return 0;
}

// Renews the sets on both sides of a position that has got a class, up to where nothing changes.
static void renew(
    const Automaton *a, const int32_t *classes, int64_t length, int64_t position, int was_masked,
    uint8_t *left, uint8_t *right, uint8_t *fresh) {
    const int64_t size = a->num_states;
    for (int64_t i = position; i < length; i++) {
        uint8_t *to = left + (i + 1) * size;
        step_right(a, classes[i], left + i * size, fresh);
        if (!memcmp(fresh, to, size)) break;
        memcpy(to, fresh, size);
    }
    for (int64_t i = position; i >= 0; i--) {
        uint8_t *to = right + i * size;
        // A token in place of a mask only removes states; one in place of another adds some too.
        step_left(a, classes[i], was_masked ? to : NULL, to + size, fresh);
        if (!memcmp(fresh, to, size)) break;
        memcpy(to, fresh, size);
    }
}

// Takes choices in their order, if they are possible with all that are taken; writes which are
// [count], the classes, and the sets. Returns 0 without memory.
int64_t block_accept(
    const Automaton *a, int32_t *classes, int64_t length, uint8_t *left, uint8_t *right,
    const int64_t *positions, const int32_t *chosen, int64_t count, uint8_t *accepted) {
    const int64_t size = a->num_states;
    uint8_t *fresh = malloc(size);
    if (!fresh) return 0;
    for (int64_t k = 0; k < count; k++) {
        const int64_t i = positions[k];
        accepted[k] = may_take(a, chosen[k], left + i * size, right + (i + 1) * size);
        if (!accepted[k] || classes[i] == chosen[k]) continue;
        const int was_masked = classes[i] == MASKED;
        classes[i] = chosen[k];
        renew(a, classes, length, i, was_masked, left, right, fresh);
    }
    free(fresh);
    return 1;
}
