/* Instruction lists as text, a line each, indented by their loops. */
#include <stdio.h>

#include "backends/tpu/list.h"

/* "12.6 MB": three digits. */
static void print_bytes(char *text, size_t n, double bytes) {
  static const char *const units[] = {"B", "kB", "MB", "GB", "TB"};
  int u = 0;
  for (; bytes >= 1000 && u < 4; u++) bytes /= 1000;
  snprintf(text, n, "%.3g %s", bytes, units[u]);
}

static void print_product(const tpu_list_product *p, int32_t number, char *text, size_t n) {
  const tct_product *e = &p->extents;
  const tct_chip_time *t = &p->tiling;
  char taps[48] = "", batch[48] = "", together[48] = "";
  if (e->taps > 1) snprintf(taps, sizeof taps, ", %lld taps", (long long)e->taps);
  if (e->batch > 1) snprintf(batch, sizeof batch, ", batch %lld", (long long)e->batch);
  if (t->block_batch > 1) snprintf(together, sizeof together, "%lld of ", (long long)t->block_batch);
  snprintf(text, n, "; p%d: [%lld,%lld]·[%lld,%lld]%s%s in blocks of %s%lld×%lld×%lld, %c stays in the array%s", number, (long long)e->m, (long long)e->k,
           (long long)e->k, (long long)e->n, taps, batch, together, (long long)(t->swapped ? t->block_n : t->block_m),
           (long long)t->block_k, (long long)(t->swapped ? t->block_m : t->block_n),
           t->outputs_stay ? 'y' : t->swapped ? 'x' : 'w', p->resident ? ", from VMEM" : "");
}

static void print_matmul(const tct_chip *chip, const tpu_instruction *i, const tct_chip_time *t, char *text, size_t n) {
  char shared[48] = "";
  if (t->split > 1) snprintf(shared, sizeof shared, ", %lld to a tile", (long long)t->split);
  snprintf(text, n, "matmul      %lld %s %lld tile%s on %lld arrays%s", (long long)i->rows, t->outputs_stay ? "steps into" : "rows through",
           (long long)i->count, i->count == 1 ? "" : "s", (long long)(chip->cores * chip->arrays), shared);
}

static void print_one(const tct_chip *chip, const tpu_list *list, const tpu_instruction *i, char *text, size_t n) {
  char bytes[32];
  print_bytes(bytes, sizeof bytes, i->amount);
  /* The operand that streams is called x in the list; where the list is swapped, that is the product's w. */
  const bool swapped = i->product >= 0 && list->product[i->product].tiling.swapped;
  const char streams = swapped && i->operand == 'x' ? 'w' : swapped && i->operand == 'w' ? 'x' : i->operand;
  const char axis = swapped && i->operand == 'm' ? 'n' : swapped && i->operand == 'n' ? 'm' : i->operand;
  const char *const whole = i->operand == 'i' ? "inputs" : i->operand == 'o' ? "outputs" : NULL;
  switch (i->code) {
  case TPU_LOOP: snprintf(text, n, "loop        %c %lld", axis, (long long)i->count); return;
  case TPU_END: snprintf(text, n, "end"); return;
  case TPU_LOAD:
  case TPU_STORE:
    if (i->amount == 0) snprintf(text, n, "%-11s %c of p%d, in VMEM", i->code == TPU_LOAD ? "load" : "store", streams, (int)i->product);
    else if (whole != NULL) snprintf(text, n, "%-11s %s, %s", i->code == TPU_LOAD ? "load" : "store", whole, bytes);
    else snprintf(text, n, "%-11s %c of p%d, %s", i->code == TPU_LOAD ? "load" : "store", streams, (int)i->product, bytes);
    return;
  case TPU_PRELOAD: snprintf(text, n, "preload     %lld tile%s of %lld×%lld", (long long)i->count, i->count == 1 ? "" : "s",
                             (long long)tpu_deep(chip, &list->product[i->product].extents), (long long)chip->array_cols); return;
  case TPU_MATMUL: print_matmul(chip, i, &list->product[i->product].tiling, text, n); return;
  case TPU_VECTOR: snprintf(text, n, "vector      %.6g operations on registers of %lld×%lld", i->amount, (long long)chip->sublanes,
                            (long long)chip->lanes); return;
  case TPU_ALL_REDUCE: snprintf(text, n, "all-reduce  %s over %lld chips", bytes, (long long)chip->chips); return;
  case TPU_INFEED:
  case TPU_OUTFEED: snprintf(text, n, "%-11s %s", i->code == TPU_INFEED ? "infeed" : "outfeed", bytes); return;
  case TPU_FENCE: snprintf(text, n, "fence"); return;
  }
}

void tct_tpu_print(const tct_chip *chip, const tpu_list *list, void (*line)(void *user, const char *text), void *user) {
  char text[256];
  for (int32_t p = 0; p < list->n_products; p++) {
    print_product(&list->product[p], p, text, sizeof text);
    line(user, text);
  }
  int depth = 0;
  for (int32_t i = 0; i < list->n; i++) {
    const tpu_instruction *const at = &list->at[i];
    if (at->code == TPU_END) depth--;
    int indent = snprintf(text, sizeof text, "%*s", 2 * depth, "");
    if (indent < 0) indent = 0;
    print_one(chip, list, at, text + indent, sizeof text - (size_t)indent);
    line(user, text);
    if (at->code == TPU_LOOP) depth++;
  }
}

void tct_tpu_print_transfer(const tpu_instruction *instruction, const char *what, tct_line_fn line, void *user) {
  char text[256], bytes[32];
  print_bytes(bytes, sizeof bytes, instruction->amount);
  snprintf(text, sizeof text, "%-11s %.180s, %s", instruction->code == TPU_INFEED ? "infeed" : "outfeed", what, bytes);
  line(user, text);
}
