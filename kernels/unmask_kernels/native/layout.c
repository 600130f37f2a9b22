// Lays the rows of a step out: one pass over the spans of its sequences.

#include <stdint.h>

// Fields of a span's bounds; see unmask.engine.schedule.span.
enum {
    START, END, HORIZON, SCORED_START, SCORED_END, OPEN_START, OPEN_END, ROW, OPENS_NEXT,
    WITHOUT_PROMPT, NUM_BOUNDS,
};

enum { BLOCK_CAUSAL, FULL, CANVAS };

typedef struct {
    const int64_t *bounds;       // [S, NUM_BOUNDS]
    const int64_t *block_len;    // [S]
    const int64_t *edits_from;   // [S] first position that may be edited; past the end for none
    const uint8_t *in_flight;    // [S] 1 if the tokens of the open block are on the device
    const int64_t *tokens;       // [rows, token_stride]
    const uint8_t *masked;       // [rows, token_stride]
    const int64_t *pages;        // [rows, page_stride]
    int64_t num_spans, token_stride, page_stride, page_size, num_slots, dummy_slot, attention;
} Step;

typedef struct {
    uint8_t *is_known;                                                // [T]
    int64_t *token_ids, *positions, *slots, *horizons, *token_slots;  // [T]
    int64_t *query_starts, *page_starts;                              // [S + 1]
    int64_t *scored_starts;                                           // [B + 1]
    int64_t *pages;                                                   // [P]
    int64_t *scored_positions, *scored_rows, *scored_spans;           // [M]
} Rows;

static int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }

// Writes all rows; returns the number of scored positions M.
int64_t lay_out(const Step *step, const Rows *rows) {
    int64_t row = 0, num_pages = 0, num_scored = 0, num_denoised = 0;
    rows->query_starts[0] = rows->page_starts[0] = rows->scored_starts[0] = 0;
    for (int64_t i = 0; i < step->num_spans; i++) {
        const int64_t *b = step->bounds + i * NUM_BOUNDS;
        const int64_t *tokens = step->tokens + b[ROW] * step->token_stride;
        const uint8_t *masked = step->masked + b[ROW] * step->token_stride;
        const int64_t count = (b[HORIZON] + step->page_size - 1) / step->page_size;
        const int64_t *pages =
            step->pages + b[ROW] * step->page_stride + (b[WITHOUT_PROMPT] ? count : 0);
        const int64_t block_len = step->block_len[i];
        int64_t block_end = (b[START] / block_len + 1) * block_len;
        int64_t page = b[START] / step->page_size, offset = b[START] % step->page_size;
        for (int64_t p = 0; p < count; p++) rows->pages[num_pages + p] = pages[p];
        for (int64_t position = b[START], r = row; position < b[END]; position++, r++) {
            if (position == block_end) block_end += block_len;
            if (offset == step->page_size) page++, offset = 0;
            rows->token_ids[r] = tokens[position];
            rows->positions[r] = position;
            rows->slots[r] = pages[page] * step->page_size + offset++;
            rows->token_slots[r] = step->dummy_slot;
            rows->is_known[r] = 1;
            rows->horizons[r] = step->attention == FULL ? b[HORIZON]
                : step->attention == BLOCK_CAUSAL       ? smaller(block_end, b[HORIZON])
                : position < b[OPEN_START]              ? position + 1
                                                        : b[HORIZON];
        }
        // The next block, which begins as masks, is known.
        const int64_t known_from = b[OPENS_NEXT] ? b[SCORED_START]
            : step->in_flight[i]                 ? b[OPEN_END]
                                                 : b[OPEN_START];
        const int64_t first = row - b[START];
        // Blocks begin at multiples of their length: a block and the next one have different slots.
        int64_t cycle = step->num_slots, slot = 0;
        if (step->attention == BLOCK_CAUSAL) {
            cycle = 2 * block_len <= step->num_slots ? 2 * block_len : block_len;
            slot = b[OPEN_START] % cycle;
        }
        for (int64_t position = b[OPEN_START]; position < b[OPEN_END]; position++) {
            rows->token_slots[first + position] = b[ROW] * step->num_slots + slot;
            rows->is_known[first + position] = position >= known_from;
            if (++slot == cycle) slot = 0;
        }
        if (b[SCORED_END] > b[SCORED_START] && !b[WITHOUT_PROMPT]) {
            for (int64_t position = b[SCORED_START]; position < b[SCORED_END]; position++) {
                if (!masked[position] && position < step->edits_from[i]) continue;
                rows->scored_positions[num_scored] = position;
                rows->scored_rows[num_scored] = first + position;
                rows->scored_spans[num_scored++] = num_denoised;
            }
            rows->scored_starts[++num_denoised] = num_scored;
        }
        row += b[END] - b[START];
        num_pages += count;
        rows->query_starts[i + 1] = row;
        rows->page_starts[i + 1] = num_pages;
    }
    return num_scored;
}

static int64_t larger(int64_t a, int64_t b) { return a > b ? a : b; }

// Items [N, 8] of tiles of `tile_queries` queries, for unmask_kernels.attention.tiles: first query,
// number of queries, place of the first page, keys from and to, those that all queries see from and
// to, no slot. Keys are counted in multiples of `keys`. Returns N; -1 if a tile sees more than one
// `chunk` of keys. `starts` [T] may be NULL: zeros.
int64_t plan_tiles(
    const int64_t *query_starts, int64_t num_sequences, const int64_t *starts,
    const int64_t *horizons, const int64_t *page_starts, int64_t tile_queries, int64_t chunk,
    int64_t keys, int32_t *items) {
    int64_t count = 0;
    for (int64_t i = 0; i < num_sequences; i++) {
        for (int64_t query = query_starts[i]; query < query_starts[i + 1]; query += tile_queries) {
            const int64_t end = smaller(query + tile_queries, query_starts[i + 1]);
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
            if ((last + chunk - 1) / chunk - first_chunk > 1) return -1;
            int32_t *item = items + 8 * count++;
            item[0] = query;
            item[1] = end - query;
            item[2] = page_starts[i];
            item[3] = larger(first / keys * keys, first_chunk * chunk);
            item[4] = last;
            item[5] = (all_from + keys - 1) / keys * keys;
            item[6] = all_to / keys * keys;
            item[7] = -1;
        }
    }
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
