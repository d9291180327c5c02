#!/usr/bin/env bash
# Kills training with -9 at 50 random points, half of them at a call of the checkpoint's own writing, resumes each run, and
# compares the final model with that of a run which was never killed. Argument: the build folder.
set -euo pipefail
TERCET_KILL_POINTS=${TERCET_KILL_POINTS:-50} "$1/tercet_tests" --filter 'survive/kill_9_at_random_points'
