// Deterministic automaton of a nondeterministic one: sets of states that symbols lead to (subset
// construction). Symbols are columns, and moves go along sets of columns to closures: states with
// all that free moves add.

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    const int32_t *move_starts;                     // [N + 1] first move of a state
    const int32_t *move_sets, *move_closures;       // [M]
    const int32_t *set_starts, *set_columns;        // columns of each set
    const int32_t *closure_starts, *closure_states;  // states of each closure, sorted
    int64_t num_states, num_columns;
    int32_t start, end;  // the first closure, and the state that accepts
} Nfa;

// Subset i is states [starts[i], starts[i + 1]), sorted; moves are sorted by source and column.
typedef struct {
    int64_t num_subsets, num_moves;
    int32_t *sources, *columns, *targets;  // [num_moves]
    uint8_t *accepts;                      // [num_subsets]
    int64_t *starts;
    int32_t *states;
    int64_t *slots;  // hash table of subsets, 0 is free, i + 1 a subset
    int64_t num_slots, subset_room, state_room, move_room;
} Subsets;

// Moves of one subset: closures by column, as lists.
typedef struct {
    int32_t *heads;              // [num_columns] first entry, -1 for none
    int32_t *closures, *nexts;   // entries
    int64_t count, room;
    int32_t *seen;  // [N] number of the last set that has a state
    int32_t *states;  // [N] the set that is being joined
    int64_t visited;  // states of closures that were joined, all together
    int32_t epoch;
} Scratch;

enum { DONE, NO_MEMORY, TOO_LARGE };

static int grow(void **memory, int64_t size) {
    void *fresh = realloc(*memory, size);
    if (fresh) *memory = fresh;
    return fresh != NULL;
}

static uint64_t hash_states(const int32_t *states, int64_t count) {
    uint64_t hash = 0x9e3779b97f4a7c15u;
    for (int64_t i = 0; i < count; i++) {
        hash = (hash ^ (uint32_t)states[i]) * 0xff51afd7ed558ccdu;
        hash ^= hash >> 32;
    }
    return hash;
}

static int64_t *find_slot(const Subsets *d, const int32_t *states, int64_t count) {
    uint64_t slot = hash_states(states, count) % d->num_slots;
    for (;; slot = (slot + 1) % d->num_slots) {
        if (!d->slots[slot]) return &d->slots[slot];
        const int64_t other = d->slots[slot] - 1, start = d->starts[other];
        if (d->starts[other + 1] - start == count
            && (!count || !memcmp(d->states + start, states, count * sizeof *states)))
            return &d->slots[slot];
    }
}

static int reserve_subset(Subsets *d, int64_t count) {
    if (d->num_subsets + 1 > d->subset_room) {
        const int64_t room = 2 * d->subset_room + 256;
        if (!grow((void **)&d->starts, (room + 1) * sizeof *d->starts)
            || !grow((void **)&d->accepts, room))
            return 0;
        free(d->slots);
        d->num_slots = 4 * room + 1;
        d->slots = calloc(d->num_slots, sizeof *d->slots);
        if (!d->slots) return 0;
        d->subset_room = room;
        for (int64_t i = 0; i < d->num_subsets; i++) {
            const int64_t start = d->starts[i];
            *find_slot(d, d->states + start, d->starts[i + 1] - start) = i + 1;
        }
    }
    const int64_t used = d->num_subsets ? d->starts[d->num_subsets] : 0;
    if (used + count > d->state_room) {
        const int64_t room = 2 * d->state_room + count;
        if (!grow((void **)&d->states, room * sizeof *d->states)) return 0;
        d->state_room = room;
    }
    return 1;
}

// Number of a subset, an old or a new one; -1 without memory.
static int64_t intern(Subsets *d, const Nfa *nfa, const int32_t *states, int64_t count) {
    if (!reserve_subset(d, count)) return -1;
    int64_t *slot = find_slot(d, states, count);
    if (*slot) return *slot - 1;
    const int64_t fresh = d->num_subsets++;
    if (!fresh) d->starts[0] = 0;
    *slot = fresh + 1;
    if (count) memcpy(d->states + d->starts[fresh], states, count * sizeof *states);
    d->starts[fresh + 1] = d->starts[fresh] + count;
    d->accepts[fresh] = 0;
    for (int64_t i = 0; i < count; i++) d->accepts[fresh] |= states[i] == nfa->end;
    return fresh;
}

static int compare_states(const void *a, const void *b) {
    return (*(const int32_t *)a > *(const int32_t *)b) - (*(const int32_t *)a < *(const int32_t *)b);
}

