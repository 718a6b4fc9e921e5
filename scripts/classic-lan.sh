#!/usr/bin/env bash
# Four peers of the classic dialects in four network namespaces on a bridge, with real broadcasts and the fixed ports:
#   host-1  the four programs as four processes over one folder: announce, upload, discover, and then download
#   host-2  classic peer: all four in one loop
#   host-3  share --classic: a native peer that classic ones see too
#   host-4  get --classic: fetches from all of them, verified where a native peer offers it
# Each offers a file or fetches the others'; prints what each did and compares every copy byte by byte.
# Usage: scripts/classic-lan.sh [KIB]      (size of each file, default 3000). Needs root and iproute2; says so otherwise.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
kib=${1:-3000}
case "$kib" in
    '' | *[!0-9]* | 0) echo "usage: scripts/classic-lan.sh [KIB], a number above 0" >&2; exit 2 ;;
esac
if [ "$(id -u)" != 0 ] || ! command -v ip >/dev/null; then
    echo "skipped: making network namespaces needs root and iproute2 (the command ip)" >&2
    exit 0
fi
cargo build --release --locked
binary=$PWD/target/release/chunkcast
folder=$(mktemp -d)
name=cl$$
pids=()

cleanup() {
    [ ${#pids[@]} = 0 ] || kill "${pids[@]}" 2>/dev/null || true
    wait 2>/dev/null || true
    for host in 1 2 3 4; do ip netns del "$name-$host" 2>/dev/null || true; done
    ip netns del "$name-switch" 2>/dev/null || true
    rm -rf "$folder"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# The switch has a namespace of its own, so that nothing of this touches the machine's own interfaces.
ip netns add "$name-switch"
ip -n "$name-switch" link add switch type bridge
ip -n "$name-switch" link set switch up
for host in 1 2 3 4; do
    ip netns add "$name-$host"
    ip -n "$name-$host" link add eth0 type veth peer name "port$host" netns "$name-switch"
    ip -n "$name-switch" link set "port$host" master switch up
    ip -n "$name-$host" addr add "10.78.0.$host/24" broadcast 10.78.0.255 dev eth0
    ip -n "$name-$host" link set eth0 up
    ip -n "$name-$host" link set lo up
    mkdir -p "$folder/$host"
done

on() { # HOST ARGUMENTS...
    local host=$1
    shift
    ip netns exec "$name-$host" "$binary" "$@" --name "host-$host" --state-dir "$folder/state-$host" \
        --announce-interval 2s
}
background() { # LOG HOST ARGUMENTS...
    local log=$1 host=$2
    shift 2
    # The process takes the place of its shell, so that its id is the one that is known.
    (exec ip netns exec "$name-$host" "$binary" "$@" --name "host-$host" --state-dir "$folder/state-$host" \
        --announce-interval 2s) >"$folder/$log.log" 2>&1 &
    pids+=($!)
}
for file in 1/alpha.png 2/beta.png 3/gamma.png; do head -c "${kib}K" /dev/urandom >"$folder/source-${file##*/}"; done
cp "$folder/source-alpha.png" "$folder/1/alpha.png"

background host-1-discover 1 classic discover --dir "$folder/1"
background host-1-upload 1 classic upload --dir "$folder/1"
background host-1-announce 1 classic announce "$folder/1/alpha.png" --dir "$folder/1"
background host-2-peer 2 classic peer "$folder/source-beta.png" --dir "$folder/2"
background host-3-share 3 share --classic "$folder/source-gamma.png"

failed=0
fetch() { # HOST SOURCE COPY ARGUMENTS...
    local host=$1 source=$2 copy=$3
    shift 3
    if on "$host" "$@" >>"$folder/host-$host-fetch.log" 2>&1 && cmp -s "$source" "$copy"; then
        echo "host-$host: has ${copy##*/}, byte for byte"
    else
        echo "host-$host: FAILED to get ${copy##*/}" >&2
        failed=1
    fi
}
fetch 1 "$folder/source-beta.png" "$folder/1/source-beta.png" classic download source-beta --dir "$folder/1" --wait 30s
fetch 1 "$folder/source-gamma.png" "$folder/1/source-gamma.png" classic download source-gamma --dir "$folder/1" --wait 30s
fetch 4 "$folder/source-alpha.png" "$folder/4/alpha.png" get --classic alpha.png -o "$folder/4/" --wait 30s
fetch 4 "$folder/source-beta.png" "$folder/4/source-beta.png" get --classic source-beta.png -o "$folder/4/" --wait 30s
fetch 4 "$folder/source-gamma.png" "$folder/4/source-gamma.png" get --classic source-gamma.png -o "$folder/4/" --wait 30s

for log in "$folder"/*.log; do
    echo "== $(basename "$log" .log)"
    cat "$log"
done
echo "== host-1's shared files"
tail -n +1 "$folder"/1/*.txt
exit $failed
