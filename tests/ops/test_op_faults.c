/* The graph of every case of op_cases.def, with its gradients, while each allocation fails in turn: the graph says so, every
 * later op passes over what is missing, and nothing leaks. */
#include "base/alloc.h"
#include "base/status.h"
#include "faults.h"
#include "graph/graph.h"
#include "ops/cases.h"
#include "test.h"

static tct_status build(const op_case *c, tct_graph **out) {
  tct_dtype dtype = TCT_F32;
  while ((c->dtypes >> dtype & 1u) == 0) dtype++;
  TCT_TRY(tct_graph_create(out));
  case_build(c, dtype, c->gradient ? CASE_GRADIENT : CASE_FORWARD, *out);
  return tct_graph_status(*out);
}

TEST(op_faults, every_allocation_of_a_graph_fails_in_turn) {
  fault_pieces(true);
  for (int32_t i = 0; i < n_op_cases; i++) {
    const op_case *const c = &op_cases[i];
    int64_t nth = 1;
    for (bool struck = true; struck; nth += 1 + nth / 64) {
      const int64_t live = tct_alloc_live();
      tct_graph *graph = NULL;
      tct_error_clear();
      (void)fault_alloc(nth);
      const tct_status status = build(c, &graph);
      struck = fault_alloc(0);
      CHECK(status == (struck ? TCT_OUT_OF_MEMORY : TCT_OK), "%s, allocation %d: %s: %s", c->label, (int)nth,
            tct_status_name(status), tct_error_message());
      tct_graph_free(graph);
      CHECK(tct_alloc_live() == live, "%s, allocation %d leaks", c->label, (int)nth);
    }
    CHECK(nth > 4, "%s: only %d allocations", c->label, (int)nth);
  }
  fault_pieces(false);
}
