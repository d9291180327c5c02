/* Device code that a program brings along, read as far as a driver's answers depend on it: the target, the entries, their parameters'
 * sizes. PTX has them in its text, a cubin in its sections .nv.info.NAME (as cuobjdump -elf shows them). */
#include <elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "support/standin_cuda/settings.h"

enum { MACHINE_CUDA = 190, INFO_SIZED = 0x04, INFO_PARAMETER = 0x17 };

static struct CUfunc_st *add_entry(CUmodule module, const char *name, size_t length) {
  if (module->n_entries == STANDIN_MOST_ENTRIES || length >= sizeof module->names[0]) return NULL;
  const int i = module->n_entries++;
  snprintf(module->names[i], sizeof module->names[i], "%.*s", (int)length, name);
  module->entries[i] = (struct CUfunc_st){.name = module->names[i], .most_shared = STANDIN_PLAIN_SHARED};
  return &module->entries[i];
}

/* ---- PTX ---- */

static const char *skip_blanks_and_comments(const char *at) {
  for (;;) {
    at += strspn(at, " \t\r\n");
    if (at[0] != '/' || at[1] != '/') return at;
    at += strcspn(at, "\n");
  }
}

/* ".param .u64 name" or ".param .align 8 .b8 name[24]": the bytes of each, up to the closing parenthesis. */
static bool read_parameters(const char *at, const char *end, struct CUfunc_st *f) {
  for (at = strstr(at, ".param"); at != NULL && at < end; at = strstr(at + 1, ".param")) {
    const char *type = at + 6 + strspn(at + 6, " ");
    if (strncmp(type, ".align", 6) == 0) type = strchr(type + 1, '.');
    const int bits = type != NULL ? atoi(type + 2) : 0;
    const char *const bracket = type != NULL ? strpbrk(type, "[,)") : NULL;
    if (bits == 0 || f->n_parameters == STANDIN_MOST_PARAMETERS) return false;
    f->parameter_bytes[f->n_parameters++] = (size_t)bits / 8 * (bracket != NULL && *bracket == '[' ? (size_t)atoi(bracket + 1) : 1);
  }
  return true;
}

static CUresult read_ptx(const char *text, CUmodule module, char *log, size_t log_bytes) {
  const char *const start = skip_blanks_and_comments(text), *const target = strstr(text, ".target sm_");
  if (strncmp(start, ".version ", 9) != 0 || target == NULL) {
    int line = 1;
    for (const char *c = text; c < start; c++) line += *c == '\n';
    snprintf(log, log_bytes, "ptxas application ptx input, line %d; fatal   : Missing .version directive at start of file\n", line);
    return CUDA_ERROR_INVALID_PTX;
  }
  if (atoi(target + 11) > standin_now.capability) return CUDA_ERROR_NO_BINARY_FOR_GPU;
  for (const char *at = strstr(text, ".entry "); at != NULL; at = strstr(at + 1, ".entry ")) {
    const char *const name = at + 7, *const end = strpbrk(name, ")");
    struct CUfunc_st *const f = add_entry(module, name, strcspn(name, " (\n"));
    if (f == NULL || end == NULL || !read_parameters(name, end, f)) return CUDA_ERROR_INVALID_PTX;
  }
  return CUDA_SUCCESS;
}

/* ---- cubins ---- */

/* Attributes of two bytes of kind and two of value, or of that many bytes behind; a parameter's: index, ordinal, offset, and its size
 * from bit 18 of the last word on. */
static bool read_info(const unsigned char *at, size_t bytes, struct CUfunc_st *f) {
  for (size_t i = 0; i + 4 <= bytes;) {
    uint16_t behind, ordinal;
    uint32_t packed;
    memcpy(&behind, at + i + 2, 2);
    if (at[i] == INFO_SIZED && at[i + 1] == INFO_PARAMETER) {
      memcpy(&ordinal, at + i + 8, 2);
      memcpy(&packed, at + i + 12, 4);
      if (ordinal >= STANDIN_MOST_PARAMETERS) return false;
      f->parameter_bytes[ordinal] = packed >> 18;
      if (f->n_parameters <= ordinal) f->n_parameters = ordinal + 1;
    }
    i += 4 + (at[i] == INFO_SIZED ? behind : 0u);
  }
  return true;
}

static CUresult read_cubin(const unsigned char *image, CUmodule module) {
  static const char prefix[] = ".nv.info.";
  Elf64_Ehdr head;
  memcpy(&head, image, sizeof head);
  if (head.e_machine != MACHINE_CUDA) return CUDA_ERROR_INVALID_IMAGE;
  if ((int)(head.e_flags >> 8 & 0xff) != standin_now.capability) return CUDA_ERROR_NO_BINARY_FOR_GPU;
  const Elf64_Shdr *const sections = (const Elf64_Shdr *)(const void *)(image + head.e_shoff);
  const char *const names = (const char *)image + sections[head.e_shstrndx].sh_offset;
  for (int i = 0; i < head.e_shnum; i++) {
    const char *const name = names + sections[i].sh_name;
    if (strncmp(name, prefix, sizeof prefix - 1) != 0) continue;
    struct CUfunc_st *const f = add_entry(module, name + sizeof prefix - 1, strlen(name) - sizeof prefix + 1);
    if (f == NULL || !read_info(image + sections[i].sh_offset, sections[i].sh_size, f)) return CUDA_ERROR_INVALID_IMAGE;
  }
  return CUDA_SUCCESS;
}

CUresult standin_read_code(const void *image, CUmodule module, char *log, size_t log_bytes) {
  const CUresult result = memcmp(image, ELFMAG, SELFMAG) == 0 ? read_cubin(image, module) : read_ptx(image, module, log, log_bytes);
  for (int i = 0; i < module->n_entries; i++) {
    struct CUfunc_st *const f = &module->entries[i];
    for (int p = 0; p < f->n_parameters; p++) f->args_bytes += STANDIN_PADDED(f->parameter_bytes[p]);
  }
  return result;
}
