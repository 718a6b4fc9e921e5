# Hosts on this machine, for the scripts that need a LAN: network namespaces on a bridge. The bridge has a namespace of its
# own, so that nothing of this touches the machine's own interfaces. To be sourced; says nothing and traps nothing itself.

# Ends the script, as skipped, where hosts cannot be made.
need_hosts() {
    if [ "$(id -u)" != 0 ] || ! command -v ip >/dev/null; then
        echo "skipped: making network namespaces needs root and iproute2 (the command ip)" >&2
        exit 0
    fi
}

make_hosts() { # NAME NETWORK COUNT: namespaces NAME-1, NAME-2 ... with the addresses NETWORK.1, NETWORK.2 ...
    local name=$1 network=$2 count=$3 host
    ip netns add "$name-switch"
    ip -n "$name-switch" link add switch type bridge
    ip -n "$name-switch" link set switch up
    for host in $(seq 1 "$count"); do
        ip netns add "$name-$host"
        ip -n "$name-$host" link add eth0 type veth peer name "port$host" netns "$name-switch"
        ip -n "$name-switch" link set "port$host" master switch up
        ip -n "$name-$host" addr add "$network.$host/24" broadcast "$network.255" dev eth0
        ip -n "$name-$host" link set eth0 up
        ip -n "$name-$host" link set lo up
    done
}

shape() { # NAMESPACE DEVICE KILOBITS: what the device sends, by a token bucket
    ip netns exec "$1" tc qdisc add dev "$2" root tbf rate "${3}kbit" burst 32kb limit 256kb
}

remove_hosts() { # NAME COUNT: also when only some of them were made
    local name=$1 count=$2 host
    for host in $(seq 1 "$count"); do ip netns del "$name-$host" 2>/dev/null || true; done
    ip netns del "$name-switch" 2>/dev/null || true
}
