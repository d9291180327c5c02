#!/usr/bin/env bash
# Every claim of `tercet claims` for real: each ends in less than a minute, none fails to run, and only what needs a device that is
# not here is not testable. Verdicts are this machine's, and so are no part of it.
#   .ci/claims.sh [build folder]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=.ci/setup.sh
. .ci/setup.sh
folder=${1:-build}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

"$folder/tercet" claims --quiet --json --html "$scratch/claims.html" >"$scratch/claims.json" || die "an experiment failed to run (above)"
python3 - "$scratch/claims.json" <<'PYTHON'
import json, sys
claims = json.load(open(sys.argv[1]))
devices = {"gpu-faster", "gpu-no-setup", "small-on-cpu", "tpu-faster"}
wrong = [f"{c['name']}: {c['text']}" for c in claims
         if c["seconds"] >= 60 or (c["verdict"] == "not_testable" and c["name"] not in devices)]
for c in claims:
    print(f"{c['name']:22} {c['verdict']:13} {c['seconds']:6.1f} s  {c['text']}")
print(f"{sum(c['seconds'] for c in claims):.0f} s in all")
if wrong or len(claims) < 17:
    sys.exit("claims that took a minute or could not be tested:\n" + "\n".join(wrong))
PYTHON
