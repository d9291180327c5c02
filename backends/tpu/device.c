/* `tpu:v3`, `tpu:chip.yaml`, `tpu:v3,hbm=1.2TB/s`: a simulated TPU. Its arithmetic is done by the CPU device, with the operands
 * of products rounded to bf16 (kernels.c); its clock is a model's (lower.c, <tercet/chip.h>) and says what the chip would have
 * needed, not what this machine did. */
#include <stdio.h>
#include <string.h>

#include "backends/tpu/device.h"
#include "backends/tpu/entry.h"

/* The process's seams, from the entry on. */
static const tct_host *host;

static int32_t probe(char *why, size_t why_bytes) {
  if (why_bytes > 0) why[0] = '\0';
  return 1;
}

static void close_device(tct_device_impl *device) {
  if (device == NULL) return;
  if (device->impl != NULL) device->inner->close(device->impl);
  if (device->kernels != NULL) host->release(device->kernels);
  host->release(device);
}

static tct_status open_parts(const tct_open_options *options, tct_device_impl *device) {
  tct_status status = tct_chip_open(options->options[0] != '\0' ? options->options : "v3", &device->chip);
  if (status == TCT_OK) status = host->find_backend("cpu", &device->inner);
  if (status != TCT_OK) return status;
  const tct_open_options inner = {.n_threads = options->n_threads, .options = ""};
  status = device->inner->open(&inner, &device->impl);
  if (status != TCT_OK) return status;
  device->inner->info(device->impl, &device->info);
  tct_tpu_arithmetic = device->inner;
  return tct_tpu_wrap_kernels(device);
}

static tct_status open_device(const tct_open_options *options, tct_device_impl **out) {
  *out = NULL;
  tct_device_impl *device = host->alloc(sizeof *device, 64);
  if (device == NULL) return TCT_OUT_OF_MEMORY;
  *device = (tct_device_impl){.host = host};
  const tct_status status = open_parts(options, device);
  if (status != TCT_OK) {
    close_device(device);
    return status;
  }
  *out = device;
  return TCT_OK;
}

static void info(tct_device_impl *device, tct_device_info *out) {
  *out = device->info;
  snprintf(out->name, sizeof out->name, "simulated TPU %.30s, modelled time", device->chip.name);
  out->time_is_modelled = true;
  out->chip = &device->chip;
  out->memory_bytes = (size_t)device->chip.hbm_size;
}

/* The size is kept in front, so that it can be given back. */
static tct_status alloc_memory(tct_device_impl *device, size_t bytes, void **out) {
  *out = NULL;
  const double after = device->allocated + (double)bytes;
  if (after > device->chip.hbm_size) {
    return host->fail(TCT_OUT_OF_MEMORY, "tpu: chip %s has %.3f GB of HBM, %.3f GB are taken, and %.3f GB more were asked for; "
                      "needs a smaller batch or model, or a chip with more (hbm_size=)", device->chip.name,
                      device->chip.hbm_size * 1e-9, device->allocated * 1e-9, (double)bytes * 1e-9);
  }
  const size_t front = device->info.alignment > sizeof(double) ? device->info.alignment : 64;
  if (bytes > SIZE_MAX - front) return host->fail(TCT_OUT_OF_MEMORY, "tpu: %zu bytes", bytes);
  void *memory = NULL;
  const tct_status status = device->inner->alloc(device->impl, bytes + front, &memory);
  if (status != TCT_OK) return status;
  *(double *)memory = (double)bytes;
  device->allocated = after;
  *out = (char *)memory + front;
  return TCT_OK;
}

static void free_memory(tct_device_impl *device, void *memory) {
  if (memory == NULL) return;
  const size_t front = device->info.alignment > sizeof(double) ? device->info.alignment : 64;
  void *const base = (char *)memory - front;
  device->allocated -= *(const double *)base;
  device->inner->free(device->impl, base);
}

/* Over PCIe, behind what is on its way, and not before the step before began, which left a buffer free. */
static tct_status upload(tct_device_impl *device, void *to, const void *from_host, size_t bytes) {
  const double from = device->infeed_ready > device->step_began ? device->infeed_ready : device->step_began;
  device->infeed_ready = from + (double)bytes * device->chip.clock / device->chip.pcie;
  device->totals.infeed_bytes += (double)bytes;
  device->uploaded = true;
  return device->inner->upload(device->impl, to, from_host, bytes);
}

/* The other direction of PCIe, when the ops before are done. The next step need not wait for it, the one after it does, for its results
 * need the buffer. */
static tct_status download(tct_device_impl *device, void *to_host, const void *from, size_t bytes) {
  const double begin = device->outfeed_ready > device->totals.cycles ? device->outfeed_ready : device->totals.cycles;
  device->outfeed_ready = begin + (double)bytes * device->chip.clock / device->chip.pcie;
  device->totals.outfeed_bytes += (double)bytes;
  return device->inner->download(device->impl, to_host, from, bytes);
}

static tct_status copy(tct_device_impl *device, void *to, const void *from, size_t bytes) {
  (void)device;
  memmove(to, from, bytes);
  return TCT_OK;
}

/* Everything is done when it is enqueued; a ticket remembers the modelled time that ops took: waiting for PCIe and for other
 * chips is no op's. */
static tct_status mark(tct_device_impl *device, tct_queue queue, tct_ticket *out) {
  *out = (tct_ticket){queue, ++device->marks};
  const tpu_totals *t = &device->totals;
  device->marked[device->marks % TPU_MARKS] = t->cycles - t->infeed - t->outfeed - t->links;
  return TCT_OK;
}

