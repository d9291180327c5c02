/* Devices: listing what is here, opening one. */
#ifndef TERCET_DEVICE_H
#define TERCET_DEVICE_H

#include <tercet/backend.h>
#include <tercet/types.h>

TCT_BEGIN_DECLS

typedef struct tct_device tct_device;

typedef struct tct_device_options {
  int32_t n_threads; /* CPU: 0 means TERCET_THREADS, else as many as the process may use */
  bool nondeterministic; /* GPU: libraries may add in an order that differs from run to run; false: the same bits each time, as on every other device */
  uint64_t reserved[4];
} tct_device_options;

/* Bytes of a device's name with its options, the end included. */
#define TCT_DEVICE_SPEC 512

/* spec: "cpu", "ref"; "gpu:1" is an ordinal, "tpu:v3" an option text. Errors: TCT_NOT_FOUND for an unknown name (with the
 * known ones), TCT_UNAVAILABLE with the reason. */
TCT_API tct_status tct_device_open(const char *spec, const tct_device_options *options, tct_device **out) TCT_CHECKED;
/* Programs and variables of the device must be freed before. NULL is fine. */
TCT_API void tct_device_close(tct_device *device);
TCT_API const char *tct_device_spec(const tct_device *device); /* as opened */
TCT_API void tct_device_describe(tct_device *device, tct_device_info *out);
/* What the device found and chose: fn is called once per fact, during this call; never for a device that tells none. */
TCT_API void tct_device_facts(tct_device *device, tct_fact_fn fn, void *user);
/* What the device counted since it was opened, such as the classes of a modelled clock's cycles: at most `most`, how many is
 * returned; 0 for a device that counts nothing. Names are static. */
TCT_API int32_t tct_device_counters(tct_device *device, tct_counter *out, int32_t most);

/* The i-th known kind of device, present or not; false at the end. `why` says why there is none (n_devices 0). */
typedef struct tct_device_kind {
  const char *name;
  int32_t n_devices;
  char why[400];
  char description[96]; /* of device 0, when there is one */
  const char *module;   /* the shared object that it came from, or that did not load; "" when linked into the library */
} tct_device_kind;
TCT_API bool tct_device_list(int32_t i, tct_device_kind *out);

/* Whether this kind has a kernel for the node; when not, the reasons. */
TCT_API bool tct_device_supports(tct_device *device, const tct_node_view *node, char *why, size_t why_bytes);

TCT_END_DECLS
#endif
