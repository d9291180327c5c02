#!/usr/bin/env bash
# Every allocation and every file call of a training program's life fails in turn; the suite only samples them. Argument: the
# build folder.
set -euo pipefail
TERCET_FAULTS=all "$1/tercet_tests" --filter 'train_faults/*'
