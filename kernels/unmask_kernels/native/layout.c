// Lays the rows of a step out: one pass over the spans of its sequences.

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

// Fields of a span's bounds; see unmask.engine.schedule.span.
enum {
    START, END, HORIZON, SCORED_START, SCORED_END, OPEN_START, OPEN_END, ROW, OPENS_NEXT,
    WITHOUT_PROMPT, CAUSAL_END, NUM_BOUNDS,
};

enum { BLOCK_CAUSAL, FULL, CANVAS, CAUSAL_PREFIX, CAUSAL, CAUSAL_WINDOW, PROMPT_BLOCK };

typedef struct {
    const int64_t *bounds;       // [S, NUM_BOUNDS]
    const int64_t *block_len;    // [S]
    const int64_t *edits_from;   // [S] first position scored though it has a token
    const int64_t *num_unknown;  // [S] tokens of the open block that are on the device only
    const int64_t *tokens;       // [rows, token_stride]
    const uint8_t *masked;       // [rows, token_stride]
    const int64_t *pages;        // [rows, page_stride]
    int64_t num_spans, token_stride, page_stride, page_size, num_slots, dummy_slot, attention;
    int64_t shift;  // 1 if the row before a position has its logits
} Step;

typedef struct {
    uint8_t *is_known;                                                // [T]
    int64_t *token_ids, *positions, *slots, *horizons, *token_slots;  // [T]
    int64_t *query_starts, *page_starts;                              // [S + 1]
    int64_t *scored_starts;                                           // [B + 1]
    int64_t *pages;                                                   // [P]
    int64_t *scored_positions, *scored_spans, *scored_tokens;         // [M]
    int64_t *scored_slots, *hidden_rows;                              // [M]
} Rows;

static int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }

static int64_t larger(int64_t a, int64_t b) { return a > b ? a : b; }

// The compiler turns each of these loops into vector instructions.
static void fill(int64_t *restrict to, int64_t count, int64_t value) {
    for (int64_t i = 0; i < count; i++) to[i] = value;
}

static void count_from(int64_t *restrict to, int64_t count, int64_t first) {
    for (int64_t i = 0; i < count; i++) to[i] = first + i;
}

// Slots of the KV cache of positions [start, end), which are in the `pages` of their sequence.
static void page_slots(
    int64_t *to, int64_t start, int64_t end, const int64_t *pages, int64_t page_size) {
    for (int64_t from = start, until; from < end; from = until) {
        const int64_t page = from / page_size;
        until = smaller((page + 1) * page_size, end);
        count_from(to + from - start, until - from, pages[page] * page_size + from % page_size);
    }
}

// Positions [start, end) see the keys up to the end of their block, or the horizon. Blocks are
// counted from `origin` on; positions before it see up to there.
static void block_horizons(
    int64_t *to, int64_t start, int64_t end, int64_t block_len, int64_t origin, int64_t horizon) {
    for (int64_t from = start, until; from < end; from = until) {
        const int64_t block_end =
            from < origin ? origin : origin + ((from - origin) / block_len + 1) * block_len;
        until = smaller(block_end, end);
        fill(to + from - start, until - from, smaller(block_end, horizon));
    }
}

// Queries [start, end) see no key after them.
static void causal_horizons(int64_t *to, int64_t start, int64_t end) {
    count_from(to, end - start, start + 1);
}

// Slots [first, first + cycle) of positions [start, end), over and over.
static void cyclic_slots(
    int64_t *to, int64_t start, int64_t end, int64_t offset, int64_t cycle, int64_t first) {
    for (int64_t from = start, until; from < end; from = until, offset = 0) {
        until = smaller(from + cycle - offset, end);
        count_from(to + from - start, until - from, first + offset);
    }
}

// Puts positions [start, end) of a window in other rows, from `row` on: those with a token first,
// then masked ones. Returns the row of the first masked one. A window waits for its result, so
// every token is known.
static int64_t put_filled_first(
    const Rows *rows, int64_t row, const int64_t *tokens, const uint8_t *masked, int64_t start,
    int64_t end, int64_t cycle, int64_t first_slot) {
    int64_t next[2] = {row, row};  // of positions with a token, and of masked ones
    for (int64_t position = start; position < end; position++) next[1] += !masked[position];
    const int64_t first_masked = next[1];
    for (int64_t position = start; position < end; position++) {
        const int64_t to = next[masked[position] != 0]++;
        rows->positions[to] = position;
        rows->token_ids[to] = tokens[position];
        rows->token_slots[to] = first_slot + position % cycle;
    }
    return first_masked;
}

