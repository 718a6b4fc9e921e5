"""The attacks of scripts/hostile.sh: what a hostile host on the LAN can send, in the frames and datagrams of docs/protocol.md.

Runs in the attacker's namespace: hostile_attacks.py ATTACK VICTIM KEY=VALUE... It prints `ready` once the attack stands, and goes on
until it is ended, at the latest after SECONDS_MAX.
"""

import itertools
import json
import os
import resource
import selectors
import signal
import socket
import struct
import sys
import threading
import time

PORT = 7117
SECONDS_MAX = 240
QUERY_BYTES = 1200
CHANNELS_MAX, BATCH, REFUSAL_BYTES = 20_000, 100, 38
# Costly patterns: brackets longer than a peer should take, the longest that it takes, and the most stars.
PATTERNS = ["*" + ("[!" + "~" * 60 + "]") * 12 + "~", "*" + ("[!" + "~" * 20 + "]") * 12 + "~", "*e" * 63 + "~"]


# --- what is on the wire ----------------------------------------------------------------------------------------------------


def frame(kind, body=b""):
    return struct.pack(">IB", 1 + len(body), kind) + body


def hello(peer, port=PORT):
    said = {"v": 1, "peer": peer, "user": "mallory", "port": port, "agent": "hostile"}
    return frame(0x01, json.dumps(said).encode())


def opening(channel, content):
    return frame(0x04, struct.pack(">I", channel) + content + struct.pack(">QI", 0, 0))


def on_chunk(kind, chunk, channel=0):
    return frame(kind, struct.pack(">II", channel, chunk))


def request(chunk):
    return on_chunk(0x0B, chunk)


def cancel(chunk):
    return on_chunk(0x0C, chunk)


def bad(chunk):
    return on_chunk(0x0E, chunk)


PING, PONG = frame(0x10), frame(0x11)


def bye(text):
    return frame(0x12, text.encode())


def peer_id():
    return os.urandom(16).hex()


def announcement(peer, entries=(), count=None, every=3_600_000):
    told = {
        "peer": peer, "user": "mallory", "port": PORT, "every": every, "peers": 1, "generation": 1,
        "count": len(entries) if count is None else count, "entries": list(entries),
    }  # fmt: skip
    return b'{"chunkcast":1,"announce":' + json.dumps(told, separators=(",", ":")).encode() + b"}"


def query(peer, wanted):
    asked = {"peer": peer, "user": "mallory", "port": PORT, "nonce": int.from_bytes(os.urandom(7), "big"), "wanted": wanted}
    head = b'{"chunkcast":1,"query":' + json.dumps(asked, separators=(",", ":")).encode() + b',"pad":"'
    return head + b" " * (QUERY_BYTES - len(head) - 2) + b'"}'


def entry(name="invented"):
    return {"id": os.urandom(32).hex(), "name": name, "size": 1 << 20, "have": 64, "of": 64}


class Frames:
    """Takes a stream apart; of chunks it keeps nothing."""

    def __init__(self):
        self.pending = bytearray()
        self.skip = 0

    def take(self, piece):
        if self.skip:
            skipped = min(self.skip, len(piece))
            self.skip -= skipped
            piece = piece[skipped:]
        self.pending += piece
        while len(self.pending) >= 5:
            length, kind = struct.unpack_from(">IB", self.pending)
            end = 4 + length
            if kind == 0x0F and len(self.pending) < end:
                self.skip = end - len(self.pending)
                self.pending.clear()
                return
            if len(self.pending) < end:
                return
            body = bytes(self.pending[5:end])
            del self.pending[:end]
            if kind != 0x0F:
                yield kind, body


# --- sockets ----------------------------------------------------------------------------------------------------------------


def dial(host, source=None, port=PORT, receive_bytes=None):
    sock = socket.socket()
    if receive_bytes:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    sock.settimeout(5)
    if source:
        sock.bind((source, 0))
    sock.connect((host, port))
    return sock


class Spoofer:
    """Sends datagrams from any address of the network: the headers are made here."""

    def __init__(self):
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)

    def send(self, source, to, payload, port=PORT):
        # The kernel fills in the checksum of the IP header; none is said for UDP.
        udp = struct.pack(">HHHH", PORT + 1, port, 8 + len(payload), 0)
        header = struct.pack(
            ">BBHHHBBH4s4s", 0x45, 0, 28 + len(payload), 0, 0, 64, socket.IPPROTO_UDP, 0, socket.inet_aton(source), socket.inet_aton(to)
        )
        try:
            self.sock.sendto(header + udp + payload, (to, 0))
        except OSError:
            pass  # The device's queue is full: it is one datagram less.


class Pace:
    """Lets something happen so many times a second."""

    def __init__(self, per_second):
        self.per_second, self.begun, self.done = per_second, time.monotonic(), 0

    def wait(self, count=1):
        ahead = self.done / self.per_second - (time.monotonic() - self.begun)
        if ahead > 0.002:
            time.sleep(ahead)
        self.done += count


def ready():
    print("ready", flush=True)


