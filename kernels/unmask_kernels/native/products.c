/* Products of rows with a packed weight, and experts made of them; see panels.h.

   A weight [N, K] is cut into panels, which a product reads in order of their addresses. */

#include "activation.h"
#include "panels.h"
#include "thread_pool.h"

#define LEAST_PART (UNIT == 32 ? 1 << 23 : 1 << 19) /* multiplications of a part */
#define EXTRA_ROWS 8 /* as long as reading a weight takes */

typedef struct {
    const row_entry *x; /* [rows, inputs] */
    const entry *panels;
    const float *bias; /* [outputs], padded to whole panels, or NULL */
    number *out;       /* [rows, outputs] */
    int64_t rows, inputs, outputs;
} Product;

int64_t panel_width(void) { return WIDTH; }

int64_t input_unit(void) { return UNIT; }

int64_t row_entry_size(void) { return sizeof(row_entry); }

typedef struct {
    const number *weight; /* [n * over_outputs + k * over_inputs] */
    entry *panels;
    int64_t over_outputs, over_inputs, outputs, inputs;
} Packing;

static void pack_panel(const void *work, int64_t panel, int thread)
{
    (void)thread;
    const Packing *p = work;
    int64_t first = panel * WIDTH, width = p->outputs - first < WIDTH ? p->outputs - first : WIDTH;
    const number *from = p->weight + first * p->over_outputs;
    entry *to = p->panels + first * p->inputs;
    for (int64_t k = 0; k < p->inputs; k++, to += k % PAIR == 0 ? PAIR * WIDTH : 0)
        for (int64_t j = 0; j < WIDTH; j++)
            to[PAIR * j + k % PAIR] = j < width ? from[j * p->over_outputs + k * p->over_inputs] : 0;
}

/* Copy a weight of any strides to panels, padded with zeros. */
void pack(const number *weight, int64_t over_outputs, int64_t over_inputs, entry *panels,
          int64_t outputs, int64_t inputs, int threads)
{
    Packing packing = {weight, panels, over_outputs, over_inputs, outputs, inputs};
    run_parts(pack_panel, &packing, (outputs + WIDTH - 1) / WIDTH, threads);
}

/* Write the sums of a block's rows, `width` outputs of each, plus the bias and, if it adds, `out`. */
INLINE void write_rows(const Product *p, int64_t row, int64_t rows, int64_t first, int64_t width,
                       int adds, vec (*sums)[VECTORS])
{
    vec residual[VECTORS] = {0};
    for (int64_t i = 0; i < rows; i++) {
        number *out = p->out + (row + i) * p->outputs + first;
        if (adds) widen((float *)residual, out, width);
        for (int v = 0; v < VECTORS; v++) {
            if (p->bias != NULL) sums[i][v] += *(const loose *)(p->bias + first + v * LANES);
            if (adds) sums[i][v] += residual[v];
        }
        narrow(out, (const float *)sums[i], width);
    }
}

static void multiply_panel(const Product *p, int64_t row, int64_t panel, int adds)
{
    vec sums[BLOCK][VECTORS];
    int64_t rows = p->rows - row < BLOCK ? p->rows - row : BLOCK, first = panel * WIDTH;
    add_block(p->x + row * p->inputs, rows, p->inputs, p->panels + first * p->inputs, p->inputs, sums);
    if (p->outputs - first < WIDTH)
        write_rows(p, row, rows, first, p->outputs - first, adds, sums);
    else if (adds)
        write_rows(p, row, rows, first, WIDTH, 1, sums);
    else
        write_rows(p, row, rows, first, WIDTH, 0, sums);
}

/* A block of the activated gate times up, which reads the same rows and has no output; without
   panels, up is one. */
