/* Products of rows with a packed weight, and experts made of them; see panels.h.

   A weight [N, K] is cut into panels, which a product reads in the order in which they lie. */

#include "panels.h"
#include "thread_pool.h"

#define LEAST_PART (UNIT == 32 ? 1 << 23 : 1 << 19) /* numbers multiplied in a part */
#define EXTRA_ROWS 8 /* whose time it takes to read a weight */

enum { SILU, GELU };

typedef struct {
    const row_entry *x; /* [rows, inputs] */
    const entry *panels;
    const float *bias; /* [outputs], filled up to whole panels, or NULL */
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

/* Copy a weight of any strides to panels, with zeros up to whole ones. */
void pack(const number *weight, int64_t over_outputs, int64_t over_inputs, entry *panels,
          int64_t outputs, int64_t inputs, int threads)
{
    Packing packing = {weight, panels, over_outputs, over_inputs, outputs, inputs};
    run_parts(pack_panel, &packing, (outputs + WIDTH - 1) / WIDTH, threads);
}

INLINE vec activated(vec x, int activation)
{
    /* GELU by its hyperbolic tangent is x times a sigmoid as well: 1 + tanh(u) = 2 sigmoid(2 u). */
    vec slope = activation == SILU ? x : x * (1.5957691216f + 0.0713548162f * x * x);
    return x / (1.0f + exponential(-slope));
}

/* Write the sums of a block's rows, `width` of them, with a bias and perhaps what was there. */
INLINE void write_rows(const Product *p, int64_t row, int64_t rows, int64_t first, int64_t width,
                       int adds, vec (*sums)[VECTORS])
{
    vec there[VECTORS] = {0};
    for (int64_t i = 0; i < rows; i++) {
        number *out = p->out + (row + i) * p->outputs + first;
        if (adds) widen((float *)there, out, width);
        for (int v = 0; v < VECTORS; v++) {
            if (p->bias != NULL) sums[i][v] += *(const loose *)(p->bias + first + v * LANES);
            if (adds) sums[i][v] += there[v];
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

/* A block of `gate`, activated, times the same of `up`, which reads the same rows and writes none. */
static void multiply_gated(const Product *gate, const Product *up, int64_t row, int64_t panel,
                           int activation)
{
    vec gates[BLOCK][VECTORS], sums[BLOCK][VECTORS];
    int64_t rows = gate->rows - row < BLOCK ? gate->rows - row : BLOCK, inputs = gate->inputs;
    int64_t first = panel * WIDTH, width = gate->outputs - first < WIDTH ? gate->outputs - first : WIDTH;
    const row_entry *x = gate->x + row * inputs;
    add_block(x, rows, inputs, gate->panels + first * inputs, inputs, gates);
    add_block(x, rows, inputs, up->panels + first * inputs, inputs, sums);
    for (int64_t i = 0; i < rows; i++) {
        for (int v = 0; v < VECTORS; v++) {
            int64_t at = first + v * LANES;
            if (gate->bias != NULL) gates[i][v] += *(const loose *)(gate->bias + at);
            if (up->bias != NULL) sums[i][v] += *(const loose *)(up->bias + at);
            sums[i][v] *= activation == SILU ? activated(gates[i][v], SILU) : activated(gates[i][v], GELU);
        }
        narrow(gate->out + (row + i) * gate->outputs + first, (const float *)sums[i], width);
    }
}

/* A product, or two of which one gates the other, cut into parts: some panels, for a block of rows. */
typedef struct {
    Product first, up; /* the latter without panels where nothing is gated */
    int adds, activation;
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
        if (job->up.panels != NULL)
            multiply_gated(&job->first, &job->up, row, panel, job->activation);
        else
            multiply_panel(&job->first, row, panel, job->adds);
    release_tiles();
}

/* Rows through a weight [outputs, inputs], written or added to what is there. */
void product(const row_entry *x, const entry *panels, const float *bias, number *out, int64_t rows,
             int64_t inputs, int64_t outputs, int adds, int threads)
{
    Job job = make_job((Product){x, panels, bias, out, rows, inputs, outputs}, threads);
    job.adds = adds;
    run_parts(run_panels, &job, job.parts, threads);
}

/* Rows through two weights [outputs, inputs] of which one gates the other (Shazeer, 2020). */
void gated_product(const row_entry *x, const entry *gate, const float *gate_bias, const entry *up,
                   const float *up_bias, number *out, int64_t rows, int64_t inputs, int64_t outputs,
                   int activation, int threads)
{
    Job job = make_job((Product){x, gate, gate_bias, out, rows, inputs, outputs}, threads);
    job.up = (Product){x, up, up_bias, NULL, rows, inputs, outputs};
    job.activation = activation;
    run_parts(run_panels, &job, job.parts, threads);
}

typedef struct {
    const number *x;      /* [rows, columns] */
    const float *shares;  /* [rows, top] */
    const entry *panels;  /* of each expert the gate's, the other factor's and the way back's */
    number *parts, *out;  /* [rows * top, columns], [rows, columns] */
    int64_t top, columns, inner;
    int activation;
    const int64_t *starts, *places;
    char *room;
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

/* Up to BLOCK of an expert's rows; `room` is for them, and what is made of them in between. */
static void send_block(const Experts *e, const entry *gate, const int64_t *places, int64_t rows,
                       char *room)
{
    int64_t columns = e->columns, inner = e->inner;
    number *hidden = (number *)room, *made = hidden + BLOCK * inner;
    row_entry *own = (row_entry *)(made + BLOCK * columns);
    const entry *up = gate + panels_size(inner, columns), *down = up + panels_size(inner, columns);
    for (int64_t i = 0; i < rows; i++)
        copy_row(own + i * columns, e->x + places[i] / e->top * columns, columns);
    Product opened = {own, gate, NULL, hidden, rows, columns, inner}, other = opened;
    other.panels = up;
    for (int64_t first = 0; first < inner; first += WIDTH)
        multiply_gated(&opened, &other, 0, first / WIDTH, e->activation);
    copy_row(own, hidden, rows * inner);
    Product back = {own, down, NULL, made, rows, inner, columns};
    for (int64_t first = 0; first < columns; first += WIDTH) multiply_panel(&back, 0, first / WIDTH, 0);
    for (int64_t i = 0; i < rows; i++)
        memcpy(e->parts + places[i] * columns, made + i * columns, columns * sizeof *made);
}

/* Rows sorted by their experts: those of expert i are places[starts[i]] to places[starts[i + 1]]. */
static void sort_rows(const int64_t *ids, int64_t num_places, int64_t num_experts, int64_t *starts,
                      int64_t *places)
{
    memset(starts, 0, (num_experts + 2) * sizeof *starts);
    for (int64_t i = 0; i < num_places; i++) starts[ids[i] + 2]++;
    for (int64_t e = 0; e < num_experts; e++) starts[e + 2] += starts[e + 1];
    for (int64_t i = 0; i < num_places; i++) places[starts[ids[i] + 1]++] = i;
}

/* All of an expert's rows. */
static void send_rows(const void *work, int64_t expert, int thread)
{
    const Experts *e = work;
    const entry *gate = e->panels + expert * expert_size(e->columns, e->inner);
    int64_t last = e->starts[expert + 1];
    for (int64_t first = e->starts[expert]; first < last; first += BLOCK)
        send_block(e, gate, e->places + first, last - first < BLOCK ? last - first : BLOCK,
                   e->room + thread * expert_workspace(e->columns, e->inner));
    release_tiles();
}

/* The sum [columns] of a row's parts [top, columns] by their shares, one after another. */
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
            for (int v = 0; v < VECTORS; v++) total[v] += part[v] * e->shares[row * e->top + k];
        }
        narrow(e->out + row * e->columns + c, (const float *)total, width);
    }
}

/* Rows x [rows, columns] through the experts ids [rows, top], summed in order by shares [rows, top].

   `starts` [num_experts + 2], `places` [rows * top], `parts` [rows * top, columns] and `room`, one of
   `expert_workspace` for each thread, are overwritten. */
void experts(const number *x, const int64_t *ids, const float *shares, const entry *panels, number *out,
             int64_t rows, int64_t top, int64_t num_experts, int64_t columns, int64_t inner,
             int activation, int64_t *starts, int64_t *places, number *parts, char *room, int threads)
{
    Experts e = {x, shares, panels, parts, out, top, columns, inner, activation, starts, places, room};
    sort_rows(ids, rows * top, num_experts, starts, places);
    run_parts(send_rows, &e, num_experts, threads);
    run_parts(sum_parts, &e, rows, rows < FEWEST_ROWS ? 1 : threads);
}