def addresses(attack, count):
    """So many addresses of the network that no host of the benchmark has."""
    network = attack["network"]
    return [f"{network}.{last}" for last in range(20, 20 + count)]


# --- attacks: each a function of the victim's address and a dictionary of texts ------------------------------------------------


def globs_udp(victim, attack):
    """Queries with costly patterns, each of a peer of its own."""
    sock, pace = socket.socket(socket.AF_INET, socket.SOCK_DGRAM), Pace(10)
    ready()
    for pattern in itertools.cycle(PATTERNS):
        pace.wait()
        sock.sendto(query(peer_id(), {"glob": pattern}), (victim, PORT))


def globs_tcp(victim, attack):
    """Requests for a catalogue with costly patterns, on four connections."""
    pace, socks = Pace(10), []
    asked = [frame(0x02, json.dumps({"wanted": {"glob": pattern}}).encode()) for pattern in PATTERNS]
    ready()
    for at in itertools.count():
        pace.wait()
        try:
            if len(socks) < 4:
                socks.append(dial(victim))
                socks[-1].sendall(hello(peer_id()))
                socks[-1].setblocking(False)
            sock = socks[at % len(socks)]
            sock.send(asked[at % len(asked)])
            sock.recv(1 << 20)
        except BlockingIOError:
            pass
        except OSError:
            socks.clear()


def name_used(victim, attack):
    """64 datagrams in the name of a host that comes only later."""
    spoofer = Spoofer()
    for _ in range(64):
        spoofer.send(attack["name_of"], victim, announcement(peer_id(), [entry()]))
    time.sleep(0.5)
    ready()
    while True:
        time.sleep(60)


def invented(victim, attack):
    """4,096 invented peers from 128 addresses at 1,500 a second, and then 100 more a second."""
    spoofer, sources, pace = Spoofer(), addresses(attack, 128), Pace(1_500)
    for number in itertools.count():
        if number == 4_200:
            ready()
            pace = Pace(100)
        pace.wait()
        spoofer.send(sources[number % len(sources)], victim, announcement(peer_id(), [entry()]))


