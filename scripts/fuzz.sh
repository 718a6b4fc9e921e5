#!/usr/bin/env bash
# Fuzzes each decoder for a while. Needs cargo-fuzz and a nightly toolchain, or a stable one with RUSTC_BOOTSTRAP=1.
# Usage: scripts/fuzz.sh [SECONDS]      (default: 60 for each target)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
seconds=${1:-60}
if ! cargo fuzz --version >/dev/null 2>&1; then
    echo "cargo-fuzz is missing: cargo install cargo-fuzz, then run this again" >&2
    exit 1
fi
for target in $(cargo fuzz list); do
    echo "== $target"
    cargo fuzz run "$target" -- -max_total_time="$seconds" -print_final_stats=1
done
