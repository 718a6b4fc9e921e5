#!/usr/bin/env bash
# How fast the simulator is, and what memory it takes: swarms of several sizes, one after the other on one core.
# Usage: scripts/simulator-speed.sh [--large] [BINARY]
# For each: events, events a second of processor time, processor time, the most memory (what is below 14 MiB is this script's own), and
# the digest of its trace, which is the same for the same code on every machine. --large plays 4,000 peers too, which takes
# long. Without BINARY, the release build.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
if ! command -v python3 >/dev/null; then
    echo "skipped: this needs python3" >&2
    exit 0
fi
large=
if [ "${1:-}" = --large ]; then
    large=yes
    shift
fi
binary=${1:-}
if [ -z "$binary" ]; then
    cargo build --release --locked
    binary=${CARGO_TARGET_DIR:-target}/release/chunkcast
fi
exec python3 - "$binary" "$large" <<'PYTHON'
import json
import os
import subprocess
import sys

binary, large = sys.argv[1:]
runs = [(8, "64MiB", "32KiB"), (32, "64MiB", "64KiB"), (100, "64MiB", "64KiB"), (1000, "64MiB", "64KiB")]
if large:
    runs.append((4000, "256MiB", "64KiB"))
print(f"load when it began: {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")
print("| peers | chunks | last / bound | events | events/s | processor s | MiB | trace |")
print("| --- | --- | --- | --- | --- | --- | --- | --- |", flush=True)
for peers, size, chunk_size in runs:
    command = [binary, "simulate", "--json", "--peers", str(peers), "--size", size, "--chunk-size", chunk_size]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        output = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    result = next(line for line in map(json.loads, output.splitlines()) if line["t"] == "simulated")
    seconds = usage.ru_utime + usage.ru_stime
    print(
        f"| {peers:,} | {result['chunks']:,} | {result['over_bound']:.3f} | {result['events']:,} "
        f"| {result['events'] / max(seconds, 0.001):,.0f} | {seconds:.1f} | {usage.ru_maxrss / 1024:.0f} "
        f"| {result['digest'][:12]} |",
        flush=True,
    )
PYTHON
