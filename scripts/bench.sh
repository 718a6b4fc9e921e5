#!/usr/bin/env bash
# How fast chunkcast is, beside what else is installed: nginx with curl, rsync's daemon, aria2, libtorrent, rqbit, b3sum.
#
# Usage: scripts/bench.sh [--quick] [--runs N] [--only ROW,ROW] [--out FILE]
#
# Method: everything on loopback and in memory (a folder in /dev/shm); both sides of a comparison run in turn, round by round, so
# that whatever else the machine does hits both, and ratios are medians of the rounds' ratios; the first round only warms up;
# every received file is compared with the original byte by byte. With root the run has a network namespace of its own, in which
# loopback speaks one congestion control (BENCH_CONGESTION, default cubic); without, it speaks what the machine does,
# which the result says. Writes docs/benchmarks.json; scripts/bench-plot draws it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

if [ "${BENCH_INSIDE:-}" != 1 ]; then
    if [ "$(uname)" != Linux ] || ! [ -d /dev/shm ] || ! command -v python3 >/dev/null; then
        echo "skipped: this needs Linux with /dev/shm, and python3" >&2
        exit 0
    fi
    cargo build --release --locked
    BENCH_BINARY=$(cargo build --release --locked --message-format=json 2>/dev/null |
        sed -n 's/.*"executable":"\([^"]*chunkcast\)".*/\1/p' | tail -1)
    BENCH_READERS=$(cargo bench --locked --bench throughput --no-run --message-format=json 2>/dev/null |
        sed -n 's/.*"executable":"\([^"]*throughput-[^"]*\)".*/\1/p' | tail -1)
    export BENCH_BINARY BENCH_READERS BENCH_INSIDE=1
    ulimit -n "$(ulimit -Hn)"
    if [ "$(id -u)" = 0 ] && command -v ip >/dev/null && command -v unshare >/dev/null && unshare -n true 2>/dev/null; then
        exec unshare -n "$0" "$@"
    fi
elif ip link set lo up 2>/dev/null; then
    congestion=${BENCH_CONGESTION:-cubic}
    for network in 127.0.0.0/8 127.0.0.1; do
        ip route change local "$network" dev lo proto kernel scope host src 127.0.0.1 table local congctl "$congestion" 2>/dev/null ||
            congestion=
    done
    [ -z "$congestion" ] || export BENCH_CONGESTION_SET=$congestion
fi
exec python3 scripts/bench.py "$@"
