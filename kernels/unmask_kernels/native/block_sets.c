// Sets of states over a block of tokens, and the ordered check of choices;
// unmask.decoding.automata.sets has their meaning and the reference.

#include "token_automata.h"

#include <stdlib.h>
#include <string.h>

// Sets on the two sides of a mask: states that edges lead to from a set, or back to it. Sets beside
// masks that lie side by side are alike, so each comes from the one before by the states that it
// has more or less.
typedef struct {
    const int32_t *starts, *ends;  // states beside each state, in the direction of the walk
    int32_t *counts;               // [S] states of `from` beside each state
    uint64_t *from, *to;           // the last set, and those with a count
    int is_begun;
} Walk;

static void count_edges(Walk *walk, int64_t state, int is_in) {
    for (int32_t e = walk->starts[state]; e < walk->starts[state + 1]; e++) {
        const int32_t end = walk->ends[e];
        if (is_in ? !walk->counts[end]++ : !--walk->counts[end])
            walk->to[end >> 6] ^= 1ull << (end & 63);
    }
}

static void walk_over_mask(Walk *walk, const Automaton *a, const uint64_t *from, uint64_t *to) {
    const int64_t num_words = set_words(a);
    if (!walk->is_begun) {
        memset(walk->counts, 0, a->num_states * sizeof *walk->counts);
        memset(walk->from, 0, num_words * sizeof *walk->from);
        memset(walk->to, 0, num_words * sizeof *walk->to);
        walk->is_begun = 1;
    }
    for (int64_t w = 0; w < num_words; w++)
        for (uint64_t change = from[w] ^ walk->from[w]; change; change &= change - 1) {
            const int bit = __builtin_ctzll(change);
            count_edges(walk, w * 64 + bit, from[w] >> bit & 1);
        }
    memcpy(walk->from, from, num_words * sizeof *from);
    memcpy(to, walk->to, num_words * sizeof *to);
}

// Walks to the right and to the left, and memory for sets.
typedef struct {
    Walk right, left;
    uint64_t *fresh, *among;  // a set
    uint64_t *old_left;       // the block's
    int32_t *old_classes;
} Walks;

static int start_walks(const Block *block, Walks *walks) {
    const Automaton *a = block->automaton;
    const int64_t num_words = set_words(a), num_sets = 7 + block->length;
    const size_t sets = num_sets * num_words * sizeof(uint64_t);
    uint64_t *memory = malloc(sets + (2 * a->num_states + block->length) * sizeof(int32_t));
    if (!memory) return 0;
    int32_t *counts = (int32_t *)((char *)memory + sets);
    walks->right = (Walk){a->next_starts, a->next_states, counts, memory, memory + num_words, 0};
    walks->left = (Walk){a->before_starts, a->before_states, counts + a->num_states,
                         memory + 2 * num_words, memory + 3 * num_words, 0};
    walks->fresh = memory + 4 * num_words;
    walks->among = memory + 5 * num_words;
    walks->old_left = memory + 6 * num_words;
    walks->old_classes = counts + 2 * a->num_states;
    return 1;
}

static void end_walks(Walks *walks) { free(walks->right.from); }

// First of the moves [low, past) whose source is `state` or a later one; past if there is none.
static int32_t find_move(const Automaton *a, int32_t low, int32_t past, int64_t state) {
    while (low < past) {
        const int32_t middle = low + (past - low) / 2;
        if (a->move_sources[middle] < state) low = middle + 1;
        else past = middle;
    }
    return low;
}

// True if it takes less time to look up the states of a set than to go through a class's moves.
static int is_small(const uint64_t *set, int64_t num_words, int64_t num_moves) {
    return num_moves > 16 && count_states(set, num_words) * 16 < num_moves;
}