// States of all closures of a list, sorted, in `scratch->states`.
static int64_t join_closures(const Nfa *nfa, Scratch *scratch, int32_t entry) {
    int64_t count = 0;
    scratch->epoch++;
    const int is_single = scratch->nexts[entry] < 0;
    for (; entry >= 0; entry = scratch->nexts[entry]) {
        const int32_t closure = scratch->closures[entry];
        scratch->visited += nfa->closure_starts[closure + 1] - nfa->closure_starts[closure];
        for (int32_t i = nfa->closure_starts[closure]; i < nfa->closure_starts[closure + 1]; i++) {
            const int32_t state = nfa->closure_states[i];
            if (scratch->seen[state] == scratch->epoch) continue;
            scratch->seen[state] = scratch->epoch;
            scratch->states[count++] = state;
        }
    }
    if (!is_single) qsort(scratch->states, count, sizeof *scratch->states, compare_states);
    return count;
}

static int are_alike(const Scratch *scratch, int32_t a, int32_t b) {
    for (; a >= 0 && b >= 0; a = scratch->nexts[a], b = scratch->nexts[b])
        if (scratch->closures[a] != scratch->closures[b]) return 0;
    return a == b;
}

// Lists the closures that each column leads to from a subset.
static int list_closures(const Nfa *nfa, const Subsets *d, int64_t subset, Scratch *scratch) {
    scratch->count = 0;
    for (int64_t c = 0; c < nfa->num_columns; c++) scratch->heads[c] = -1;
    for (int64_t i = d->starts[subset]; i < d->starts[subset + 1]; i++) {
        const int32_t state = d->states[i];
        for (int32_t m = nfa->move_starts[state]; m < nfa->move_starts[state + 1]; m++) {
            const int32_t set = nfa->move_sets[m], closure = nfa->move_closures[m];
            const int64_t room = scratch->count + nfa->num_columns;
            if (room > scratch->room) {
                if (!grow((void **)&scratch->closures, 2 * room * sizeof(int32_t))
                    || !grow((void **)&scratch->nexts, 2 * room * sizeof(int32_t)))
                    return 0;
                scratch->room = 2 * room;
            }
            for (int32_t j = nfa->set_starts[set]; j < nfa->set_starts[set + 1]; j++) {
                int32_t *head = &scratch->heads[nfa->set_columns[j]];
                scratch->closures[scratch->count] = closure;
                scratch->nexts[scratch->count] = *head;
                *head = scratch->count++;
            }
        }
    }
    return 1;
}

// Adds the moves of one subset; returns the number of entries, -1 without memory.
static int64_t add_moves(const Nfa *nfa, Subsets *d, int64_t subset, Scratch *scratch) {
    if (!list_closures(nfa, d, subset, scratch)) return -1;
    if (d->num_moves + nfa->num_columns > d->move_room) {
        const int64_t room = 2 * d->move_room + nfa->num_columns;
        if (!grow((void **)&d->sources, room * sizeof(int32_t))
            || !grow((void **)&d->columns, room * sizeof(int32_t))
            || !grow((void **)&d->targets, room * sizeof(int32_t)))
            return -1;
        d->move_room = room;
    }
    int32_t previous = -1;
    int64_t target = -1;
    for (int64_t c = 0; c < nfa->num_columns; c++) {
        const int32_t head = scratch->heads[c];
        if (head < 0) continue;
        if (previous < 0 || !are_alike(scratch, previous, head))
            target = intern(d, nfa, scratch->states, join_closures(nfa, scratch, head));
        if (target < 0) return -1;
        previous = head;
        d->sources[d->num_moves] = subset;
        d->columns[d->num_moves] = c;
        d->targets[d->num_moves++] = target;
    }
    return scratch->count;
}

void free_subsets(Subsets *d) {
    free(d->sources);
    free(d->columns);
    free(d->targets);
    free(d->accepts);
    free(d->starts);
    free(d->states);
    free(d->slots);
    memset(d, 0, sizeof *d);
}

// Finds all subsets, at most so many, with so many entries of lists together; four states of a
// closure take the time of an entry. The memory of `d` is freed by free_subsets, whatever this
// returns.
int64_t find_subsets(const Nfa *nfa, int64_t most_subsets, int64_t most_entries, Subsets *d) {
    memset(d, 0, sizeof *d);
    Scratch scratch = {0};
    scratch.heads = malloc((nfa->num_columns + 1) * sizeof(int32_t));
    scratch.seen = calloc(nfa->num_states, sizeof(int32_t));
    scratch.states = malloc(nfa->num_states * sizeof(int32_t));
    int64_t status = NO_MEMORY, entries = 0;
    if (scratch.heads && scratch.seen && scratch.states) {
        const int32_t first = nfa->closure_starts[nfa->start];
        const int64_t count = nfa->closure_starts[nfa->start + 1] - first;
        status = intern(d, nfa, nfa->closure_states + first, count) < 0 ? NO_MEMORY : DONE;
    }
    for (int64_t i = 0; status == DONE && i < d->num_subsets; i++) {
        const int64_t added = add_moves(nfa, d, i, &scratch);
        entries += added;
        if (added < 0) status = NO_MEMORY;
        else if (d->num_subsets > most_subsets || entries + scratch.visited / 4 > most_entries)
            status = TOO_LARGE;
    }
    free(scratch.heads);
    free(scratch.seen);
    free(scratch.states);
    free(scratch.closures);
    free(scratch.nexts);
    return status;
}