// Writes all rows; returns the number of scored positions M.
int64_t lay_out(const Step *step, const Rows *rows) {
    const int64_t page_size = step->page_size, num_slots = step->num_slots;
    int64_t row = 0, num_pages = 0, num_scored = 0, num_denoised = 0;
    rows->query_starts[0] = rows->page_starts[0] = rows->scored_starts[0] = 0;
    for (int64_t i = 0; i < step->num_spans; i++) {
        const int64_t *b = step->bounds + i * NUM_BOUNDS;
        const int64_t start = b[START], end = b[END], horizon = b[HORIZON], opened = b[OPEN_START];
        const int64_t *tokens = step->tokens + b[ROW] * step->token_stride;
        const uint8_t *masked = step->masked + b[ROW] * step->token_stride;
        const int64_t count = (horizon + page_size - 1) / page_size;
        const int64_t *pages =
            step->pages + b[ROW] * step->page_stride + (b[WITHOUT_PROMPT] ? count : 0);
        const int64_t block_len = step->block_len[i];
        memcpy(rows->pages + num_pages, pages, count * sizeof *pages);
        memcpy(rows->token_ids + row, tokens + start, (end - start) * sizeof *tokens);
        memset(rows->is_known + row, 1, end - start);
        fill(rows->token_slots + row, end - start, step->dummy_slot);
        count_from(rows->positions + row, end - start, start);
        page_slots(rows->slots + row, start, end, pages, page_size);
        if (step->attention == BLOCK_CAUSAL || step->attention == PROMPT_BLOCK) {
            const int64_t origin = step->attention == PROMPT_BLOCK ? b[CAUSAL_END] : 0;
            block_horizons(rows->horizons + row, start, end, block_len, origin, horizon);
        } else {
            fill(rows->horizons + row, end - start, horizon);
            if (step->attention == CAUSAL_WINDOW)
                causal_horizons(rows->horizons + row, start, end);
            else if (step->attention != FULL)
                causal_horizons(rows->horizons + row, start, smaller(b[CAUSAL_END], end));
        }
        // The next block, which begins as masks, is known.
        const int64_t known_from = b[OPENS_NEXT] ? b[SCORED_START]
            : opened + step->num_unknown[i];
        const int64_t first = row - start;
        // A block and the next ones have different slots, if there are as many.
        int64_t cycle = num_slots, offset = 0;
        if (step->attention != FULL && step->attention != CANVAS) {
            cycle = num_slots / block_len * block_len;
            offset = opened % cycle;
        }
        cyclic_slots(
            rows->token_slots + first + opened, opened, b[OPEN_END], offset, cycle,
            b[ROW] * num_slots);
        for (int64_t position = opened; position < smaller(known_from, b[OPEN_END]); position++)
            rows->is_known[first + position] = 0;
        const int64_t first_scored = num_scored;
        if (b[SCORED_END] > b[SCORED_START] && !b[WITHOUT_PROMPT]) {
            for (int64_t position = b[SCORED_START]; position < b[SCORED_END]; position++) {
                // Written in any case: a branch would be wrong half of the time.
                rows->scored_positions[num_scored] = position;
                rows->scored_spans[num_scored] = num_denoised;
                rows->scored_tokens[num_scored] = tokens[position];
                const int64_t slot = position - opened + offset;  // once around at most
                rows->scored_slots[num_scored] =
                    b[ROW] * num_slots + slot - (slot >= cycle ? cycle : 0);
                // A causal row has the logits of the next position.
                rows->hidden_rows[num_scored] =
                    first + position - (step->shift || b[CAUSAL_END] == end);
                num_scored += masked[position] || position >= step->edits_from[i];
            }
            rows->scored_starts[++num_denoised] = num_scored;
        }
        if (step->attention == CAUSAL_WINDOW) {
            const int64_t first_masked = put_filled_first(
                rows, first + opened, tokens, masked, opened, b[OPEN_END], cycle,
                b[ROW] * num_slots);
            count_from(rows->hidden_rows + first_scored, num_scored - first_scored, first_masked);
        }
        row += end - start;
        num_pages += count;
        rows->query_starts[i + 1] = row;
        rows->page_starts[i + 1] = num_pages;
    }
    return num_scored;
}

// Sizes of attention's tiles, see unmask_kernels.attention.tiles; keys are counted in multiples of
// `keys`.
typedef struct {
    int64_t tile_queries, chunk, grain, keys;
    int64_t lanes;  // items that run at once
    int64_t limit;  // most grains that are split off
    double late;    // a chunk that ends so many times later than the mean is split
} Tiles;

enum { FIRST_QUERY, NUM_QUERIES, FIRST_PAGE, LOW, HIGH, ALL_FROM, ALL_TO, SLOT, NUM_FIELDS };

