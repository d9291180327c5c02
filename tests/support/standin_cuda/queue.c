/* The stand-in's queues: work runs as late as the pace permits, so that an ordering that is missing gives wrong numbers. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "support/simt/simt.h"
#include "support/standin_cuda/inside.h"

static double clock_ms; /* a microsecond for each piece of work */

static bool runs_when_enqueued(const CUstream stream) {
  const bool transfers = stream->number % 2 == 1; /* the backend makes the queue for computation first */
  return standin_pace == PACE_NOW || (standin_pace == PACE_AHEAD && transfers) || (standin_pace == PACE_BEHIND && !transfers);
}

/* ---- one piece of work ---- */

static void run_launch(const work *w) {
  const CUresult fault = standin_fault_of(w->function->name);
  if (fault != CUDA_SUCCESS) {
    standin_end(fault);
    return;
  }
  const size_t *bytes;
  const int n = tct_simt_parameters(w->function->name, &bytes);
  const bool fits = n == 0 || (n == w->function->n_parameters && memcmp(bytes, w->function->parameter_bytes, (size_t)n * sizeof *bytes) == 0);
  const char *const wrong = fits ? tct_simt_launch(w->function->name, w->grid, w->block, w->shared, w->args)
                                 : "the code that was loaded has other parameters than the emulator's";
  if (wrong == NULL) return;
  fprintf(stderr, "stand-in: %s: %s\n", w->function->name, wrong);
  standin_end(CUDA_ERROR_LAUNCH_FAILED);
}

static void run(const work *w) {
  if (standin_ended()) return;
  clock_ms += 1e-3;
  standin_open();
  switch (w->kind) {
  case WORK_COPY: memmove(w->to, w->from, w->bytes); break;
  case WORK_WRITE: *(volatile uint32_t *)w->to = w->value; break;
  case WORK_LAUNCH: run_launch(w); break;
  case WORK_GRAPH:
    for (const work *inner = w->graph->first; inner != NULL; inner = inner->next) run(inner);
    break;
  case WORK_RECORD:
    if (w->event->done < w->count) w->event->done = w->count;
    w->event->ms = clock_ms;
    break;
  case WORK_CALL: w->call(w->args); break;
  case WORK_WAIT: break;
  }
  standin_close();
}

static void drop(work *w) {
  if (w->kind == WORK_GRAPH) standin_drop_graph(w->graph);
  free(w->args);
  free(w);
}

/* ---- queues ---- */

static bool is_held(const work *w) {
  return w->kind == WORK_WAIT && !standin_ended() && w->event->done < w->count;
}

void standin_run_one(CUstream stream) {
  work *const w = stream->first;
  if (w == NULL) return;
  while (is_held(w)) {
    if (w->recorded_in == stream || w->recorded_in->first == NULL) abort(); /* it would wait for itself, or for nothing */
    standin_run_one(w->recorded_in);
  }
  stream->first = w->next;
  if (w->next == NULL) stream->last = NULL;
  run(w);
  drop(w);
}

/* Eager queues go on as far as they can without the others. */
static void run_eager(void) {
  for (bool moved = true; moved;) {
    moved = false;
    for (CUstream s = standin_streams; s != NULL; s = s->next) {
      while (runs_when_enqueued(s) && s->first != NULL && !is_held(s->first)) {
        standin_run_one(s);
        moved = true;
      }
    }
  }
}

void standin_enqueue(CUstream stream, const work *what) {
  work *const w = malloc(sizeof *w);
  if (w == NULL) abort();
  *w = *what;
  w->next = NULL;
  work **const first = stream->capture != NULL ? &stream->capture->first : &stream->first;
  work **const last = stream->capture != NULL ? &stream->capture->last : &stream->last;
  if (*last != NULL) (*last)->next = w;
  else *first = w;
  *last = w;
  run_eager();
}

void standin_spend(double ms) { clock_ms += ms; }

void standin_enqueue_call(CUstream stream, void (*call)(const void *args), const void *args, size_t bytes) {
  work w = {.kind = WORK_CALL, .call = call, .args = malloc(bytes)};
  if (w.args == NULL) abort();
  memcpy(w.args, args, bytes);
  standin_enqueue(stream, &w);
}

void standin_run_all(CUstream stream) {
  while (stream->first != NULL) standin_run_one(stream);
  run_eager();
}

void standin_run_until(CUevent event) {
  while (event->done < event->recorded && event->stream->first != NULL) standin_run_one(event->stream);
  run_eager();
}

void standin_run_everything(void) {
  for (CUstream s = standin_streams; s != NULL; s = s->next) standin_run_all(s);
}

void standin_forget(CUstream stream) {
  while (stream->first != NULL) {
    work *const w = stream->first;
    stream->first = w->next;
    drop(w);
  }
  stream->last = NULL;
}

void standin_drop_graph(CUgraph graph) {
  if (graph == NULL || --graph->users > 0) return;
  while (graph->first != NULL) {
    work *const w = graph->first;
    graph->first = w->next;
    drop(w);
  }
  free(graph);
}
