#!/usr/bin/env bash
# What runs on several threads, under ThreadSanitizer: the pool, the loader that prefetches, datasets, and models in
# threads of one process. The first race ends the run. OpenBLAS is not instrumented, so that its threads are
# unknown to the sanitizer: it gets one.
#   tsan.sh [BUILD FOLDER (build-thread)]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=.ci/setup.sh
. .ci/setup.sh

folder=${1:-build-thread}
configure "$folder" -DCMAKE_BUILD_TYPE=RelWithDebInfo -DCMAKE_C_COMPILER=gcc -DTERCET_WERROR=ON -DTERCET_SANITIZE_THREAD=ON
build "$folder" tercet_tests_plain

export TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1
export OPENBLAS_NUM_THREADS=1
# Where the kernel scatters mappings more widely than the sanitizer knows, the process asks for fixed addresses. The fork's
# test stays out: gcc's sanitizer gives up ("dup thread with used id") when a forked child starts threads of its own.
setarch "$(uname -m)" -R "$folder/tercet_tests_plain" pool/ loader/ dataset/ views/ glyphs/ threads/models
