/* Backends from shared objects, as a user meets them through `tercet devices` and `tercet train`: what loads is a device,
 * what does not is a line with the reason, and neither stops the process. */
#include "shell.h"
#include "test.h"

#include <sys/stat.h>
#include <unistd.h>

#define MODULES TCT_BINARY_DIR "/modules"

static char out[32768];

/* Runs tercet with the folders to search; what it prints, both streams, is in `out`. */
static int run(const char *folders, const char *arguments) {
  return shell(out, sizeof out, "cd '%s' && TERCET_BACKEND_PATH='%s' '%s'/tercet %s 2>&1", TCT_SOURCE_DIR, folders, TCT_BINARY_DIR,
               arguments);
}

/* The line of `out` that holds `part`; fails the test when there is none. */
static const char *line_with(const char *part) {
  static char line[1024];
  const char *const at = strstr(out, part);
  CHECK(at != NULL, "no '%s' in:\n%s", part, out);
  const char *begin = at;
  while (begin > out && begin[-1] != '\n') begin--;
  snprintf(line, sizeof line, "%.*s", (int)strcspn(begin, "\n"), begin);
  return line;
}

TEST(modules, template_is_listed) {
  CHECK(run(MODULES "/template", "devices") == 0, "%s", out);
  const char *const line = line_with("libtercet-template.so");
  CHECK(strncmp(line, "template 1", 10) == 0, "%s", line);
  CHECK(strncmp(line_with("reference: naive"), "ref", 3) == 0);
}

TEST(modules, json_names_the_file) {
  CHECK(run(MODULES "/template", "devices --json") == 0, "%s", out);
  CHECK(strstr(out, "\"module\":\"" MODULES "/template/libtercet-template.so\"") != NULL, "%s", out);
}

TEST(modules, broken_ones_say_why) {
  static const struct {
    const char *name, *why;
  } rows[] = {
      {"abi", "speaks version 15 of the backend interface, this library version 9"},
      {"alias", "the name 'reference' is taken by a backend of the library"},
      {"function", "lacks the function 'elapsed'"},
      {"kernel", "kernel 0 ('relu.broken') lacks the op, the name or the function 'launch'"},
      {"link", "tct_no_library_has_this"},
      {"name", "the name 'ref' is taken"},
      {"null", "returned NULL without a reason"},
      {"refusal", "the moon is in the wrong phase"},
      {"symbol", "no symbol 'tct_backend_entry'"},
      {"text", "file too short"},
  };
  CHECK(run(MODULES "/broken", "devices") == 0, "%s", out);
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    char file[64];
    snprintf(file, sizeof file, "libtercet-%s.so]", rows[i].name);
    const char *const line = line_with(file);
    CHECK(strncmp(line, rows[i].name, strlen(rows[i].name)) == 0, "%s", line);
    CHECK(strstr(line, "not here: ") != NULL && strstr(line, rows[i].why) != NULL, "%s", line);
  }
  line_with("reference: naive");
}

/* OpenBLAS is opened at run time: without it there is a reason and no CPU device, and all else goes on. */
TEST(modules, blas_says_why) {
  static const struct {
    const char *library, *why;
  } rows[] = {
      {"/nonexistent/libopenblas.so.0", "TERCET_BLAS=/nonexistent/libopenblas.so.0: "},
      {"libz.so.1", "no function 'cblas_sgemm'; it is not OpenBLAS"},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    CHECK(setenv("TERCET_BLAS", rows[i].library, 1) == 0);
    CHECK(run("", "devices") == 0, "%s", out);
    const char *const line = line_with("cpu ");
    CHECK(strstr(line, "-  not here: ") != NULL && strstr(line, rows[i].why) != NULL, "%s", line);
    CHECK(run("", "train examples/glyphs.yaml") == 7, "%s", out);
    CHECK(strstr(out, rows[i].why) != NULL, "%s", out);
    line_with("device 'cpu' is not available: ");
  }
  CHECK(unsetenv("TERCET_BLAS") == 0);
}