// States after a token of a class, or after any token, from the states `from`.
static void step_right(
    const Automaton *a, Walk *walk, int32_t klass, const uint64_t *from, uint64_t *to) {
    if (klass == MASKED) {
        walk_over_mask(walk, a, from, to);
        return;
    }
    const int64_t num_words = set_words(a);
    const int32_t first = a->class_starts[klass], past = a->class_starts[klass + 1];
    memset(to, 0, num_words * sizeof *to);
    walk->is_begun = 0;
    if (is_small(from, num_words, past - first)) {
        EACH_STATE(from, num_words, state) {
            const int32_t m = find_move(a, first, past, state);
            if (m < past && a->move_sources[m] == (int64_t)state) add_state(to, a->move_targets[m]);
        }
        return;
    }
    for (int32_t m = first; m < past; m++)
        if (has_state(from, a->move_sources[m])) add_state(to, a->move_targets[m]);
}

// States of `among`, of all if NULL, that such a token leads to a state of `next`.
static void step_left(
    const Automaton *a, Walk *walk, int32_t klass, const uint64_t *among, const uint64_t *next,
    uint64_t *to) {
    const int64_t num_words = set_words(a);
    if (klass == MASKED) {
        walk_over_mask(walk, a, next, to);
    } else {
        const int32_t first = a->class_starts[klass], past = a->class_starts[klass + 1];
        memset(to, 0, num_words * sizeof *to);
        walk->is_begun = 0;
        if (among && is_small(among, num_words, past - first)) {
            EACH_STATE(among, num_words, state) {
                const int32_t m = find_move(a, first, past, state);
                if (m < past && a->move_sources[m] == (int64_t)state
                    && has_state(next, a->move_targets[m]))
                    add_state(to, state);
            }
            return;
        }
        for (int32_t m = first; m < past; m++)
            if (has_state(next, a->move_targets[m])) add_state(to, a->move_sources[m]);
    }
    if (among)
        for (int64_t w = 0; w < num_words; w++) to[w] &= among[w];
}

// Keeps states that end within so many tokens.
static void keep_near(const Automaton *a, int64_t most, uint64_t *set) {
    if (most >= a->farthest) return;
    EACH_STATE(set, set_words(a), state) {
        if (a->distance[state] > most) set[state >> 6] ^= 1ull << (state & 63);
    }
}

// Fills both sets from left[0]; `room` tokens may follow. `free_classes` are masks where tokens may
// be edited, and the block's own classes without edits.
static void fill_sets(Block *block, Walks *walks, const int32_t *free_classes, int64_t room) {
    const Automaton *a = block->automaton;
    const int64_t size = set_words(a), length = block->length;
    const int32_t *classes = block->classes;
    uint64_t *left = block->left, *right = block->right;
    for (int64_t i = 0; i < length; i++)
        step_right(a, &walks->right, classes[i], left + i * size, left + (i + 1) * size);
    memcpy(right, left, (block->has_edits ? 1 : length + 1) * size * sizeof *right);
    walks->right.is_begun = 0;
    for (int64_t i = 0; i < length && block->has_edits; i++)  // all states that edits may reach
        step_right(a, &walks->right, free_classes[i], right + i * size, right + (i + 1) * size);
    int64_t i = length;
    for (;; i--) {  // masks before the block's end are as good as room behind it
        keep_near(a, room + length - i, right + i * size);
        if (!i || classes[i - 1] != MASKED) break;
    }
    for (i--; i >= 0; i--) {
        uint64_t *here = right + i * size;
        step_left(a, &walks->left, classes[i], here, here + size, walks->fresh);
        memcpy(here, walks->fresh, size * sizeof *here);
    }
}

// Bytes of a block.
int64_t block_bytes(const Automaton *a, int64_t length) {
    const int64_t sets = 2 * (length + 1) * set_words(a) * sizeof(uint64_t);
    return sizeof(Block) + sets + length * sizeof(int32_t);
}

