// States behind tokens, and the likeliest text of a block; unmask.decoding.automata.paths has the
// reference.

#include "token_automata.h"

#include <math.h>
#include <stdlib.h>

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
// largest sum, to a state at most `room` tokens from an end; of equal ones the one over lower
// states, from the end on, and lower classes. Returns its last state, 0 if there is none, -1
// without memory.
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
