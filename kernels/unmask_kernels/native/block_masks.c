// Sets of states over a block of tokens, classes that its positions may take, and the ordered check
// of choices; unmask.decoding.automata.sets has their meaning and the reference. The likeliest text
// of a block; unmask.decoding.automata.paths has its reference.

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    const int32_t *starts;                       // [S + 1] first edge of a state
    const int32_t *targets, *classes;            // [E]
    const int32_t *into_starts, *into_sources;   // [S + 1], [E] edges by target
    const int32_t *class_starts;                 // [C + 1] first move of a class
    const int32_t *move_sources, *move_targets;  // [E] edges by class
    const int32_t *distance;                     // [S] fewest tokens to an end
    const uint32_t *leaving;  // [S, words] bits of the classes that lead on from a state
    int64_t num_states, num_words;
} Automaton;

enum { MASKED = -1 };

// Sets on the two sides of a mask: states that edges lead to from a set, or back to it. Sets beside
// masks that lie side by side are alike, so each comes from the one before by the states that it has
// more or less.
typedef struct {
    const int32_t *starts, *ends;  // edges of each state, in the direction of the walk
    int64_t num_states;
    int32_t *counts;  // [S] edges from the states `from` into each state
    uint8_t *from;    // [S]
    int is_begun;
} Walk;

static int start_walk(
    Walk *walk, int64_t num_states, const int32_t *starts, const int32_t *ends) {
    walk->starts = starts;
    walk->ends = ends;
    walk->num_states = num_states;
    walk->counts = malloc(num_states * (sizeof *walk->counts + 1));
    walk->from = (uint8_t *)(walk->counts + num_states);
    walk->is_begun = 0;
    return walk->counts != NULL;
}

static void count_edges(Walk *walk, int64_t state, uint8_t is_in) {
    if (walk->from[state] == is_in) return;
    walk->from[state] = is_in;
    const int32_t change = is_in ? 1 : -1;
    for (int32_t e = walk->starts[state]; e < walk->starts[state + 1]; e++)
        walk->counts[walk->ends[e]] += change;
}

static void walk_over_mask(Walk *walk, const uint8_t *from, uint8_t *to) {
    const int64_t size = walk->num_states;
    if (!walk->is_begun) {
        memset(walk->counts, 0, size * (sizeof *walk->counts + 1));
        walk->is_begun = 1;
    }
    int64_t s = 0;
    for (; s + 8 <= size; s += 8) {
        if (!memcmp(from + s, walk->from + s, 8)) continue;
        for (int64_t i = s; i < s + 8; i++) count_edges(walk, i, from[i]);
    }
    for (; s < size; s++) count_edges(walk, s, from[s]);
    for (int64_t t = 0; t < size; t++) to[t] = walk->counts[t] > 0;
}

// States after a token of a class, or after any token, from the states `from`.
static void step_right(
    const Automaton *a, Walk *walk, int32_t klass, const uint8_t *from, uint8_t *to) {
    if (klass == MASKED) {
        walk_over_mask(walk, from, to);
        return;
    }
    memset(to, 0, a->num_states);
    for (int32_t m = a->class_starts[klass]; m < a->class_starts[klass + 1]; m++)
        to[a->move_targets[m]] |= from[a->move_sources[m]];
    walk->is_begun = 0;
}

// States of `among`, of all if NULL, that such a token leads to a state of `next`.
static void step_left(
    const Automaton *a, Walk *walk, int32_t klass, const uint8_t *among, const uint8_t *next,
    uint8_t *to) {
    if (klass == MASKED) {
        walk_over_mask(walk, next, to);
    } else {
        memset(to, 0, a->num_states);
        for (int32_t m = a->class_starts[klass]; m < a->class_starts[klass + 1]; m++)
            to[a->move_sources[m]] |= next[a->move_targets[m]];
        walk->is_begun = 0;
    }
    if (among)
        for (int64_t s = 0; s < a->num_states; s++) to[s] &= among[s];
}

// Walks to the right and to the left, and memory for a set.
typedef struct {
    Walk right, left;
    uint8_t *fresh;  // [S]
} Walks;

static int start_walks(const Automaton *a, Walks *walks) {
    const int64_t size = a->num_states;
    const int has_memory = start_walk(&walks->right, size, a->starts, a->targets)
        & start_walk(&walks->left, size, a->into_starts, a->into_sources);
    walks->fresh = malloc(size);
    return has_memory && walks->fresh;
}