// Writes a block of `classes` [length], of which those with `editable` [length] may be replaced;
// NULL if none may. Returns whether an answer has its tokens, `room` more behind them at most.
int64_t open_block(
    Block *block, const Automaton *a, int32_t state, const int32_t *classes,
    const uint8_t *editable, int64_t length, int64_t room) {
    const int64_t size = set_words(a);
    uint64_t *left = (uint64_t *)(block + 1), *right = left + (length + 1) * size;
    int32_t *own = (int32_t *)(right + (length + 1) * size);
    *block = (Block){a, length, 0, left, right, own};
    memcpy(own, classes, length * sizeof *own);
    memset(left, 0, size * sizeof *left);
    add_state(left, state);
    Walks walks;
    if (!start_walks(block, &walks)) return NO_MEMORY;
    for (int64_t i = 0; editable && i < length; i++) {
        block->has_edits |= editable[i];
        walks.old_classes[i] = editable[i] ? MASKED : classes[i];
    }
    fill_sets(block, &walks, walks.old_classes, room);
    end_walks(&walks);
    return have_common(left, right, size) ? POSSIBLE : IMPOSSIBLE;
}

static int may_take(
    const Automaton *a, int32_t klass, const uint64_t *from, const uint64_t *next) {
    const int32_t first = a->class_starts[klass], past = a->class_starts[klass + 1];
    for (int32_t m = first; m < past; m++)
        if (has_state(from, a->move_sources[m]) && has_state(next, a->move_targets[m])) return 1;
    return 0;
}

// States at a position, of which tokens in place of masks only remove some.
static const uint64_t *states_left(const Block *block, Walks *walks, int64_t position) {
    const int64_t size = set_words(block->automaton);
    const uint64_t *left = block->left + position * size, *right = block->right + position * size;
    if (block->has_edits) return right;
    for (int64_t w = 0; w < size; w++) walks->among[w] = left[w] & right[w];
    return walks->among;
}

// Renews the sets on both sides of a position that has got a class, up to where nothing changes;
// returns the number of sets that it computed.
static int64_t renew(Block *block, Walks *walks, int64_t position, int was_masked) {
    const Automaton *a = block->automaton;
    const int64_t size = set_words(a), bytes = size * sizeof(uint64_t);
    int64_t count = 0;
    walks->right.is_begun = walks->left.is_begun = 0;
    for (int64_t i = position; i < block->length; i++) {
        uint64_t *to = block->left + (i + 1) * size;
        count++;
        step_right(a, &walks->right, block->classes[i], to - size, walks->fresh);
        if (!memcmp(walks->fresh, to, bytes)) break;
        memcpy(to, walks->fresh, bytes);
    }
    for (int64_t i = position; i >= 0; i--) {
        uint64_t *to = block->right + i * size;
        count++;
        // A token in place of a mask only removes states; one in place of another adds some too.
        const uint64_t *among = was_masked ? states_left(block, walks, i) : NULL;
        step_left(a, &walks->left, block->classes[i], among, to + size, walks->fresh);
        if (!memcmp(walks->fresh, to, bytes)) break;
        memcpy(to, walks->fresh, bytes);
    }
    return count;
}

// Renews the sets after choices in place of masks [first, last]; returns 0, and changes nothing, if
// no answer has them all.
static int renew_all(Block *block, Walks *walks, int64_t first, int64_t last) {
    const Automaton *a = block->automaton;
    const int64_t size = set_words(a), bytes = size * sizeof(uint64_t);
    const int32_t *classes = block->classes, *old = walks->old_classes;
    memcpy(walks->old_left, block->left, (block->length + 1) * bytes);
    walks->right.is_begun = walks->left.is_begun = 0;
    int changes = 0;
    for (int64_t i = first; i < block->length && (changes || i <= last); i++) {
        if (!changes && classes[i] == old[i]) continue;
        uint64_t *to = block->left + (i + 1) * size;
        step_right(a, &walks->right, classes[i], to - size, walks->fresh);
        if (!have_common(walks->fresh, block->right + (i + 1) * size, size)) {
            memcpy(block->left, walks->old_left, (block->length + 1) * bytes);
            return 0;
        }
        changes = memcmp(walks->fresh, to, bytes) != 0;
        memcpy(to, walks->fresh, bytes);
    }
    changes = 0;
    for (int64_t i = last; i >= 0 && (changes || i >= first); i--) {
        if (!changes && classes[i] == old[i]) continue;
        uint64_t *to = block->right + i * size;
        const uint64_t *among = states_left(block, walks, i);
        step_left(a, &walks->left, classes[i], among, to + size, walks->fresh);
        changes = memcmp(walks->fresh, to, bytes) != 0;
        memcpy(to, walks->fresh, bytes);
    }
    return 1;
}

