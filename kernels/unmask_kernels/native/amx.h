/* Sums of products of bfloat16 rows and panels by AMX; a tile register is 16 lines of 64 bytes.

   A register of rows holds TILE rows of UNIT inputs, one of a panel TILE pairs of inputs for TILE
   outputs, and one of sums TILE rows of TILE outputs. Two registers of rows are multiplied with two of
   a panel. A last tile with fewer rows overlaps the tile before. */

#ifndef AMX_H
#define AMX_H

#define UPPER_LEFT 0 /* registers of sums */
#define UPPER_RIGHT 1
#define LOWER_LEFT 2
#define LOWER_RIGHT 3
#define UPPER 4 /* of rows */
#define LOWER 5
#define LEFT 6 /* of a panel */
#define RIGHT 7
#define REGISTERS 8

typedef struct {
    uint8_t palette, start_line, reserved[14];
    uint16_t bytes[16]; /* of a line of each register */
    uint8_t lines[16];
} Shapes;

static _Thread_local int tile_rows; /* rows of the configured registers; 0 for none */

/* Force writes to memory: compilers do not know all that the intrinsics read. */
INLINE void settle(const void *written) { __asm__ volatile("" : : "r"(written) : "memory"); }

/* Configure the registers for tiles of `rows` rows. */
static void shape_tiles(int rows)
{
    if (rows == tile_rows) return;
    Shapes shapes = {.palette = 1};
    for (int i = 0; i < REGISTERS; i++) {
        shapes.bytes[i] = LINE;
        shapes.lines[i] = i == LEFT || i == RIGHT ? TILE : rows;
    }
    settle(&shapes);
    _tile_loadconfig(&shapes);
    tile_rows = rows;
}

/* Release the registers for oneDNN, and for cheaper context switches. */
static void release_tiles(void)
{
    if (tile_rows) _tile_release();
    tile_rows = 0;
}

/* Sums of one tile of rows, or of two, while prefetching some lines. */
INLINE void add_tiles(int two, const row_entry *upper, const row_entry *lower, int64_t over_rows,
                      const entry *panel, int64_t inputs, const char *ahead, int64_t every,
                      vec (*upper_sums)[VECTORS], vec (*lower_sums)[VECTORS])
{
    const int64_t row_bytes = over_rows * sizeof *upper, place_bytes = PAIR * WIDTH * sizeof *panel;
    settle(upper);
    _tile_zero(UPPER_LEFT);
    _tile_zero(UPPER_RIGHT);
    if (two) {
        _tile_zero(LOWER_LEFT);
        _tile_zero(LOWER_RIGHT);
    }
    for (int64_t k = 0, wait = 0; k < inputs; k += UNIT, wait--) {
        const int unit_bytes = UNIT * WIDTH * sizeof *panel;
        if (wait == 0) {
            wait = every;
            fetch(ahead, unit_bytes / LINE);
            ahead += unit_bytes;
        }
        _tile_loadd(UPPER, upper + k, row_bytes);
        _tile_loadd(LEFT, panel + k * WIDTH, place_bytes);
        _tile_loadd(RIGHT, panel + k * WIDTH + PAIR * LANES, place_bytes);
        _tile_dpbf16ps(UPPER_LEFT, UPPER, LEFT);
        _tile_dpbf16ps(UPPER_RIGHT, UPPER, RIGHT);
        if (two) {
            _tile_loadd(LOWER, lower + k, row_bytes);
            _tile_dpbf16ps(LOWER_LEFT, LOWER, LEFT);
            _tile_dpbf16ps(LOWER_RIGHT, LOWER, RIGHT);
        }
    }
    _tile_stored(UPPER_LEFT, &upper_sums[0][0], sizeof *upper_sums);
    _tile_stored(UPPER_RIGHT, &upper_sums[0][1], sizeof *upper_sums);
    if (two) {
        _tile_stored(LOWER_LEFT, &lower_sums[0][0], sizeof *lower_sums);
        _tile_stored(LOWER_RIGHT, &lower_sums[0][1], sizeof *lower_sums);
    }
}

/* Sums [rows, WIDTH] of a block of rows and a panel; inputs are a multiple of UNIT. */
static void add_block(const row_entry *x, int64_t rows, int64_t over_rows, const entry *panel,
                      int64_t inputs, vec (*sums)[VECTORS])
{
    int64_t height = rows < TILE ? rows : TILE, passes = (rows + 2 * TILE - 1) / (2 * TILE);
    int64_t fetched = (inputs / UNIT + passes - 1) / passes;
    const char *ahead = (const char *)(panel + inputs * WIDTH);
    shape_tiles(height);
    for (int64_t pass = 0; pass < passes; pass++) {
        int64_t first = 2 * TILE * pass, upper = first < rows - height ? first : rows - height;
        int64_t lower = first + TILE < rows - height ? first + TILE : rows - height;
        const char *lines = ahead + fetched * pass * UNIT * WIDTH * sizeof *panel;
        if (first + TILE < rows)
            add_tiles(1, x + upper * over_rows, x + lower * over_rows, over_rows, panel, inputs, lines,
                      passes, sums + upper, sums + lower);
        else
            add_tiles(0, x + upper * over_rows, NULL, over_rows, panel, inputs, lines, passes,
                      sums + upper, NULL);
    }
}

#endif