static void end_walks(Walks *walks) {
    free(walks->right.counts);
    free(walks->left.counts);
    free(walks->fresh);
}

// Fills left and right [length + 1, S] from left[0]; `room` tokens may follow the block. Positions
// that may be edited are masked in `free_classes`; it is `classes` if there are none. Returns 0
// without memory.
int64_t block_sets(
    const Automaton *a, const int32_t *classes, const int32_t *free_classes, int64_t length,
    int64_t room, uint8_t *left, uint8_t *right) {
    const int64_t size = a->num_states;
    Walks walks;
    const int has_memory = start_walks(a, &walks);
    if (has_memory) {
        for (int64_t i = 0; i < length; i++)
            step_right(a, &walks.right, classes[i], left + i * size, left + (i + 1) * size);
        if (classes == free_classes) {
            memcpy(right, left, (length + 1) * size);
        } else {  // all states that edits may reach
            walks.right.is_begun = 0;
            memcpy(right, left, size);
            for (int64_t i = 0; i < length; i++)
                step_right(
                    a, &walks.right, free_classes[i], right + i * size, right + (i + 1) * size);
        }
        int64_t i = length;
        for (;; i--) {  // masks before the block's end are as good as room behind it
            uint8_t *here = right + i * size;
            for (int64_t s = 0; s < size; s++) here[s] &= a->distance[s] <= room + length - i;
            if (!i || classes[i - 1] != MASKED) break;
        }
        for (i--; i >= 0; i--) {
            uint8_t *here = right + i * size;
            step_left(a, &walks.left, classes[i], here, here + size, walks.fresh);
            memcpy(here, walks.fresh, size);
        }
    }
    end_walks(&walks);
    return has_memory;
}

// Adds the classes of one state's edges into `next`, unless the mask has them all already.
static void add_classes(const Automaton *a, int64_t state, const uint8_t *next, uint32_t *mask) {
    const uint32_t *leaving = a->leaving + state * a->num_words;
    uint32_t missing = 0;
    for (int64_t w = 0; w < a->num_words; w++) missing |= leaving[w] & ~mask[w];
    if (!missing) return;
    for (int32_t e = a->starts[state]; e < a->starts[state + 1]; e++) {
        const uint32_t klass = a->classes[e];
        mask[klass >> 5] |= (uint32_t)next[a->targets[e]] << (klass & 31);
    }
}