static void multiply_gated(const Product *gate, const Product *up, int64_t row, int64_t panel,
                           int activation)
{
    vec gates[BLOCK][VECTORS], sums[BLOCK][VECTORS];
    int64_t rows = gate->rows - row < BLOCK ? gate->rows - row : BLOCK, inputs = gate->inputs;
    int64_t first = panel * WIDTH, width = gate->outputs - first < WIDTH ? gate->outputs - first : WIDTH;
    const row_entry *x = gate->x + row * inputs;
    add_block(x, rows, inputs, gate->panels + first * inputs, inputs, gates);
    if (up->panels != NULL) add_block(x, rows, inputs, up->panels + first * inputs, inputs, sums);
    for (int64_t i = 0; i < rows; i++) {
        for (int v = 0; v < VECTORS; v++) {
            int64_t at = first + v * LANES;
            if (gate->bias != NULL) gates[i][v] += *(const loose *)(gate->bias + at);
            if (up->panels == NULL) sums[i][v] = (vec){0} + 1.0f;
            if (up->bias != NULL) sums[i][v] += *(const loose *)(up->bias + at);
            sums[i][v] *= activation == SILU ? activated(gates[i][v], SILU) : activated(gates[i][v], GELU);
        }
        narrow(gate->out + (row + i) * gate->outputs + first, (const float *)sums[i], width);
    }
}

/* A product, or a gate and up product, cut into parts: some panels, for a block of rows. */
typedef struct {
    Product first, up; /* `up` has no panels if nothing is gated */
    int adds, activates, activation;
    int64_t panels, panels_a_part, parts_a_block, parts;
} Job;

static Job make_job(Product first, int threads)
{
    int64_t panels = (first.outputs + WIDTH - 1) / WIDTH, rows = first.rows < BLOCK ? first.rows : BLOCK;
    int64_t size = first.inputs * WIDTH * (rows + EXTRA_ROWS), together = (LEAST_PART + size - 1) / size;
    if (together > panels || threads < 2) together = panels;
    int64_t parts_a_block = together ? (panels + together - 1) / together : 0;
    int64_t parts = parts_a_block * ((first.rows + BLOCK - 1) / BLOCK);
    return (Job){.first = first, .panels = panels, .panels_a_part = together,
                 .parts_a_block = parts_a_block, .parts = parts};
}

static void run_panels(const void *work, int64_t part, int thread)
{
    (void)thread;
    const Job *job = work;
    int64_t row = part / job->parts_a_block * BLOCK;
    int64_t from = part % job->parts_a_block * job->panels_a_part, to = from + job->panels_a_part;
    for (int64_t panel = from; panel < to && panel < job->panels; panel++)
        if (job->activates)
            multiply_gated(&job->first, &job->up, row, panel, job->activation);
        else
            multiply_panel(&job->first, row, panel, job->adds);
    release_tiles();
}

/* Rows times a weight [outputs, inputs], written or added to `out`. */
void product(const row_entry *x, const entry *panels, const float *bias, number *out, int64_t rows,
             int64_t inputs, int64_t outputs, int adds, int threads)
{
    Job job = make_job((Product){x, panels, bias, out, rows, inputs, outputs}, threads);
    job.adds = adds;
    run_parts(run_panels, &job, job.parts, threads);
}

/* Activated gate times up of rows, weights [outputs, inputs] (Shazeer, 2020); `up` may be NULL. */
void gated_product(const row_entry *x, const entry *gate, const float *gate_bias, const entry *up,
                   const float *up_bias, number *out, int64_t rows, int64_t inputs, int64_t outputs,
                   int activation, int threads)
{
    Job job = make_job((Product){x, gate, gate_bias, out, rows, inputs, outputs}, threads);
    job.up = (Product){x, up, up_bias, NULL, rows, inputs, outputs};
    job.activates = 1;
    job.activation = activation;
    run_parts(run_panels, &job, job.parts, threads);
}

typedef struct {
    const number *x;      /* [rows, columns] */
    const float *topk_weights; /* [rows, top] */
    const entry *panels;  /* gate, up and down of each expert */
    number *parts, *out;  /* [rows * top, columns], [rows, columns] */
    int64_t top, columns, inner;
    int activation;
    const int64_t *starts, *places;
    char *workspace;
} Experts;

static int64_t panels_size(int64_t outputs, int64_t inputs)
{
    return (outputs + WIDTH - 1) / WIDTH * WIDTH * inputs;
}

int64_t expert_size(int64_t columns, int64_t inner)
{
    return 2 * panels_size(inner, columns) + panels_size(columns, inner);
}

/* Bytes that a thread needs. */
int64_t expert_workspace(int64_t columns, int64_t inner)
{
    int64_t widest = columns > inner ? columns : inner;
    return BLOCK * (widest * sizeof(row_entry) + (columns + inner) * sizeof(number));
}

static void copy_row(row_entry *to, const number *from, int64_t count)
{
#if defined(TILES) || defined(PAIRS)
    memcpy(to, from, count * sizeof *from);
#else
    widen(to, from, count);
#endif
}