/* A device that is linked in needs no look at the modules: what they would log stays unsaid. */
TEST(modules, a_linked_device_loads_none) {
  CHECK(run(MODULES "/broken", "summary examples/glyphs.yaml --device cpu") == 0, "%s", out);
  CHECK(strstr(out, "libtercet-") == NULL, "%s", out);
  CHECK(run(MODULES "/broken", "summary examples/glyphs.yaml --device moon") != 0, "%s", out);
  line_with("libtercet-text.so: ");
}

/* A name that a module did not get is a reason, not an unknown device. */
TEST(modules, open_says_why) {
  CHECK(run(MODULES "/broken", "train examples/glyphs.yaml --device symbol") != 0, "%s", out);
  CHECK(strstr(out, "no symbol 'tct_backend_entry'") != NULL, "%s", out);
  CHECK(run(MODULES "/template", "train examples/glyphs.yaml --device templat") != 0, "%s", out);
  CHECK(strstr(out, "did you mean 'template'?") != NULL, "%s", out);
}

TEST(modules, path_is_searched_in_order) {
  CHECK(run("/no/such/folder::" MODULES "/template:" MODULES "/template", "devices") == 0, "%s", out);
  CHECK(strstr(line_with("/no/such/folder"), "cannot list the folder") != NULL, "%s", out);
  CHECK(strstr(line_with("is taken by"), "the name 'template' is taken by " MODULES "/template/libtercet-template.so"),
        "%s", out);
}

TEST(modules, folders_open_to_all_are_refused) {
  char folder[] = "/tmp/tercet-modules-XXXXXX", command[512], link[128];
  CHECK(mkdtemp(folder) != NULL);
  snprintf(link, sizeof link, "%s/libtercet-template.so", folder);
  snprintf(command, sizeof command, "cp '%s/template/libtercet-template.so' '%s'", MODULES, link);
  CHECK(system(command) == 0 && chmod(folder, 0777) == 0);
  CHECK(run(folder, "devices") == 0, "%s", out);
  CHECK(strstr(line_with(link), "any user of this machine may write to its folder") != NULL, "%s", out);
  CHECK(chmod(folder, 0700) == 0 && chmod(link, 0666) == 0);
  CHECK(run(folder, "devices") == 0, "%s", out);
  CHECK(strstr(line_with(link), "any user of this machine may write to it;") != NULL, "%s", out);
  CHECK(chmod(link, 0600) == 0);
  CHECK(run(folder, "devices") == 0, "%s", out);
  CHECK(strncmp(line_with(link), "template 1", 10) == 0, "%s", out);
  CHECK(unlink(link) == 0 && rmdir(folder) == 0);
}

/* What lies in tercet/ beside the library's own file needs no variable. */
TEST(modules, folder_beside_the_library_is_searched) {
  char folder[] = "/tmp/tercet-modules-XXXXXX";
  CHECK(mkdtemp(folder) != NULL);
  const int code = shell(out, sizeof out,
                         "cd '%s' && mkdir tercet && cp '%s'/libtercet.so.0 . && cp '%s'/template/libtercet-template.so tercet && "
                         "LD_LIBRARY_PATH='%s' TERCET_BACKEND_PATH= '%s'/tercet devices >lines 2>&1; "
                         "grep -c '^template 1 .*%s/tercet/libtercet-template.so]' lines; rm -r '%s'",
                         folder, TCT_BINARY_DIR, MODULES, folder, TCT_BINARY_DIR, folder, folder);
  CHECK(code == 0 && strcmp(out, "1\n") == 0, "%s", out);
}

/* ---- the template as a device ---- */

#define SHORT_JOB "train examples/glyphs.yaml --set train.epochs=1 --set data.samples=64 --set data.test.samples=32 " \
                  "--save " MODULES "/trained.safetensors "

TEST(template_backend, refuses_every_op) {
  CHECK(run(MODULES "/template", SHORT_JOB "--device template") != 0, "%s", out);
  CHECK(strstr(out, "template has no kernel for ") != NULL && strstr(out, "fallback=host") != NULL, "%s", out);
}

TEST(template_backend, falls_back_to_the_reference) {
  CHECK(run(MODULES "/template", SHORT_JOB "--device template --fallback=host") == 0, "%s", out);
  CHECK(run(MODULES "/template", SHORT_JOB "--device skeleton --fallback host") == 0, "%s", out);
}