// Takes choices in place of masks, all at once; returns 0, and changes nothing, if no answer has
// them all or there are others.
static int take_all(
    Block *block, Walks *walks, const int64_t *positions, const int32_t *chosen, int64_t count) {
    const int64_t bytes = block->length * sizeof *block->classes;
    int64_t first = block->length, last = -1;
    int is_taken = 1;
    memcpy(walks->old_classes, block->classes, bytes);
    for (int64_t k = 0; k < count && is_taken; k++) {
        int32_t *klass = block->classes + positions[k];
        if (*klass == chosen[k]) continue;
        is_taken = *klass == MASKED;
        *klass = chosen[k];
        if (positions[k] < first) first = positions[k];
        if (positions[k] > last) last = positions[k];
    }
    is_taken = is_taken && renew_all(block, walks, first, last);
    if (!is_taken) memcpy(block->classes, walks->old_classes, bytes);
    return is_taken;
}

// Takes choices [count] in their order, if they are possible with all that are taken; writes which
// are. None is taken after `most_sets` sets were renewed. Choices that are possible together are
// taken at once, as all sets are smaller with them than with some of them.
static void take_choices(
    Block *block, Walks *walks, const int64_t *positions, const int32_t *chosen, int64_t count,
    int64_t most_sets, uint8_t *accepted) {
    const Automaton *a = block->automaton;
    const int64_t size = set_words(a);
    int64_t num_sets = 0;
    const int is_quick = count > 1 && most_sets / count > block->length;
    if (is_quick && take_all(block, walks, positions, chosen, count)) {
        memset(accepted, 1, count);
        return;
    }
    for (int64_t k = 0; k < count; k++) {
        const int64_t i = positions[k];
        const uint64_t *from = block->left + i * size, *next = block->right + (i + 1) * size;
        accepted[k] = num_sets < most_sets && may_take(a, chosen[k], from, next);
        if (!accepted[k] || block->classes[i] == chosen[k]) continue;
        const int was_masked = block->classes[i] == MASKED;
        block->classes[i] = chosen[k];
        num_sets += renew(block, walks, i, was_masked);
    }
}

// Takes choices of all parts, the rows of each in their order; writes ones where they are taken, and
// nothing in rows of no part. At most `most_work` states of a block are visited. Returns 0 without
// memory.
int64_t accept_choices(
    const Part *parts, int64_t num_parts, const int64_t *positions, const int64_t *tokens,
    int64_t most_work, uint8_t *accepted) {
    for (const Part *part = parts; part < parts + num_parts; part++) {
        Block *block = part->block;
        const int64_t rows = part->past - part->first;
        const int64_t most = most_work / block->automaton->num_states;
        if (rows <= 0) continue;
        Walks walks;
        int64_t count = 0, *own = malloc(rows * (2 * sizeof(int64_t) + sizeof(int32_t) + 1));
        if (!own || !start_walks(block, &walks)) {
            free(own);
            return 0;
        }
        int64_t *places = own + rows;
        int32_t *chosen = (int32_t *)(places + rows);
        uint8_t *is_taken = (uint8_t *)(chosen + rows);
        for (int64_t row = part->first; row < part->past; row++) {
            const int64_t i = positions[row] - part->start;
            if (i < 0 || i >= block->length) continue;
            own[count] = i;
            places[count] = row;
            chosen[count++] = block->automaton->class_of[tokens[row]];
        }
        take_choices(block, &walks, own, chosen, count, most > 1 ? most : 1, is_taken);
        for (int64_t k = 0; k < count; k++) accepted[places[k]] = is_taken[k];
        end_walks(&walks);
        free(own);
    }
    return 1;
}