static bool reached(tct_device_impl *device, tct_ticket ticket) { return ticket.count <= device->marks; }

static double elapsed(tct_device_impl *device, tct_ticket begin, tct_ticket end) {
  return (device->marked[end.count % TPU_MARKS] - device->marked[begin.count % TPU_MARKS]) / device->chip.clock;
}

static tct_status sync_device(tct_device_impl *device) { return device->inner->sync(device->impl); }

/* A shape that was not met before is compiled: beside the clock, for a compiler may have done it beforehand. */
static void first_run(tct_device_impl *device, uint64_t fingerprint) {
  const int64_t known = device->n_programs < TPU_PROGRAMS ? device->n_programs : TPU_PROGRAMS;
  for (int64_t i = 0; i < known; i++) {
    if (device->program[i] == fingerprint) return;
  }
  if (known < TPU_PROGRAMS) device->program[known] = fingerprint;
  device->n_programs++;
}

static int32_t counters(tct_device_impl *device, tct_counter *out, int32_t most) {
  tct_tpu_settle_links(device);
  tpu_totals all_out = device->totals; /* as if it ended here: what is on its way to the host arrives */
  const double leaving = device->outfeed_ready > all_out.cycles ? device->outfeed_ready - all_out.cycles : 0;
  all_out.outfeed += leaving;
  all_out.cycles += leaving;
  const tpu_totals *t = &all_out;
  const double seconds = t->cycles / device->chip.clock, chips = (double)device->chip.chips;
  const tct_counter all[] = {{"time", "s", seconds},
                             {"arrays, useful", "cycles", t->useful},
                             {"arrays, padding", "cycles", t->padding},
                             {"weight shift", "cycles", t->shift},
                             {"vector unit", "cycles", t->vector},
                             {"waiting for HBM", "cycles", t->memory},
                             {"fill, drain and start", "cycles", t->skew},
                             {"waiting for input", "cycles", t->infeed},
                             {"waiting for output", "cycles", t->outfeed},
                             {"waiting for other chips", "cycles", t->links},
                             {"on the host", "cycles", t->host},
                             {"total", "cycles", t->cycles},
                             {"HBM traffic", "B", t->hbm_bytes},
                             {"input over PCIe", "B", t->infeed_bytes},
                             {"output over PCIe", "B", t->outfeed_bytes},
                             {"gradients over links", "B", t->link_bytes},
                             {"products issued", "MAC", t->macs},
                             {"energy", "J", t->joules + chips * (t->infeed + t->outfeed + t->links) / device->chip.clock * device->chip.idle},
                             {"cost", "USD", chips * seconds / 3600 * device->chip.price},
                             {"compiled", "programs", (double)device->n_programs},
                             {"compiling", "s", (double)device->n_programs * device->chip.compile}};
  return tpu_give(all, sizeof all / sizeof all[0], out, most);
}

static void facts(tct_device_impl *device, tct_fact_fn fn, void *user) {
  const tct_chip *c = &device->chip;
  char text[160];
  snprintf(text, sizeof text, "%lld × %lld of %lld×%lld at %.0f MHz", (long long)c->cores, (long long)c->arrays,
           (long long)c->array_rows, (long long)c->array_cols, c->clock * 1e-6);
  fn(user, "tpu.arrays", text);
  snprintf(text, sizeof text, "%.0f GB/s, %.0f GB", c->hbm * 1e-9, c->hbm_size * 1e-9);
  fn(user, "tpu.hbm", text);
  fn(user, "tpu.arithmetic", c->quantized ? c->array_order || c->passes == 3 ? "products on the machine, int8 into i32; the rest on the CPU device"
                                                           : "the CPU device; operands of products rounded to int8"
                             : c->array_order || c->passes == 3 ? "products on the machine, in the array's order; the rest on the CPU device"
                             : c->passes > 1                  ? "the CPU device; f32 products, charged as six passes"
                                                              : "the CPU device; operands of products rounded to bf16");
}

static void own_kernels(tct_device_impl *device, const tct_kernel **out, size_t *out_n) {
  *out = device->kernels;
  *out_n = device->n_kernels;
}

static void transfer_listing(tct_device_impl *device, const char *what, double bytes, bool to_device, tct_line_fn line, void *user) {
  (void)device;
  const tpu_instruction move = {.code = to_device ? TPU_INFEED : TPU_OUTFEED, .product = -1, .amount = bytes};
  tct_tpu_print_transfer(&move, what, line, user);
}

const tct_backend *tct_backend_entry_tpu(const tct_host *given) {
  static const tct_backend backend = {
      .abi = TCT_BACKEND_ABI,
      .name = "tpu",
      .probe = probe,
      .open = open_device,
      .close = close_device,
      .info = info,
      .alloc = alloc_memory,
      .free = free_memory,
      .upload = upload,
      .download = download,
      .mark = mark,
      .reached = reached,
      .elapsed = elapsed,
      .sync = sync_device,
      .copy = copy,
      .counters = counters,
      .own_kernels = own_kernels,
      .facts = facts,
      .step_counters = tct_tpu_step_counters,
      .step_listing = tct_tpu_step_listing,
      .step_aside = tct_tpu_step_aside,
      .first_run = first_run,
      .transfer_listing = transfer_listing,
  };
  if (given->abi != TCT_BACKEND_ABI) {
    (void)given->fail(TCT_UNSUPPORTED, "backend 'tpu': the host speaks version %u of the interface, this one %u",
                      (unsigned)given->abi, TCT_BACKEND_ABI);
    return NULL;
  }
  host = given;
  return &backend;
}
