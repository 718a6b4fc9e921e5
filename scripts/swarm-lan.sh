#!/usr/bin/env bash
# One host has a file, N hosts want it at once: how long until the last has it, over links of a given speed, and how far that is
# from the bound (the time in which the file passes one link once). Real processes in network namespaces on a bridge.
#
# Usage: scripts/swarm-lan.sh [options] N RATE SIZE [PROGRAM...]
#   N             hosts that want the file, 1 to 100; one more has it
#   RATE          what each host can send, in megabits (10^6) a second
#   SIZE          of the file, in MiB
#   PROGRAM       chunkcast (default), http (nginx and curl), libtorrent, aria2, udpcast; or all
#   --late S      half of the hosts come S seconds later
#   --slow K      one host sends and receives at RATE/K
#   --rounds R    runs of each program, in turn; the median counts (default 1)
#   --out FILE    puts the figures into this JSON file, where rows of the same program and scenario are replaced
#
# Method: each host's sending is shaped by a token bucket (tc tbf: burst 32 KiB, queue 256 KiB), receiving is not (but for --slow);
# cubic everywhere; files in memory; who is done stays and serves the others. Time runs from the start of the processes, so
# that discovery counts, to the last copy; every copy is compared byte by byte. What the seed sent is what its link says.
# Needs root, iproute2 and python3; says so otherwise. libtorrent is looked for in the python that SWARM_PYTHON names.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. scripts/hosts.bash

usage() {
    sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "$0" >&2
    exit 2
}
numbers=() programs=() slow='' out=() rounds=1 late=0
while [ $# -gt 0 ]; do
    case "$1" in
        --late) late=${2:-}; shift 2 || usage ;;
        --slow) slow=${2:-}; shift 2 || usage ;;
        --rounds) rounds=${2:-}; shift 2 || usage ;;
        --out) out=(--out "$(realpath -m "${2:-}")"); shift 2 || usage ;;
        -*) usage ;;
        *[!0-9]*) programs+=("$1"); shift ;;
        *) numbers+=("$1"); shift ;;
    esac
done
case "$late$slow$rounds" in *[!0-9]*) usage ;; esac
[ ${#numbers[@]} = 3 ] || usage
hosts=${numbers[0]} rate=${numbers[1]} size=${numbers[2]}
[ "$hosts" -le 100 ] || usage
for number in "$hosts" "$rate" "$size" "${slow:-1}" "$rounds"; do
    [ "$number" -ge 1 ] || usage
done
[ ${#programs[@]} -gt 0 ] || programs=(chunkcast)
need_hosts
if ! command -v tc >/dev/null || ! command -v python3 >/dev/null; then
    echo "skipped: this needs tc (iproute2) and python3" >&2
    exit 0
fi
if [ -z "${SWARM_BINARY:-}" ]; then
    cargo build --release --locked
    SWARM_BINARY=${CARGO_TARGET_DIR:-target}/release/chunkcast
fi
SWARM_BINARY=$(realpath "$SWARM_BINARY")
export SWARM_BINARY
memory=/dev/shm
[ -w "$memory" ] || memory=${TMPDIR:-/tmp}
folder=$(mktemp -d -p "$memory")
name=cs$$
measuring=

cleanup() {
    trap '' INT TERM
    [ -z "$measuring" ] || kill "$measuring" 2>/dev/null || true
    # Whatever still runs in these namespaces was started by this run.
    for host in $(seq 1 $((hosts + 1))); do
        ip netns pids "$name-$host" 2>/dev/null | xargs -r kill -9 2>/dev/null || true
    done
    wait 2>/dev/null || true
    remove_hosts "$name" $((hosts + 1))
    rm -rf "$folder"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

make_hosts "$name" 10.79.0 $((hosts + 1))
for host in $(seq 1 $((hosts + 1))); do
    ip -n "$name-$host" route change 10.79.0.0/24 dev eth0 proto kernel scope link src "10.79.0.$host" congctl cubic
    kilobits=$((rate * 1000))
    if [ -n "$slow" ] && [ "$host" = 2 ]; then
        kilobits=$((kilobits / slow))
        shape "$name-switch" "port$host" "$kilobits"
    fi
    shape "$name-$host" eth0 "$kilobits"
done

# In the background, because waiting for what runs there can be interrupted.
python3 scripts/swarm_lan.py --prefix "$name" --network 10.79.0 --hosts "$hosts" --rate "$rate" --size "$size" --late "$late" \
    --slow "${slow:-1}" --rounds "$rounds" --folder "$folder" "${out[@]}" "${programs[@]}" &
measuring=$!
wait "$measuring"
measuring=
