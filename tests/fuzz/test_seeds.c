/* Every seed of every fuzz target, and each of them cut short, with a byte flipped, and with a byte too many: the cheap
 * half of what .ci/fuzz.sh does for a minute a target. */
#include <dirent.h>

#include "fuzz/targets.h"
#include "test.h"

static const struct {
  const char *name;
  void (*run)(const uint8_t *data, size_t bytes);
} targets[] = {
#define TARGET(name) {#name, fuzz_##name},
#include "fuzz/targets.def"
#undef TARGET
};

enum { MOST_BYTES = 1 << 16 };

static uint8_t seed[MOST_BYTES + 1];

/* The variants' positions are spread over the seed, the same in every run. */
static void run_variants(void (*run)(const uint8_t *, size_t), size_t bytes) {
  run(seed, bytes);
  seed[bytes] = 'x';
  run(seed, bytes + 1);
  for (size_t i = 0; i < 8 && bytes > 0; i++) {
    const size_t at = (bytes - 1) * i / 7;
    run(seed, at);
    seed[at] ^= (uint8_t)(1u << i);
    run(seed, bytes);
    seed[at] ^= (uint8_t)(1u << i);
  }
}

TEST(fuzz, seeds_and_their_neighbours) {
  for (size_t t = 0; t < sizeof targets / sizeof targets[0]; t++) {
    char folder[512], path[1024];
    int n = 0;
    (void)snprintf(folder, sizeof folder, "%s/tests/fuzz/seeds/%s", TCT_SOURCE_DIR, targets[t].name);
    DIR *const list = opendir(folder);
    CHECK(list != NULL, "%s has no seeds", targets[t].name);
    for (const struct dirent *entry = readdir(list); entry; entry = readdir(list)) {
      if (entry->d_name[0] == '.') continue;
      (void)snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
      FILE *const file = fopen(path, "rb");
      CHECK(file != NULL, "%s", path);
      const size_t bytes = fread(seed, 1, MOST_BYTES, file);
      (void)fclose(file);
      run_variants(targets[t].run, bytes);
      n++;
    }
    (void)closedir(list);
    CHECK(n > 0, "%s has no seeds", targets[t].name);
  }
}
