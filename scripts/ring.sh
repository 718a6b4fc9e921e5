#!/usr/bin/env bash
# An owner and peers in a ring, as processes on this machine: each peer downloads from the next one. Ends when all files
# are verified, prints who got what from whom, and leaves one log a process. A peer that fails makes it fail.
# Usage: scripts/ring.sh [PEERS] [FILE]      (default: 5 peers, 10 MiB of random bytes)
# RING_PORT names the first of the ports; RING_DIR the folder for logs and copies; CHUNKCAST the binary.
set -euo pipefail
peers=${1:-5} file=${2:-}
case "$peers" in
    '' | *[!0-9]*) echo "usage: scripts/ring.sh [PEERS] [FILE]" >&2; exit 2 ;;
esac
if [ "$peers" -lt 1 ] || [ "$peers" -gt 200 ]; then
    echo "a ring of 1 to 200 peers, please" >&2
    exit 2
fi
if [ -n "$file" ]; then
    [ -f "$file" ] || { echo "there is no file $file" >&2; exit 2; }
    file=$(cd "$(dirname "$file")" && pwd)/$(basename "$file")
fi
binary=${CHUNKCAST:-}
[ -z "$binary" ] || binary=$(realpath "$binary")
folder=${RING_DIR:-$(mktemp -d)}
mkdir -p "$folder"
folder=$(realpath "$folder")
cd "$(dirname "${BASH_SOURCE[0]}")/.."
if [ -z "$binary" ]; then
    cargo build --release --locked
    binary=${CARGO_TARGET_DIR:-target}/release/chunkcast
fi
port=${RING_PORT:-$((20000 + RANDOM % 10000))}
if [ -z "$file" ]; then
    file=$folder/random.bin
    head -c 10M /dev/urandom >"$file"
fi

running=()
cleanup() {
    for process in "${running[@]:-}"; do
        [ -z "$process" ] || kill "$process" 2>/dev/null || true
    done
    wait 2>/dev/null || true
}
interrupted() {
    trap - INT TERM
    echo "interrupted; logs: $folder" >&2
    exit "$1"
}
trap cleanup EXIT
trap 'interrupted 130' INT
trap 'interrupted 143' TERM
# What fails here is told here.
export CHUNKCAST_DIALOG=never

"$binary" ring owner "$file" --listen "127.0.0.1:$port" --peers "$peers" --exit-when-done \
    --name owner --state-dir "$folder/state-owner" >"$folder/owner.log" 2>"$folder/owner.err" &
running+=($!)
for peer in $(seq 1 "$peers"); do
    # One peer alone has nobody but the owner to download from.
    next=$((port + peer % peers + 1))
    [ "$peers" -gt 1 ] || next=$port
    mkdir -p "$folder/peer-$peer"
    "$binary" ring peer "$port" "127.0.0.1:$((port + peer))" "$next" -o "$folder/peer-$peer/" --exit-when-done \
        --name "peer-$peer" --state-dir "$folder/state-$peer" \
        >"$folder/peer-$peer.log" 2>"$folder/peer-$peer.err" &
    running+=($!)
done

# The owner, which is the first, ends when everybody is complete. A peer that fails would leave the others waiting: they
# are not waited for any more. No more are they when the owner fails.
failed=0
while kill -0 "${running[0]}" 2>/dev/null; do
    for peer in $(seq 1 "$peers"); do
        if ! kill -0 "${running[$peer]}" 2>/dev/null && ! grep -q ' complete ' "$folder/peer-$peer.log"; then
            failed=1
            kill "${running[0]}" 2>/dev/null || true
        fi
    done
    sleep 0.1
done
ended=()
for place in $(seq 0 "$peers"); do
    code=0
    [ "$failed" = 0 ] || kill "${running[$place]}" 2>/dev/null || true
    wait "${running[$place]}" || code=$?
    [ "$code" = 0 ] || failed=1
    ended+=("$code")
    running[place]=
done

printf '%-10s %18s %22s %8s\n' peer 'from the owner' 'from the neighbour' seconds
for peer in $(seq 1 "$peers"); do
    log=$folder/peer-$peer.log
    from() { grep -c -E " received chunk [0-9]+/[0-9]+ from $1 " "$log" || true; }
    # A name that not every system takes is stored under another.
    got=$(find "$folder/peer-$peer" -maxdepth 1 -type f ! -name '*.summary.json' | head -n 1)
    if [ "${ended[$peer]}" = 0 ] && cmp -s "$file" "$got"; then
        seconds=$("$binary" log --state-dir "$folder/state-$peer" | sed -n 's/.* DONE .* dur=\([0-9.]*\) .*/\1/p' | tail -n 1)
        printf '%-10s %18s %22s %8s\n' "peer-$peer" "$(from owner)" "$(from neighbour)" "${seconds:--}"
    elif [ "${ended[$peer]}" = 143 ]; then
        printf '%-10s stopped, for another failed\n' "peer-$peer"
    else
        failed=1
        printf '%-10s FAILED with exit code %s\n' "peer-$peer" "${ended[$peer]}"
        tail -n 3 "$folder/peer-$peer.err" >&2
    fi
done
if [ "${ended[0]}" != 0 ]; then
    failed=1
    tail -n 3 "$folder/owner.err" >&2
fi
echo "logs: $folder/owner.log, $folder/peer-1.log ..."
exit "$failed"
