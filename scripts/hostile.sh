#!/usr/bin/env bash
# Attacks a peer that shares files, on a LAN of network namespaces, and prints a table: beside each attack how fast an honest host
# downloads, compared with the same download undisturbed; whether a host that comes during the attack is served; and how much memory
# the attacked peer needed at most.
#
# Usage: scripts/hostile.sh [--quick] [--rounds R] [--only TEXT]
#   --quick       one round of a smaller file
#   --rounds R    downloads of which the median counts, alone and beside each attack (default 3)
#   --only TEXT   only attacks with this text in their names
#
# Method: victim, honest downloader, attacker and newcomer are four hosts; each link is shaped to 300 Mbit/s in both directions by a
# token bucket (tc tbf: burst 32 KiB, queue 256 KiB). Each row names the attacker's rate, and a slower link than the
# processors could fill leaves them time: all hosts share those of this machine. Time runs from the start of `get` to its end, so
# that discovery counts. The attacks are those of scripts/hostile_attacks.py; each ends with its row.
# A row is missed when the download keeps less than half of its speed, the newcomer is not served, or the memory is above a bound;
# with a missed row the exit code is 1. Needs root, iproute2 and python3; says so otherwise. HOSTILE_BINARY names another program.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. scripts/hosts.bash

usage() {
    sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "$0" >&2
    exit 2
}
rounds=3 size=64 only=''
while [ $# -gt 0 ]; do
    case "$1" in
        --quick) rounds=1 size=32; shift ;;
        --rounds) rounds=${2:-}; shift 2 || usage ;;
        --only) only=${2:-}; shift 2 || usage ;;
        *) usage ;;
    esac
done
case "$rounds" in '' | 0 | *[!0-9]*) usage ;; esac
need_hosts
if ! command -v tc >/dev/null || ! command -v python3 >/dev/null; then
    echo "skipped: this needs tc (iproute2) and python3" >&2
    exit 0
fi
if [ -z "${HOSTILE_BINARY:-}" ]; then
    cargo build --release --locked
    HOSTILE_BINARY=${CARGO_TARGET_DIR:-target}/release/chunkcast
fi
HOSTILE_BINARY=$(realpath "$HOSTILE_BINARY")
export HOSTILE_BINARY
memory=/dev/shm
[ -w "$memory" ] || memory=${TMPDIR:-/tmp}
folder=$(mktemp -d -p "$memory")
name=ch$$ hosts=4 network=10.78.0 rate=300 attacker=3
measuring=

cleanup() {
    trap '' INT TERM
    if [ -n "$measuring" ]; then
        kill "$measuring" 2>/dev/null || true
        wait "$measuring" 2>/dev/null || true
    fi
    # Whatever still runs in these namespaces was started by this run.
    for host in $(seq 1 "$hosts"); do
        ip netns pids "$name-$host" 2>/dev/null | xargs -r kill -9 2>/dev/null || true
    done
    wait 2>/dev/null || true
    remove_hosts "$name" "$hosts"
    rm -rf "$folder"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

make_hosts "$name" "$network" "$hosts"
for host in $(seq 1 "$hosts"); do
    shape "$name-$host" eth0 $((rate * 1000))
    shape "$name-switch" "port$host" $((rate * 1000))
done
# The addresses from which the attacker connects.
for last in $(seq 20 185); do
    ip -n "$name-$attacker" addr add "$network.$last/24" dev eth0
done

# In the background, because waiting for what runs there can be interrupted.
python3 scripts/hostile.py --prefix "$name" --network "$network" --rate "$rate" --size "$size" --rounds "$rounds" \
    --folder "$folder" --only "$only" &
measuring=$!
wait "$measuring"
