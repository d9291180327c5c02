/* The allocator seam, the arena on it, and checked sizes. */
#include "base/alloc.h"
#include "base/arena.h"
#include "base/checked.h"
#include "base/status.h"
#include "faults.h"
#include "test.h"

TEST(alloc, alignment_and_counts) {
  static const struct {
    size_t bytes, align;
  } rows[] = {{0, 8}, {1, 16}, {100, 64}, {5000, 4096}, {3 << 20, 64}, {(4 << 20) + 1, 4096}};
  const int64_t live = tct_alloc_live(), count = tct_alloc_count();
  for (size_t i = 0; i < TCT_COUNT_OF(rows); i++) {
    unsigned char *const memory = tct_alloc_aligned(rows[i].bytes, rows[i].align);
    CHECK(memory != NULL, "%s", tct_error_message());
    const size_t align = rows[i].bytes >= 2u << 20 ? 2u << 20 : rows[i].align; /* room for huge pages */
    CHECK((uintptr_t)memory % align == 0, "%zu bytes aligned to %zu are at %p", rows[i].bytes, align, (void *)memory);
    memset(memory, 1, rows[i].bytes);
    CHECK(tct_alloc_live() == live + 1);
    tct_release(memory);
  }
  CHECK(tct_alloc_live() == live && tct_alloc_count() == count + (int64_t)TCT_COUNT_OF(rows));
  void *const a = tct_alloc(0), *const b = tct_alloc(0);
  CHECK(a && b && a != b && (uintptr_t)a % 16 == 0);
  tct_release(a);
  tct_release(b);
  tct_release(NULL);
  CHECK(tct_alloc_live() == live);
}

TEST(alloc, zero_grow_copy) {
  const int64_t live = tct_alloc_live();
  unsigned char *data = tct_alloc_zero(10, 10);
  CHECK(data != NULL);
  for (int i = 0; i < 100; i++) CHECK(data[i] == 0);
  for (int i = 0; i < 100; i++) data[i] = (unsigned char)i;
  data = tct_realloc(data, 100, 1000);
  CHECK(data != NULL);
  for (int i = 0; i < 100; i++) CHECK(data[i] == i, "byte %d lost while growing", i);
  data = tct_realloc(data, 1000, 10);
  CHECK(data && data[9] == 9);
  unsigned char *const fresh = tct_realloc(NULL, 0, 8);
  CHECK(fresh != NULL);
  char *const copy = tct_strdup("text");
  CHECK(copy && strcmp(copy, "text") == 0);
  tct_release(data);
  tct_release(fresh);
  tct_release(copy);
  CHECK(tct_alloc_live() == live);
}

TEST(alloc, failures_are_recorded) {
  unsigned char *const data = tct_alloc(4);
  CHECK(data != NULL);
  memcpy(data, "abc", 4);
  const int64_t live = tct_alloc_live();
  (void)fault_alloc(1);
  CHECK(tct_alloc(123456) == NULL && tct_error_status() == TCT_OUT_OF_MEMORY);
  CHECK(strstr(tct_error_message(), "123456 bytes") != NULL, "%s", tct_error_message());
  CHECK(fault_alloc(1) && tct_realloc(data, 4, 8) == NULL && strcmp((char *)data, "abc") == 0);
  CHECK(fault_alloc(1) && tct_strdup("x") == NULL);
  CHECK(fault_alloc(0));
  tct_error_clear();
  CHECK(tct_alloc_zero(SIZE_MAX / 2, 3) == NULL && tct_error_status() == TCT_OUT_OF_MEMORY);
  CHECK(tct_alloc_live() == live);
  tct_release(data);
}

TEST(arena, gives_zeroed_aligned_lasting_memory) {
  static const size_t sizes[] = {0, 1, 16, 17, 4000, 100, 5 << 20, 3};
  const int64_t live = tct_alloc_live();
  tct_arena arena = {0};
  for (int round = 0; round < 2; round++) { /* an emptied arena serves again */
    unsigned char *kept[TCT_COUNT_OF(sizes)];
    for (size_t i = 0; i < TCT_COUNT_OF(sizes); i++) {
      kept[i] = tct_arena_alloc(&arena, sizes[i]);
      CHECK(kept[i] && (uintptr_t)kept[i] % 16 == 0);
      for (size_t j = 0; j < sizes[i]; j++) CHECK(kept[i][j] == 0, "byte %zu of %zu", j, sizes[i]);
      memset(kept[i], (int)i + 1, sizes[i]);
    }
    for (size_t i = 0; i < TCT_COUNT_OF(sizes); i++)
      for (size_t j = 0; j < sizes[i]; j++) CHECK(kept[i][j] == i + 1, "block %zu was overwritten", i);
    tct_arena_free(&arena);
    CHECK(tct_alloc_live() == live, "%d blocks leak", (int)(tct_alloc_live() - live));
  }
}

TEST(arena, copies_and_formats) {
  tct_arena arena = {0};
  const int numbers[3] = {1, 2, 3};
  const int *const copy = tct_arena_copy(&arena, numbers, sizeof numbers);
  CHECK(copy && copy != numbers && memcmp(copy, numbers, sizeof numbers) == 0);
  CHECK(tct_arena_copy(&arena, NULL, 0) != NULL);
  CHECK(strcmp(tct_arena_strdup(&arena, "name"), "name") == 0);
  CHECK(strcmp(tct_arena_printf(&arena, "%s_%d %.1f", "dense", 12, 0.5), "dense_12 0.5") == 0);
  tct_arena_free(&arena);
}

TEST(arena, blocks_are_few) {
  const int64_t count = tct_alloc_count();
  tct_arena arena = {0};
  for (int i = 0; i < 100000; i++) CHECK(tct_arena_alloc(&arena, 16) != NULL);
  CHECK(tct_alloc_count() - count <= 12, "%d blocks for 1.6 MB", (int)(tct_alloc_count() - count));
  tct_arena_free(&arena);
}

TEST(arena, survives_failed_allocations) {
  tct_arena arena = {0};
  (void)fault_alloc(1);
  CHECK(tct_arena_alloc(&arena, 10) == NULL && tct_error_status() == TCT_OUT_OF_MEMORY);
  CHECK(fault_alloc(2) && tct_arena_strdup(&arena, "x") != NULL);
  CHECK(tct_arena_alloc(&arena, 1 << 20) == NULL);
  CHECK(fault_alloc(0) && tct_arena_alloc(&arena, 10) != NULL);
  CHECK(tct_arena_alloc(&arena, SIZE_MAX) == NULL && tct_arena_alloc(&arena, SIZE_MAX - 20) == NULL);
  tct_arena_free(&arena);
}

TEST(checked, sizes) {
  size_t size = 0;
  int64_t count = 0;
  CHECK(tct_mul_size(SIZE_MAX / 4, 4, &size) && size == SIZE_MAX / 4 * 4);
  CHECK(!tct_mul_size(SIZE_MAX / 4 + 1, 4, &size));
  CHECK(tct_add_size(SIZE_MAX - 1, 1, &size) && size == SIZE_MAX);
  CHECK(!tct_add_size(SIZE_MAX, 1, &size));
  CHECK(tct_mul_i64(INT64_MAX, 1, &count) && !tct_mul_i64(INT64_MAX / 2 + 1, 2, &count));
  CHECK(tct_add_i64(INT64_MAX, -1, &count) && !tct_add_i64(INT64_MAX, 1, &count));
  CHECK(tct_align_size(0, 64, &size) && size == 0);
  CHECK(tct_align_size(65, 64, &size) && size == 128);
  CHECK(!tct_align_size(SIZE_MAX - 3, 64, &size));
}
