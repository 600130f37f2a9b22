// Minimises a deterministic automaton: Valmari, "Fast brief practical DFA minimization" (2012),
// O(m log n). Moves that are missing are to a dead state.

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

// Sets of a partition lie side by side in `element`; the marked elements of a set come first.
typedef struct {
    int32_t num_sets;
    int32_t *element, *place, *set_of;  // [N] element at a place, place and set of an element
    int32_t *first, *past;              // [N] bounds of a set in `element`
} Partition;

typedef struct {
    int32_t *num_marked;  // [sets]
    int32_t *touched;     // sets with marks
    int32_t count;
} Marks;

static void start_partition(Partition *p, int32_t *memory, int32_t size) {
    p->num_sets = size > 0;
    p->element = memory;
    p->place = memory + size;
    p->set_of = memory + 2 * (int64_t)size;
    p->first = memory + 3 * (int64_t)size;
    p->past = memory + 4 * (int64_t)size;
    for (int32_t i = 0; i < size; i++) {
        p->element[i] = p->place[i] = i;
        p->set_of[i] = 0;
    }
    if (size) {
        p->first[0] = 0;
        p->past[0] = size;
    }
}

static void mark(Partition *p, Marks *marks, int32_t element) {
    const int32_t set = p->set_of[element], from = p->place[element];
    const int32_t to = p->first[set] + marks->num_marked[set];
    p->element[from] = p->element[to];
    p->place[p->element[from]] = from;
    p->element[to] = element;
    p->place[element] = to;
    if (!marks->num_marked[set]++) marks->touched[marks->count++] = set;
}

// Splits each touched set in marked and other elements; the smaller part gets a new number.
static void split(Partition *p, Marks *marks) {
    while (marks->count) {
        const int32_t set = marks->touched[--marks->count], fresh = p->num_sets;
        const int32_t middle = p->first[set] + marks->num_marked[set];
        if (middle == p->past[set]) {
            marks->num_marked[set] = 0;
            continue;
        }
        if (marks->num_marked[set] <= p->past[set] - middle) {
            p->first[fresh] = p->first[set];
            p->past[fresh] = p->first[set] = middle;
        } else {
            p->past[fresh] = p->past[set];
            p->first[fresh] = p->past[set] = middle;
        }
        for (int32_t i = p->first[fresh]; i < p->past[fresh]; i++) p->set_of[p->element[i]] = fresh;
        marks->num_marked[set] = marks->num_marked[fresh] = 0;
        p->num_sets++;
    }
}

// Writes the set of equivalent states of each state [num_states]; returns the number of sets, -1
// without memory. Moves are sorted by symbol; every state is alive: it leads to an accepting one.
int64_t minimize(
    int32_t num_states, int32_t num_moves, const int32_t *source, const int32_t *symbol,
    const int32_t *target, const uint8_t *accepts, int32_t *set_of) {
    const int64_t most = (num_states > num_moves ? num_states : num_moves) + 1;
    int32_t *memory = malloc(
        sizeof *memory * (5 * (int64_t)num_states + 6 * (int64_t)num_moves + num_states + 2 + 2 * most));
    if (!memory) return -1;
    Partition states, moves;
    Marks marks = {memory, memory + most, 0};
    start_partition(&states, memory + 2 * most, num_states);
    start_partition(&moves, states.element + 5 * (int64_t)num_states, num_moves);
    int32_t *into = moves.element + 5 * (int64_t)num_moves;  // [M] moves by target
    int32_t *starts = into + num_moves;                      // [N + 1] of a target's in `into`
    memset(marks.num_marked, 0, sizeof(int32_t) * most);
    for (int32_t s = 0; s < num_states; s++)
        if (accepts[s]) mark(&states, &marks, s);
    split(&states, &marks);
    moves.num_sets = 0;
    for (int32_t i = 0; i < num_moves; i++) {  // moves with one symbol are one set at first
        if (!i || symbol[i] != symbol[i - 1]) moves.first[moves.num_sets++] = i;
        moves.set_of[i] = moves.num_sets - 1;
        moves.past[moves.num_sets - 1] = i + 1;
    }
    memset(starts, 0, sizeof(int32_t) * (num_states + 2));
    for (int32_t i = 0; i < num_moves; i++) starts[target[i] + 2]++;
    for (int32_t s = 0; s < num_states; s++) starts[s + 2] += starts[s + 1];
    for (int32_t i = 0; i < num_moves; i++) into[starts[target[i] + 1]++] = i;
    for (int32_t done = 0, splitter = 1; done < moves.num_sets; done++) {
        for (int32_t i = moves.first[done]; i < moves.past[done]; i++)
            mark(&states, &marks, source[moves.element[i]]);
        split(&states, &marks);
        for (; splitter < states.num_sets; splitter++) {
            for (int32_t i = states.first[splitter]; i < states.past[splitter]; i++) {
                const int32_t state = states.element[i];
                for (int32_t j = starts[state]; j < starts[state + 1]; j++)
                    mark(&moves, &marks, into[j]);
            }
            split(&moves, &marks);
        }
    }
    memcpy(set_of, states.set_of, sizeof(int32_t) * num_states);
    const int64_t num_sets = states.num_sets;
    free(memory);
    return num_sets;
}

// Marks the states that lead to an accepting one, which are marked already. Returns 0 without memory.
int64_t mark_live(
    int32_t num_states, int32_t num_moves, const int32_t *source, const int32_t *target,
    uint8_t *is_live) {
    int32_t *memory = malloc(sizeof *memory * (2 * (int64_t)num_states + 2 + num_moves));
    if (!memory) return 0;
    int32_t *open = memory, *starts = open + num_states, *before = starts + num_states + 2;
    int32_t count = 0;
    memset(starts, 0, sizeof *starts * (num_states + 2));
    for (int32_t i = 0; i < num_moves; i++) starts[target[i] + 2]++;
    for (int32_t s = 0; s < num_states; s++) starts[s + 2] += starts[s + 1];
    for (int32_t i = 0; i < num_moves; i++) before[starts[target[i] + 1]++] = source[i];
    for (int32_t s = 0; s < num_states; s++)
        if (is_live[s]) open[count++] = s;
    while (count) {
        const int32_t state = open[--count];
        for (int32_t i = starts[state]; i < starts[state + 1]; i++)
            if (!is_live[before[i]]) {
                is_live[before[i]] = 1;
                open[count++] = before[i];
            }
    }
    free(memory);
    return 1;
}
