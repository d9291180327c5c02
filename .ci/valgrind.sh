#!/usr/bin/env bash
# The readers of foreign files under valgrind, in one process: .ci/valgrind.sh [FOLDER], default build. Any error or lost
# block fails; what Criterion's processes would cost is why this has its own runner (tests/plain_main.c).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=.ci/setup.sh
. .ci/setup.sh

folder=${1:-build}
require_packages "${BUILD_PACKAGES[@]}" libcriterion-dev valgrind
build "$folder" tercet_tests_plain
# Suites that read files, job texts and numbers; the fuzz seeds go through every reader.
TERCET_ISA=generic TERCET_THREADS=1 valgrind --quiet --error-exitcode=99 --leak-check=full --errors-for-leak-kinds=definite \
  --show-leak-kinds=definite "$folder/tercet_tests_plain" csv/ idx/ npy/ safetensors/ job/problems yaml/ text/ file/ limits/ \
  fuzz/seeds