// Item of the queries [query, end); 0 if they see more than one chunk of keys, or a window of none.
static int plan_tile(
    const Tiles *tiles, const int64_t *starts, const int64_t *horizons, int64_t query, int64_t end,
    int32_t *item) {
    const int64_t chunk = tiles->chunk, keys = tiles->keys;
    int64_t first = 0, all_from = 0, last = horizons[query], all_to = last;
    if (starts) first = all_from = starts[query];
    for (int64_t q = query + 1; q < end; q++) {
        last = larger(last, horizons[q]);
        all_to = smaller(all_to, horizons[q]);
        if (starts) {
            first = smaller(first, starts[q]);
            all_from = larger(all_from, starts[q]);
        }
    }
    const int64_t first_chunk = first / chunk;
    if ((last + chunk - 1) / chunk - first_chunk > 1) return 0;
    item[FIRST_QUERY] = query;
    item[NUM_QUERIES] = end - query;
    item[LOW] = larger(first / keys * keys, first_chunk * chunk);
    item[HIGH] = last;
    item[ALL_FROM] = (all_from + keys - 1) / keys * keys;
    item[ALL_TO] = all_to / keys * keys;
    item[SLOT] = -1;
    return item[HIGH] >= item[LOW];
}

// Sorts items by their number of keys, at most `chunk`: the longest first, others in their order.
static void sort_items(const int32_t *items, int64_t count, int64_t *places, int32_t *sorted) {
    for (int64_t i = 0; i < count; i++) {
        const int32_t *item = items + NUM_FIELDS * i;
        int64_t *place = places + item[HIGH] - item[LOW];
        memcpy(sorted + NUM_FIELDS * (*place)++, item, NUM_FIELDS * sizeof *item);
    }
}

// True if some of the items, the longest first, would end long after the mean and may be split.
static int has_late(const Tiles *tiles, const int32_t *items, int64_t count) {
    int64_t total = 0, before = 0, wave = 0;
    for (int64_t i = 0; i < count; i++)
        total += items[NUM_FIELDS * i + HIGH] - items[NUM_FIELDS * i + LOW];
    for (int64_t i = 0; i < count; i++) {
        const int64_t low = items[NUM_FIELDS * i + LOW], high = items[NUM_FIELDS * i + HIGH];
        const int64_t grains = (high + tiles->grain - 1) / tiles->grain - low / tiles->grain;
        if (i % tiles->lanes == 0) wave = before;
        before += high - low;
        const double begins = (double)wave / tiles->lanes;
        if (grains > 1 && begins + (high - low) > tiles->late * total / tiles->lanes)
            return grains <= tiles->limit;
    }
    return 0;
}

// Items [N, NUM_FIELDS] of all tiles, the longest first; returns N. -1 if a tile sees several chunks
// or shall be split, or without memory. `starts` [T] may be NULL: zeros.
int64_t plan_tiles(
    const Tiles *tiles, const int64_t *query_starts, int64_t num_sequences, const int64_t *starts,
    const int64_t *horizons, const int64_t *page_starts, int64_t most_items, int32_t *items) {
    const int64_t item_bytes = NUM_FIELDS * sizeof(int32_t);
    int64_t *places = calloc(1, (tiles->chunk + 2) * sizeof *places + most_items * item_bytes);
    if (!places) return -1;
    int32_t *unsorted = (int32_t *)(places + tiles->chunk + 2);
    int64_t count = 0;
    for (int64_t i = 0; i < num_sequences && count >= 0; i++) {
        for (int64_t query = query_starts[i], end; query < query_starts[i + 1]; query = end) {
            end = smaller(query + tiles->tile_queries, query_starts[i + 1]);
            int32_t *item = unsorted + NUM_FIELDS * count;
            if (!plan_tile(tiles, starts, horizons, query, end, item)) {
                count = -1;
                break;
            }
            item[FIRST_PAGE] = page_starts[i];
            places[item[HIGH] - item[LOW]]++;
            count++;
        }
    }
    if (count > 0) {
        int64_t place = 0;  // of the first item with so many keys
        for (int64_t length = tiles->chunk; length >= 0; length--) {
            const int64_t with_length = places[length];
            places[length] = place;
            place += with_length;
        }
        sort_items(unsorted, count, places, items);
        if (has_late(tiles, items, count)) count = -1;
    }
    free(places);
    return count;
}

// Ends of the runs of positions from `starts` on, before `limits`, in which nothing is masked.
void final_ends(
    const uint8_t *masked, int64_t stride, const int64_t *rows, int64_t num_rows, int64_t *starts,
    const int64_t *limits) {
    for (int64_t i = 0; i < num_rows; i++) {
        const uint8_t *own = masked + rows[i] * stride;
        while (starts[i] < limits[i] && !own[starts[i]]) starts[i]++;
    }
}