def idle(victim, attack):
    """Connections from many addresses that greet, stay, and answer pings; those that are closed are made anew."""
    per_address, count = 62, int(attack["connections"])
    sources = addresses(attack, -(-count // per_address))
    resource.setrlimit(resource.RLIMIT_NOFILE, (count + 1024, count + 1024))
    selector, pace, said_ready = selectors.DefaultSelector(), Pace(2_000), False
    held, most, grown = dict.fromkeys(sources, 0), 0, time.monotonic()
    while True:
        if len(selector.get_map()) < count:
            pace.wait()
            source = min(held, key=held.get)
            held[source] += 1
            try:
                sock = dial(victim, source)
                sock.sendall(hello(peer_id()))
                sock.setblocking(False)
                selector.register(sock, selectors.EVENT_READ, source)
            except OSError:
                held[source] -= 1
                time.sleep(0.01)
        if len(selector.get_map()) > most:
            most, grown = len(selector.get_map()), time.monotonic()
        # It is full when there are no more for a while.
        if not said_ready and (most == count or time.monotonic() - grown > 3):
            said_ready, pace = True, Pace(200)
            ready()
        for key, _ in selector.select(0 if len(selector.get_map()) < count else 0.05):
            try:
                piece = key.fileobj.recv(1 << 16)
                if PING in piece:
                    key.fileobj.send(PONG)
            except BlockingIOError:
                continue
            except OSError:
                piece = b""
            if not piece:
                selector.unregister(key.fileobj)
                key.fileobj.close()
                held[key.data] -= 1


def flood_frames(victim, attack, frames, per_second, reads=False):
    """The same frames over and over, so many a second on all connections together."""
    count, content = int(attack["connections"]), bytes.fromhex(attack["content"])

    def flood():
        while True:
            try:
                # Chunks that are not read do not share the victim's link.
                sock = dial(victim, receive_bytes=None if reads else 4_096)
                sock.settimeout(None)
                sock.sendall(hello(peer_id()) + opening(0, content))
                if reads:
                    threading.Thread(target=read_on, args=[sock], daemon=True).start()
                pace = Pace(per_second / count)
                while True:
                    pace.wait(len(frames))
                    sock.sendall(b"".join(frames))
            except OSError:
                time.sleep(0.1)

    def read_on(sock):
        try:
            while sock.recv(1 << 16):
                pass
        except OSError:
            pass

    for _ in range(count):
        threading.Thread(target=flood, daemon=True).start()
    time.sleep(1)
    ready()
    time.sleep(SECONDS_MAX)


def requests(victim, attack):
    """Requests that are taken back at once, 2,000,000 frames (208 Mbit) a second."""
    flood_frames(victim, attack, [kind(chunk) for chunk in range(64) for kind in (request, cancel)] * 16, 2_000_000)


def pings(victim, attack):
    """Pings, 2,000,000 (80 Mbit) a second; the answers are read, else the connections would be closed."""
    flood_frames(victim, attack, [PING] * 2_048, 2_000_000, reads=True)


def complaints(victim, attack):
    """`bad` for chunks that never came, 1,000 a second."""
    flood_frames(victim, attack, [bad(chunk % 64) for chunk in range(10)], 1_000)


def channels(victim, attack):
    """64 connections, each of which opens 20,000 contents that nobody has, as fast as they are refused."""

    def open_all():
        try:
            sock = dial(victim)
            sock.sendall(hello(peer_id()))
            for first in range(0, CHANNELS_MAX, BATCH):
                sock.sendall(b"".join(opening(first + at, os.urandom(32)) for at in range(BATCH)))
                # Who asks faster than it reads is closed.
                answered = 0
                while answered < BATCH * REFUSAL_BYTES:
                    piece = sock.recv(1 << 16)
                    if not piece:
                        return
                    answered += len(piece)
            opened.release()
            sock.settimeout(None)
            while piece := sock.recv(1 << 16):
                if PING in piece:
                    sock.sendall(PONG)
        except OSError:
            pass

    opened = threading.Semaphore(0)
    for _ in range(64):
        threading.Thread(target=open_all, daemon=True).start()
    deadline = time.monotonic() + 30
    for _ in range(64):
        opened.acquire(timeout=max(0.0, deadline - time.monotonic()))
    ready()
    time.sleep(SECONDS_MAX)


def junk(victim, attack):
    """42,000 datagrams a second from 200 addresses to everybody: noise, and every fourth an announcement of an invented peer."""
    spoofer, sources, pace = Spoofer(), addresses(attack, 200), Pace(42_000)
    invented_ones = [announcement(peer_id()) for _ in range(1_000)]
    noise = b'{"chunkcast":1,"announce":' + b"~" * 100
    everybody = attack["network"] + ".255"
    threading.Timer(1, ready).start()
    for number in itertools.count():
        if number % 50 == 0:
            pace.wait(50)
        payload = invented_ones[number // 4 % 1_000] if number % 4 == 0 else noise
        spoofer.send(sources[number % len(sources)], everybody, payload)


def impostor(victim, attack):
    """A hello with the victim's id and then bye, 20 times a second at each other host; and an announcement with that id, 10 a second."""
    sock = dial(victim)
    sock.sendall(hello(peer_id()))
    id_of_victim, frames = None, Frames()
    while id_of_victim is None:
        for kind, body in frames.take(sock.recv(1 << 16)):
            if kind == 0x01:
                id_of_victim = json.loads(body)["peer"]
    sock.close()
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    pace = Pace(20)
    ready()
    for number in itertools.count():
        pace.wait()
        if number % 2 == 0:
            udp.sendto(announcement(id_of_victim), (attack["network"] + ".255", PORT))
        for host in attack["others"].split(","):
            try:
                with dial(host) as sock:
                    sock.sendall(hello(id_of_victim) + bye("leaving"))
                    sock.settimeout(0.02)
                    sock.recv(1 << 16)
            except OSError:
                pass


def endless(victim, attack):
    """A catalogue without end, announced once a second and told as fast as it is asked for."""
    # Ids grow from page to page, as the order of a catalogue wants it.
    mark = "f" * 16
    one = ",".join(
        json.dumps({"id": mark + f"{at:048x}", "name": f"{mark}-{at}", "size": 1, "have": 1, "of": 1}, separators=(",", ":"))
        for at in range(380)
    )
    page = ('{"entries":[' + one + '],"more":true,"generation":1}').encode()
    serials = itertools.count(1)
    me = peer_id()

    def serve(sock):
        frames = Frames()
        try:
            while piece := sock.recv(1 << 16):
                for kind, body in frames.take(piece):
                    if kind == 0x01:
                        sock.sendall(hello(me))
                    elif kind == 0x02:
                        sock.sendall(frame(0x03, page.replace(mark.encode(), b"%016x" % next(serials))))
                    elif kind == 0x10:
                        sock.sendall(PONG)
        except OSError:
            pass

    def answer(udp):
        while True:
            datagram, sender = udp.recvfrom(2_048)
            try:
                asked = json.loads(datagram)["query"]
            except (ValueError, KeyError):
                continue
            told = announcement(me, [entry("endless")], 4_000_000_000, 60_000)
            told = told.replace(b'"entries"', b'"answers":%d,"entries"' % asked["nonce"])
            udp.sendto(told, sender)

    listener = socket.create_server(("", PORT), backlog=64)
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    udp.bind(("", PORT))
    threading.Thread(target=answer, args=[udp], daemon=True).start()
    ready()
    while True:
        sock, _ = listener.accept()
        threading.Thread(target=serve, args=[sock], daemon=True).start()


ATTACKS = {
    attack.__name__.replace("_", "-"): attack
    for attack in (
        globs_udp, globs_tcp, name_used, invented, idle, requests, pings, complaints, channels, junk, impostor, endless,
    )
}  # fmt: skip


def main():
    signal.alarm(SECONDS_MAX)
    name, victim, *rest = sys.argv[1:]
    ATTACKS[name](victim, dict(pair.split("=", 1) for pair in rest))


if __name__ == "__main__":
    main()
