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
. scripts/hosts.bash
kib=${1:-3000}
case "$kib" in
    '' | *[!0-9]* | 0) echo "usage: scripts/classic-lan.sh [KIB], a number above 0" >&2; exit 2 ;;
esac
need_hosts
cargo build --release --locked
target=${CARGO_TARGET_DIR:-target}
binary=$(realpath "$target/release/chunkcast")
folder=$(mktemp -d)
name=cl$$
pids=()

cleanup() {
    trap '' INT TERM
    [ ${#pids[@]} = 0 ] || kill "${pids[@]}" 2>/dev/null || true
    wait 2>/dev/null || true
    remove_hosts "$name" 4
    rm -rf "$folder"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

make_hosts "$name" 10.78.0 4
mkdir -p "$folder"/{1,2,3,4}

background() { # LOG HOST ARGUMENTS...
    local log=$1 host=$2
    shift 2
    # The process takes the place of its shell, so that its id is the one that is known.
    (exec ip netns exec "$name-$host" "$binary" "$@" --name "host-$host" --state-dir "$folder/state-$host" \
        --dialog never --announce-interval 2s) >>"$folder/$log.log" 2>&1 &
    pids+=($!)
}
for file in alpha beta gamma; do head -c "${kib}K" /dev/urandom >"$folder/$file.png"; done

background 1-discover 1 classic discover --dir "$folder/1"
background 1-upload 1 classic upload --dir "$folder/1"
background 1-announce 1 classic announce "$folder/alpha.png" --dir "$folder/1"
background 2-peer 2 classic peer "$folder/beta.png" --dir "$folder/2"
background 3-share 3 share --classic "$folder/gamma.png"

failed=0
results=()
fetch() { # HOST FILE LOG ARGUMENTS...
    local host=$1 file=$2 log=$3
    shift 3
    echo "host-$host fetches $file ..."
    background "$log" "$host" "$@"
    # Waiting for what runs beside this shell can be interrupted, unlike what runs in front of it.
    if wait "${pids[-1]}" && cmp -s "$folder/$file" "$folder/$host/$file"; then
        results+=("host-$host has $file, byte for byte")
    else
        results+=("host-$host FAILED to get $file")
        failed=1
    fi
    unset 'pids[-1]'
}
fetch 1 beta.png 1-download classic download beta --dir "$folder/1" --wait 30s
fetch 1 gamma.png 1-download classic download gamma --dir "$folder/1" --wait 30s
for file in alpha.png beta.png gamma.png; do
    fetch 4 "$file" 4-get get --classic "$file" -o "$folder/4/" --wait 30s
done

for log in "$folder"/*.log; do
    log_name=$(basename "$log" .log)
    echo
    echo "host-${log_name%%-*}, ${log_name#*-}:"
    # What is said again with every round is said once here.
    awk '!said[$0]++ { print "  " $0 }' "$log" | sed "s#$folder/##g"
done
for file in "$folder"/1/*.txt; do
    echo
    echo "host-1, $(basename "$file"):"
    sed 's/^/  /' "$file"
    [ -z "$(tail -c1 "$file")" ] || echo
done
echo
printf '%s\n' "${results[@]}"
exit "$failed"