/* Up to BLOCK rows of an expert; `workspace` holds them and their activations. */
static void run_expert_block(const Experts *e, const entry *gate, const int64_t *places, int64_t rows,
                             char *workspace)
{
    int64_t columns = e->columns, inner = e->inner;
    number *hidden = (number *)workspace, *results = hidden + BLOCK * inner;
    row_entry *rows_in = (row_entry *)(results + BLOCK * columns);
    const entry *up = gate + panels_size(inner, columns), *down = up + panels_size(inner, columns);
    for (int64_t i = 0; i < rows; i++)
        copy_row(rows_in + i * columns, e->x + places[i] / e->top * columns, columns);
    Product gate_product = {rows_in, gate, NULL, hidden, rows, columns, inner};
    Product up_product = gate_product;
    up_product.panels = up;
    for (int64_t first = 0; first < inner; first += WIDTH)
        multiply_gated(&gate_product, &up_product, 0, first / WIDTH, e->activation);
    copy_row(rows_in, hidden, rows * inner);
    Product down_product = {rows_in, down, NULL, results, rows, inner, columns};
    for (int64_t first = 0; first < columns; first += WIDTH)
        multiply_panel(&down_product, 0, first / WIDTH, 0);
    for (int64_t i = 0; i < rows; i++)
        memcpy(e->parts + places[i] * columns, results + i * columns, columns * sizeof *results);
}

/* Sort rows by expert: rows of expert i are places[starts[i]] to places[starts[i + 1]]. */
static void sort_rows(const int64_t *ids, int64_t num_places, int64_t num_experts, int64_t *starts,
                      int64_t *places)
{
    memset(starts, 0, (num_experts + 2) * sizeof *starts);
    for (int64_t i = 0; i < num_places; i++) starts[ids[i] + 2]++;
    for (int64_t e = 0; e < num_experts; e++) starts[e + 2] += starts[e + 1];
    for (int64_t i = 0; i < num_places; i++) places[starts[ids[i] + 1]++] = i;
}

/* All of an expert's rows. */
static void run_expert(const void *work, int64_t expert, int thread)
{
    const Experts *e = work;
    const entry *gate = e->panels + expert * expert_size(e->columns, e->inner);
    int64_t last = e->starts[expert + 1];
    for (int64_t first = e->starts[expert]; first < last; first += BLOCK)
        run_expert_block(e, gate, e->places + first, last - first < BLOCK ? last - first : BLOCK,
                         e->workspace + thread * expert_workspace(e->columns, e->inner));
    release_tiles();
}

/* Sum [columns] of a row's parts [top, columns] by top-k weights, in order. */
static void sum_parts(const void *work, int64_t row, int thread)
{
    (void)thread;
    const Experts *e = work;
    const number *parts = e->parts + row * e->top * e->columns;
    for (int64_t c = 0; c < e->columns; c += WIDTH) {
        int64_t width = e->columns - c < WIDTH ? e->columns - c : WIDTH;
        vec total[VECTORS] = {0}, part[VECTORS] = {0};
        for (int64_t k = 0; k < e->top; k++) {
            widen((float *)part, parts + k * e->columns + c, width);
            for (int v = 0; v < VECTORS; v++) total[v] += part[v] * e->topk_weights[row * e->top + k];
        }
        narrow(e->out + row * e->columns + c, (const float *)total, width);
    }
}

/* Rows x [rows, columns] through the experts ids [rows, top], summed in order by top-k weights.

   `starts` [num_experts + 2], `places` [rows * top], `parts` [rows * top, columns] and `workspace`,
   `expert_workspace` bytes for each thread, are overwritten. */
void experts(const number *x, const int64_t *ids, const float *topk_weights, const entry *panels,
             number *out, int64_t rows, int64_t top, int64_t num_experts, int64_t columns, int64_t inner,
             int activation, int64_t *starts, int64_t *places, number *parts, char *workspace,
             int threads)
{
    Experts e = {x,   topk_weights, panels,     parts,  out,    top, columns,
                 inner, activation,  starts, places, workspace};
    sort_rows(ids, rows * top, num_experts, starts, places);
    run_parts(run_expert, &e, num_experts, threads);
    run_parts(sum_parts, &e, rows, rows < FEWEST_ROWS ? 1 : threads);
}
