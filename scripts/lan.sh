#!/usr/bin/env bash
# A small LAN on this machine: network namespaces on a bridge, one peer in each, real broadcasts, no flags.
# The first shares a random file, the others find and fetch it at once; every copy is compared byte by byte.
# Usage: scripts/lan.sh [PEERS] [MIB]      (default: 3 peers, 64 MiB). Needs root and iproute2; says so otherwise.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. scripts/hosts.bash
peers=${1:-3} mib=${2:-64}
case "$peers$mib" in
    *[!0-9]*) echo "usage: scripts/lan.sh [PEERS] [MIB], both numbers" >&2; exit 2 ;;
esac
if [ "$peers" -lt 2 ] || [ "$peers" -gt 200 ]; then
    echo "a LAN of 2 to 200 peers, please" >&2
    exit 2
fi
need_hosts
cargo build --release --locked
binary=$(realpath "${CARGO_TARGET_DIR:-target}/release/chunkcast")
folder=$(mktemp -d)
name=cc$$
sharer=

cleanup() {
    [ -z "$sharer" ] || kill "$sharer" 2>/dev/null || true
    wait 2>/dev/null || true
    remove_hosts "$name" "$peers"
    rm -rf "$folder"
}
trap cleanup EXIT INT TERM

make_hosts "$name" 10.77.0 "$peers"
for host in $(seq 1 "$peers"); do
    mkdir -p "$folder/$host"
done

head -c "${mib}M" /dev/urandom >"$folder/1/file.bin"
# Only for the background: the process takes the place of its shell, so that its id is the one that is known.
on() { # HOST ARGUMENTS...
    local host=$1
    shift
    exec ip netns exec "$name-$host" "$binary" "$@" --name "host-$host" --state-dir "$folder/state-$host"
}
mkfifo "$folder/ready"
on 1 share "$folder/1/file.bin" --json >"$folder/ready" 2>"$folder/share.log" &
sharer=$!
# The first line about the file says that it is hashed and offered.
grep -m1 '"t":"content"' "$folder/ready" >/dev/null
(cat "$folder/ready" >/dev/null 2>&1 || true) &

pids=()
for host in $(seq 2 "$peers"); do
    on "$host" get file.bin -o "$folder/$host/" --seed=3s >/dev/null 2>"$folder/get-$host.log" &
    pids+=($!)
done
failed=0
for host in $(seq 2 "$peers"); do
    if wait "${pids[$((host - 2))]}" && cmp -s "$folder/1/file.bin" "$folder/$host/file.bin"; then
        echo "host-$host: $(grep -o 'file.bin: .*' "$folder/get-$host.log" | tail -n 1)"
    else
        echo "host-$host FAILED:" >&2
        cat "$folder/get-$host.log" >&2
        failed=1
    fi
done
exit $failed
