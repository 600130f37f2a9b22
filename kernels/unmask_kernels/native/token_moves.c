// Moves of tokens: a token's bytes are a function from states to states, of which there are few.
// The vocabulary's trie is walked once; a node is the function of its bytes, and functions that are
// equal are one. Compositions with a byte are looked up, once they are known.

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    const int32_t *moves;      // [num_states, num_columns]; state 0 is dead
    const int32_t *column_of;  // [num_symbols]
    int64_t num_states, num_columns;
} Table;

// Nodes in depth-first order, without the root.
typedef struct {
    const int32_t *symbol, *depth;  // depth of the root's children is 0
    const int32_t *next;            // first node behind the node's descendants
    int64_t num_nodes, max_depth;
} Trie;

// Function f is the pairs [starts[f], starts[f + 1]): all states that it leaves alive.
typedef struct {
    int64_t num_functions, num_pairs;
    int64_t *starts;
    int32_t *sources, *targets;
    int32_t *after;  // [functions, num_columns] the function followed by a byte; UNKNOWN, DEAD
    int64_t *slots;  // hash table of functions, 0 is free
    int64_t num_slots, function_room, pair_room;
} Functions;

enum { DEAD = 0, UNKNOWN = -1 };

static uint64_t hash_pairs(const int32_t *sources, const int32_t *targets, int64_t count) {
    uint64_t hash = 0x9e3779b97f4a7c15u;
    for (int64_t i = 0; i < count; i++) {
        hash = (hash ^ ((uint64_t)(uint32_t)sources[i] << 32 | (uint32_t)targets[i]))
            * 0xff51afd7ed558ccdu;
        hash ^= hash >> 29;
    }
    return hash;
}

static int64_t *find_slot(const Functions *f, const int32_t *sources, const int32_t *targets,
    int64_t count) {
    uint64_t slot = hash_pairs(sources, targets, count) % f->num_slots;
    for (;; slot = (slot + 1) % f->num_slots) {
        const int64_t other = f->slots[slot];
        if (!other) return &f->slots[slot];
        const int64_t start = f->starts[other];
        if (f->starts[other + 1] - start == count
            && !memcmp(f->sources + start, sources, count * sizeof *sources)
            && !memcmp(f->targets + start, targets, count * sizeof *targets))
            return &f->slots[slot];
    }
}

static int grow(void **memory, int64_t size) {
    void *fresh = realloc(*memory, size);
    if (fresh) *memory = fresh;
    return fresh != NULL;
}

// Room for one more function of `count` pairs.
static int reserve(Functions *f, int64_t count, int64_t num_columns) {
    if (f->num_functions + 2 > f->function_room) {
        const int64_t room = f->function_room * 2 + 256;
        if (!grow((void **)&f->starts, (room + 1) * sizeof *f->starts)
            || !grow((void **)&f->after, room * num_columns * sizeof *f->after))
            return 0;
        free(f->slots);
        f->num_slots = 4 * room + 1;
        f->slots = calloc(f->num_slots, sizeof *f->slots);
        if (!f->slots) return 0;
        f->function_room = room;
        for (int64_t i = 1; i < f->num_functions; i++) {
            const int64_t start = f->starts[i];
            *find_slot(f, f->sources + start, f->targets + start, f->starts[i + 1] - start) = i;
        }
    }
    if (f->num_pairs + count > f->pair_room) {
        const int64_t room = f->pair_room * 2 + count;
        if (!grow((void **)&f->sources, room * sizeof *f->sources)
            || !grow((void **)&f->targets, room * sizeof *f->targets))
            return 0;
        f->pair_room = room;
    }
    return 1;
}

// The function of the `count` pairs behind the last function: an old one, or a new one of them.
static int32_t intern(Functions *f, int64_t count, int64_t num_columns) {
    if (!count) return DEAD;
    int64_t *slot = find_slot(f, f->sources + f->num_pairs, f->targets + f->num_pairs, count);
    if (*slot) return *slot;
    const int64_t fresh = *slot = f->num_functions++;
    f->num_pairs += count;
    f->starts[fresh + 1] = f->num_pairs;
    for (int64_t c = 0; c < num_columns; c++) f->after[fresh * num_columns + c] = UNKNOWN;
    return fresh;
}

static int32_t compose(Functions *f, const Table *table, int32_t function, int64_t column) {
    const int64_t start = f->starts[function], size = f->starts[function + 1] - start;
    if (!reserve(f, size, table->num_columns)) return UNKNOWN;
    const int32_t *targets = f->targets + start;
    int64_t count = 0;
    for (int64_t i = 0; i < size; i++) {
        const int32_t state = table->moves[targets[i] * table->num_columns + column];
        f->sources[f->num_pairs + count] = f->sources[start + i];
        f->targets[f->num_pairs + count] = state;
        count += state != 0;
    }
    const int32_t made = intern(f, count, table->num_columns);
    f->after[function * table->num_columns + column] = made;
    return made;
}

void free_token_moves(Functions *f) {
    free(f->starts);
    free(f->sources);
    free(f->targets);
    free(f->after);
    free(f->slots);
    memset(f, 0, sizeof *f);
}

enum { DONE, NO_MEMORY, TOO_LARGE };

// Writes the function of each node's bytes [num_nodes]. The memory of `f` is freed by
// free_token_moves, whatever this returns.
int64_t token_moves(
    const Table *table, const Trie *trie, int64_t most_pairs, int32_t *function_of, Functions *f) {
    memset(f, 0, sizeof *f);
    f->num_functions = 1;  // 0 is DEAD
    int32_t *path = malloc((trie->max_depth + 1) * sizeof *path);
    if (!path || !reserve(f, table->num_states, table->num_columns)) {
        free(path);
        return NO_MEMORY;
    }
    f->starts[0] = f->starts[1] = 0;
    for (int64_t s = 1; s < table->num_states; s++)
        f->sources[s - 1] = f->targets[s - 1] = s;
    path[0] = intern(f, table->num_states - 1, table->num_columns);
    int64_t status = DONE;
    memset(function_of, 0, trie->num_nodes * sizeof *function_of);
    for (int64_t node = 0; node < trie->num_nodes && status == DONE;) {
        const int32_t above = path[trie->depth[node]];
        const int64_t column = table->column_of[trie->symbol[node]];
        int32_t here = f->after[above * table->num_columns + column];
        if (here == UNKNOWN) {
            here = compose(f, table, above, column);
            if (here == UNKNOWN) status = NO_MEMORY;
            if (f->num_pairs > most_pairs) status = TOO_LARGE;
        }
        path[trie->depth[node] + 1] = function_of[node] = here;
        node = here == DEAD ? trie->next[node] : node + 1;
    }
    free(path);
    return status;
}