// Bits of the classes that each position may take in place of its own: [length, words].
void block_masks(
    const Automaton *a, int64_t length, const uint8_t *left, const uint8_t *right,
    uint32_t *masks) {
    const int64_t size = a->num_states;
    memset(masks, 0, length * a->num_words * sizeof *masks);
    for (int64_t i = 0; i < length; i++) {
        const uint8_t *from = left + i * size, *next = right + (i + 1) * size;
        uint32_t *mask = masks + i * a->num_words;
        if (i && !memcmp(from, from - size, size) && !memcmp(next, next - size, size)) {
            memcpy(mask, mask - a->num_words, a->num_words * sizeof *mask);
            continue;
        }
        for (int64_t s = 1; s < size; s++)
            if (from[s]) add_classes(a, s, next, mask);
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
    for (int32_t m = a->class_starts[klass]; m < a->class_starts[klass + 1]; m++)
        if (from[a->move_sources[m]] && next[a->move_targets[m]]) return 1;
    return 0;
}

// Renews the sets on both sides of a position that has got a class, up to where nothing changes;
// returns the number of sets that it computed.
static int64_t renew(
    const Automaton *a, Walks *walks, const int32_t *classes, int64_t length, int64_t position,
    int was_masked, uint8_t *left, uint8_t *right) {
    const int64_t size = a->num_states;
    int64_t count = 0;
    walks->right.is_begun = walks->left.is_begun = 0;
    for (int64_t i = position; i < length; i++) {
        uint8_t *to = left + (i + 1) * size;
        count++;
        step_right(a, &walks->right, classes[i], left + i * size, walks->fresh);
        if (!memcmp(walks->fresh, to, size)) break;
        memcpy(to, walks->fresh, size);
    }
    for (int64_t i = position; i >= 0; i--) {
        uint8_t *to = right + i * size;
        count++;
        // A token in place of a mask only removes states; one in place of another adds some too.
        step_left(
            a, &walks->left, classes[i], was_masked ? to : NULL, to + size, walks->fresh);
        if (!memcmp(walks->fresh, to, size)) break;
        memcpy(to, walks->fresh, size);
    }
    return count;
}

// Takes choices in their order, if they are possible with all that are taken; writes which are
// [count], the classes, and the sets. None is taken after `most_sets` sets were renewed. Returns 0
// without memory.
int64_t block_accept(
    const Automaton *a, int32_t *classes, int64_t length, uint8_t *left, uint8_t *right,
    const int64_t *positions, const int32_t *chosen, int64_t count, int64_t most_sets,
    uint8_t *accepted) {
    const int64_t size = a->num_states;
    int64_t num_sets = 0;
    Walks walks;
    const int has_memory = start_walks(a, &walks);
    for (int64_t k = 0; k < count && has_memory; k++) {
        const int64_t i = positions[k];
        accepted[k] = num_sets < most_sets
            && may_take(a, chosen[k], left + i * size, right + (i + 1) * size);
        if (!accepted[k] || classes[i] == chosen[k]) continue;
        const int was_masked = classes[i] == MASKED;
        classes[i] = chosen[k];
        num_sets += renew(a, &walks, classes, length, i, was_masked, left, right);
    }
    end_walks(&walks);
    return has_memory;
}

// State that tokens of classes [length] lead to; 0 if there is none.
int32_t end_state(const Automaton *a, const int32_t *classes, int64_t length, int32_t state) {
    for (int64_t i = 0; i < length && state; i++) {
        int32_t low = a->class_starts[classes[i]], past = a->class_starts[classes[i] + 1];
        const int32_t end = past;
        while (low < past) {  // sources are sorted
            const int32_t middle = low + (past - low) / 2;
            if (a->move_sources[middle] < state) low = middle + 1;
            else past = middle;
        }
        state = low < end && a->move_sources[low] == state ? a->move_targets[low] : 0;
    }
    return state;
}

// Classes of the path of `length` edges from `state` whose scores [length, num_classes] have the
// largest sum, to a state at most `room` tokens from an end; of equal ones the one over lower states,
// from the end on, and lower classes. Returns its last state, 0 if there is none, -1 without memory.
int32_t best_path(
    const Automaton *a, int32_t state, int64_t room, const float *scores, int64_t length,
    int64_t num_classes, int32_t *found) {
    const int64_t size = a->num_states;
    double *sums = malloc(2 * size * sizeof *sums), *next = sums + size;
    int32_t *edges = malloc(length * size * sizeof *edges);  // the best one into each state
    int32_t last = sums && edges ? 0 : -1;
    for (int64_t s = 0; s < size && !last; s++) sums[s] = s == state ? 0.0 : -INFINITY;
    double *here = sums;
    for (int64_t i = 0; i < length && !last; i++) {
        const float *own = scores + i * num_classes;
        int32_t *into = edges + i * size;
        for (int64_t t = 0; t < size; t++) next[t] = -INFINITY;
        for (int64_t s = 0; s < size; s++) {
            if (here[s] == -INFINITY) continue;
            for (int32_t e = a->starts[s]; e < a->starts[s + 1]; e++) {
                const double sum = here[s] + own[a->classes[e]];
                if (sum <= next[a->targets[e]]) continue;
                next[a->targets[e]] = sum;
                into[a->targets[e]] = e;
            }
        }
        double *const old = here;
        here = next;
        next = old;
    }
    double most = -INFINITY;
    for (int64_t s = 1; s < size && last >= 0; s++)
        if (a->distance[s] <= room && here[s] > most) {
            most = here[s];
            last = s;
        }
    for (int64_t i = length - 1, at = last; i >= 0 && last > 0; i--) {
        const int32_t edge = edges[i * size + at];
        found[i] = a->classes[edge];
        int32_t low = 0, past = size;  // the edge's source
        while (past - low > 1) {
            const int32_t middle = low + (past - low) / 2;
            if (a->starts[middle] <= edge) low = middle;
            else past = middle;
        }
        at = low;
    }
    free(sums);
    free(edges);
    return last;
}
