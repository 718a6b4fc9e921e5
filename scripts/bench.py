"""The measurements of scripts/bench.sh, which says what they are and how they are made."""

import argparse
import contextlib
import datetime
import filecmp
import hashlib
import json
import os
import platform
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time

BINARY = os.environ["BENCH_BINARY"]
READERS = os.environ["BENCH_READERS"]
LOOPBACK = ["--broadcast", "127.255.255.255"]
TICK_S = 1 / os.sysconf("SC_CLK_TCK")
GIB = 1 << 30
TORRENT_VENV = "target/bench-venv"
RQBIT = shutil.which(os.environ.get("BENCH_RQBIT", "rqbit"))
# Peers of one machine take the ports behind the discovery port too, so that others stay out of their way.
NATIVE_PORT, HTTP_PORT, RSYNC_PORT, TORRENT_PORT, RQBIT_PORT = 7617, 7680, 7681, 7682, 7690
# Who takes longer than this in the round that warms up takes part in two more alone, so that one slow program does not
# make a run of all last for ever.
SLOW_S, SLOW_RUNS = 5, 2
# A program that takes longer than this for one run is ended, and has failed.
RUN_MAX_S = 120
HOW_TO_INSTALL = {
    "nginx": "apt install nginx-light",
    "curl": "apt install curl",
    "rsync": "apt install rsync",
    "aria2c": "apt install aria2",
    "b3sum": "apt install b3sum, or cargo install b3sum",
    "rqbit": "cargo install rqbit, or name the program in BENCH_RQBIT",
}


# --- processes -------------------------------------------------------------------------------------------------------


def cpu_s(pid):
    """Processor time of a process and of its children that have ended."""
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return sum(map(int, fields[11:15])) * TICK_S


def status_of(pid, name):
    with open(f"/proc/{pid}/status") as file:
        for line in file:
            if line.startswith(name + ":"):
                return int(line.split()[1])
    return 0


def children_of(pid):
    try:
        with open(f"/proc/{pid}/task/{pid}/children") as file:
            return [int(child) for child in file.read().split()]
    except OSError:
        return []


class PeakMemory(threading.Thread):
    """Looks every few milliseconds at the most memory a process, or one of its children, ever had."""

    def __init__(self, pid):
        super().__init__(daemon=True)
        self.pid, self.peak_kib, self.over = pid, 0, threading.Event()
        self.start()

    def run(self):
        while not self.over.wait(0.01):
            for pid in [self.pid, *children_of(self.pid)]:
                with contextlib.suppress(OSError, IndexError, ValueError):
                    self.peak_kib = max(self.peak_kib, status_of(pid, "VmHWM"))

    def end(self):
        self.over.set()
        self.join()
        # Who was gone before the first look has no figure.
        return self.peak_kib / 1024 or None


def timed(command, server_pid=None, **options):
    """Runs a command to its end: wall and processor seconds, peak memory of both sides."""
    before = cpu_s(server_pid) if server_pid else 0
    began = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **options)
    overdue = threading.Timer(RUN_MAX_S, process.kill)
    overdue.start()
    memory = PeakMemory(process.pid)
    server_memory = PeakMemory(server_pid) if server_pid else None
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.monotonic() - began
    overdue.cancel()
    process.returncode = os.waitstatus_to_exitcode(status)
    result = {"wall_s": wall, "cpu_s": usage.ru_utime + usage.ru_stime, "rss_mib": memory.end()}
    if server_pid:
        # A server that forks counts its child once that is gone.
        time.sleep(0.05)
        result |= {"server_cpu_s": cpu_s(server_pid) - before, "server_rss_mib": server_memory.end()}
    if process.returncode:
        raise RuntimeError(f"{command[0]} ended with {process.returncode}")
    return result


@contextlib.contextmanager
def running(command, ready=None, **options):
    """A server, from when `ready` says so to the end of the block."""
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, **({"stdout": subprocess.DEVNULL} | options))
    try:
        for _ in range(500):
            if process.poll() is not None:
                raise RuntimeError(f"{command[0]} did not start")
            if ready is None or ready(process):
                break
            time.sleep(0.02)
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def listens(port):
    with open("/proc/net/tcp") as file:
        return any(line.split()[1].endswith(f":{port:04X}") and line.split()[3] == "0A" for line in file.readlines()[1:])


def share(paths, folder, wanted):
    """A peer that shares; ready once it has said so of `wanted` contents."""
    state = tempfile.mkdtemp(dir=folder)
    command = [BINARY, "share", *paths, "--json", "-q", "--port", str(NATIVE_PORT), "--state-dir", state, *LOOPBACK]
    said = {"content": 0, "ids": [], "port": None}

    def ready(process):
        while said["content"] < wanted:
            line = json.loads(process.stdout.readline())
            if line["t"] == "hello":
                said["port"] = line["port"]
            if line["t"] == "content":
                said["content"] += 1
                said["ids"].append(line["id"])
        threading.Thread(target=lambda: [None for _ in process.stdout], daemon=True).start()
        return True

    return running(command, ready, stdout=subprocess.PIPE, text=True), said


# --- rivals ----------------------------------------------------------------------------------------------------------


def have(*programs):
    return all(shutil.which(program) for program in programs)


def nginx(folder):
    home = tempfile.mkdtemp(dir=folder)
    config = os.path.join(home, "nginx.conf")
    with open(config, "w") as file:
        file.write(
            f"daemon off; master_process off; worker_processes 1; pid {home}/pid; error_log {home}/error.log;\n"
            "events { worker_connections 16384; }\n"
            "http { access_log off; sendfile on; tcp_nopush on; keepalive_timeout 600;\n"
            f"  server {{ listen 127.0.0.1:{HTTP_PORT} backlog=4096; root {folder}/src; }} }}\n"
        )
    return running(["nginx", "-p", home, "-c", config], lambda _: listens(HTTP_PORT))


def rsyncd(folder):
    home = tempfile.mkdtemp(dir=folder)
    config = os.path.join(home, "rsyncd.conf")
    with open(config, "w") as file:
        file.write(f"use chroot = no\npid file = {home}/pid\n[src]\npath = {folder}/src\nread only = yes\n")
        if os.getuid() == 0:
            file.write("uid = 0\ngid = 0\n")
    command = ["rsync", "--daemon", "--no-detach", f"--config={config}", f"--port={RSYNC_PORT}", "--address=127.0.0.1"]
    return running(command, lambda _: listens(RSYNC_PORT))


TORRENT = r"""
import os, sys, time, libtorrent as lt
role, torrent, folder, port = sys.argv[1:5]
# TCP in the clear and the peer named outright: by default it prefers its own transport over UDP, which yields to all
# other traffic and takes twenty times as long here.
session = lt.session({"listen_interfaces": f"127.0.0.1:{port}", "enable_dht": False, "enable_lsd": False,
    "enable_upnp": False, "enable_natpmp": False, "allow_multiple_connections_per_ip": True,
    "enable_incoming_utp": False, "enable_outgoing_utp": False,
    "in_enc_policy": lt.enc_policy.pe_disabled, "out_enc_policy": lt.enc_policy.pe_disabled})
settings = lt.add_torrent_params()
settings.ti, settings.save_path = lt.torrent_info(torrent), folder
if role == "seed":
    settings.flags |= lt.torrent_flags.seed_mode
handle = session.add_torrent(settings)
if role == "seed":
    print("ready", flush=True)
    while True:
        time.sleep(60)
handle.connect_peer(("127.0.0.1", int(sys.argv[5])))
while not handle.status().is_seeding:
    session.wait_for_alert(20)
    session.pop_alerts()
session.remove_torrent(handle)
"""


def libtorrent_python():
    """A python that has libtorrent: BENCH_LIBTORRENT_PYTHON, one made for it, or the usual one."""
    for python in [os.environ.get("BENCH_LIBTORRENT_PYTHON"), f"{TORRENT_VENV}/bin/python", "python3"]:
        if python and have(python):
            look = subprocess.run([python, "-c", "import libtorrent"], capture_output=True)
            if look.returncode == 0:
                return python
    return None


def bencode(value):
    if isinstance(value, int):
        return b"i%de" % value
    if isinstance(value, bytes):
        return b"%d:%s" % (len(value), value)
    return b"d" + b"".join(bencode(key) + bencode(value[key]) for key in sorted(value)) + b"e"


def make_torrent(path, torrent):
    """A torrent of one file, in pieces of 1 MiB."""
    with open(path, "rb") as file:
        pieces = b"".join(hashlib.sha1(piece).digest() for piece in iter(lambda: file.read(1 << 20), b""))
    what = {b"name": os.path.basename(path).encode(), b"length": os.path.getsize(path)}
    with open(torrent, "wb") as file:
        file.write(bencode({b"info": what | {b"piece length": 1 << 20, b"pieces": pieces}}))


def median(values):
    """Of those that are known."""
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None


# --- rows ------------------------------------------------------------------------------------------------------------


class Bench:
    def __init__(self, folder, runs, quick):
        self.folder, self.runs, self.quick = folder, runs, quick
        self.rows, self.missing = [], {}
        self.big_bytes, self.big_text = (GIB >> 2, "256 MiB") if quick else (GIB, "1 GiB")
        self.src = os.path.join(folder, "src")
        os.makedirs(self.src)
        for program, how in HOW_TO_INSTALL.items():
            if not (RQBIT if program == "rqbit" else have(program)):
                self.missing[program] = how
        self.torrent_python = libtorrent_python()
        if not self.torrent_python:
            self.missing["libtorrent"] = f"python3 -m venv {TORRENT_VENV}; {TORRENT_VENV}/bin/pip install libtorrent"

    def make(self, name, size):
        path = os.path.join(self.src, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            for at in range(0, size, 1 << 22):
                file.write(os.urandom(min(1 << 22, size - at)))
        return path

    def out(self):
        return tempfile.mkdtemp(dir=self.folder)

    def get(self, wanted, server, *more):
        """`get` in a fresh process with a fresh state: what it gives and where the files are."""
        out, state = self.out(), self.out()
        command = [BINARY, "get", *wanted, "-o", out, "-q", "--port", str(NATIVE_PORT), "--state-dir", state]
        return timed([*command, *LOOPBACK, *more], server), out

    def compete(self, what, rivals, size, check):
        """Runs the rivals in turn, round by round; the first of them is what ratios are against."""
        results = {name: [] for name in rivals}
        slow, failed = set(), set()
        for round_number in range(self.runs + 1):
            # Forth and back: nobody always follows the same neighbour.
            for name, run in list(rivals.items())[:: -1 if round_number % 2 else 1]:
                if name in failed or (name in slow and len(results[name]) == SLOW_RUNS):
                    continue
                try:
                    result, out = run()
                    check(out)
                except (RuntimeError, OSError) as error:
                    # Another program that does not work here leaves the rest of the table as it is.
                    if name.startswith("chunkcast"):
                        raise
                    print(f"{name} failed at {what} and is left out: {error}", file=sys.stderr)
                    failed.add(name)
                    continue
                shutil.rmtree(out)
                # The first round warms up.
                if round_number:
                    results[name].append(result)
                elif result["wall_s"] > SLOW_S:
                    slow.add(name)
        results = {name: runs for name, runs in results.items() if name not in failed}
        first = next(iter(results))
        for name, runs in results.items():
            middle = lambda key: median(run.get(key) for run in runs)
            ratios = [run["wall_s"] / other["wall_s"] for run, other in zip(runs, results[first])]
            per_gib = lambda value: None if value is None or size < 1 << 26 else value * GIB / size
            self.add(
                what=what,
                who=name,
                wall_s=middle("wall_s"),
                wall_s_min=min(run["wall_s"] for run in runs),
                wall_s_max=max(run["wall_s"] for run in runs),
                ratio=statistics.median(ratios),
                against=first,
                cpu_s=middle("cpu_s"),
                server_cpu_s=middle("server_cpu_s"),
                cpu_s_per_gib=per_gib(middle("cpu_s")),
                server_cpu_s_per_gib=per_gib(middle("server_cpu_s")),
                rss_mib=middle("rss_mib"),
                server_rss_mib=middle("server_rss_mib"),
                runs=len(runs),
            )

    def add(self, **row):
        self.rows.append(row)
        known = {key: value for key, value in row.items() if value is not None}
        shown = (f"{key}={value:.3f}" if isinstance(value, float) else f"{key}={value}" for key, value in known.items())
        print("  ".join(shown), file=sys.stderr)

    def same(self, name, original):
        def check(out):
            if not filecmp.cmp(os.path.join(out, name), original, shallow=False):
                raise RuntimeError(f"{name} is not what was sent")

        return check

    def single(self, what, name, size, torrents):
        """One file from one to one."""
        path = self.make(name, size)
        with contextlib.ExitStack() as stack:
            rivals = {}
            if have("nginx", "curl"):
                server = stack.enter_context(nginx(self.folder))
                url = f"http://127.0.0.1:{HTTP_PORT}/{name}"

                def curl(then=None):
                    out = self.out()
                    target = os.path.join(out, name)
                    command = ["curl", "-sf", "-o", target, url]
                    if then:
                        command = ["sh", "-c", f"curl -sf -o '{target}' '{url}' && {then} '{target}'"]
                    return timed(command, server.pid), out

                rivals["nginx + curl"] = curl
            peer, said = share([path], self.folder, 1)
            sharer = stack.enter_context(peer)
            rivals["chunkcast"] = lambda: self.get(said["ids"], sharer.pid)
            if have("nginx", "curl", "b3sum"):
                rivals["nginx + curl, then b3sum"] = lambda: curl("b3sum --num-threads 1")
            if have("rsync"):
                daemon = stack.enter_context(rsyncd(self.folder))

                def rsync():
                    out = self.out()
                    source = f"rsync://127.0.0.1:{RSYNC_PORT}/src/{name}"
                    return timed(["rsync", "-W", source, out + "/"], daemon.pid), out

                rivals["rsync daemon"] = rsync
            if have("nginx", "aria2c"):

                def aria2():
                    out = self.out()
                    command = ["aria2c", "-q", "--file-allocation=none", "-x1", "-d", out, url]
                    return timed(command, server.pid), out

                rivals["nginx + aria2"] = aria2
            torrent = os.path.join(self.folder, "file.torrent")
            if torrents:
                make_torrent(path, torrent)
            for there, who, begin in [
                (RQBIT, "rqbit", self.rqbit),
                (self.torrent_python, "libtorrent", self.libtorrent),
            ]:
                if torrents and there:
                    try:
                        rivals[who] = begin(stack, torrent)
                    except (RuntimeError, OSError) as error:
                        print(f"{who} is left out: {error}", file=sys.stderr)
            self.compete(what, rivals, size, self.same(name, path))
        os.unlink(path)

    def libtorrent(self, stack, torrent):
        """A seed, and what a download from it takes."""
        command = [self.torrent_python, "-c", TORRENT, "seed", torrent, self.src, str(TORRENT_PORT)]
        ready = lambda process: process.stdout.readline() == "ready\n"
        seed = stack.enter_context(running(command, ready, stdout=subprocess.PIPE, text=True))

        def download():
            out = self.out()
            more = ["get", torrent, out, str(TORRENT_PORT + 1), str(TORRENT_PORT)]
            return timed([self.torrent_python, "-c", TORRENT, *more], seed.pid), out

        return download

    def rqbit(self, stack, torrent):
        """A seed, and what a download from it takes."""

        def command(port, out):
            alone = ["--disable-dht", "--disable-lsd", "--disable-upnp-port-forward", "-v", "error"]
            api = ["--http-api-listen-addr", f"127.0.0.1:{port + 1}"]
            listen = ["--listen-ip", "127.0.0.1", "--listen-port", str(port)]
            return [RQBIT, *alone, *api, *listen, "download", "-o", out, "--overwrite", torrent]

        seed = stack.enter_context(running(command(RQBIT_PORT, self.src), lambda _: listens(RQBIT_PORT)))
        # It hashes what is there before it offers it.
        time.sleep(3)

        def download():
            out = self.out()
            more = ["--exit-on-finish", "--initial-peers", f"127.0.0.1:{RQBIT_PORT}"]
            return timed([*command(RQBIT_PORT + 4, out), *more], seed.pid), out

        return download

    def big(self):
        self.single(f"{self.big_text}, one to one", "big.bin", self.big_bytes, True)

    def latency(self):
        self.single("1 MiB, process start to complete file", "small.bin", 1 << 20, False)

    def many(self):
        """10,000 small files in one go."""
        count = 1_000 if self.quick else 10_000
        for number in range(count):
            self.make(f"many/{number % 100:02}/{number:05}.txt", 4096)
        folder = os.path.join(self.src, "many")

        def check(out):
            found = sorted(file for _, _, files in os.walk(out) for file in files)
            if len(found) != count:
                raise RuntimeError(f"{len(found)} of {count} files came")
            for number, (where, _, files) in enumerate(os.walk(out)):
                for file in files:
                    original = os.path.join(folder, f"{int(file[:5]) % 100:02}", file)
                    if not filecmp.cmp(os.path.join(where, file), original, shallow=False):
                        raise RuntimeError(f"{file} is not what was sent")

        with contextlib.ExitStack() as stack:
            rivals = {}
            if have("rsync"):
                daemon = stack.enter_context(rsyncd(self.folder))

                def rsync():
                    out = self.out()
                    source = f"rsync://127.0.0.1:{RSYNC_PORT}/src/many"
                    return timed(["rsync", "-rW", source, out + "/"], daemon.pid), out

                rivals["rsync daemon"] = rsync
            peer, _ = share([folder], self.folder, count)
            sharer = stack.enter_context(peer)
            # A pattern is looked for as long as --wait says; on loopback a tenth of a second is plenty.
            rivals["chunkcast"] = lambda: self.get(["*.txt"], sharer.pid, "--wait", "100ms")
            self.compete(f"{count:,} files of 4 KiB", rivals, count * 4096, check)
        shutil.rmtree(folder)

    def swarm(self):
        """One server and many readers that throw away what they receive."""
        size = self.big_bytes
        path = self.make("swarm.bin", size)
        with contextlib.ExitStack() as stack:
            peer, said = share([path], self.folder, 1)
            sharer = stack.enter_context(peer)
            servers = {
                "chunkcast": (sharer.pid, said["port"], ["--content", said["ids"][0]]),
                "chunkcast by HTTP": (sharer.pid, said["port"], ["--path", f"/{said['ids'][0]}"]),
            }
            if have("nginx"):
                server = stack.enter_context(nginx(self.folder))
                servers = {"nginx": (server.pid, HTTP_PORT, ["--path", "/swarm.bin"])} | servers
            for readers in [1, 8, 64, 256, 1000]:
                results = {name: [] for name in servers}
                for round_number in range(self.runs):
                    for name, (pid, port, how) in list(servers.items())[:: -1 if round_number % 2 else 1]:
                        total = str(max(4 * size, readers << 19))
                        command = [READERS, "--addr", f"127.0.0.1:{port}", "--size", str(size), "--pid", str(pid)]
                        command += ["--readers", str(readers), "--total", total, *how]
                        line = subprocess.run(command, check=True, capture_output=True, text=True).stdout
                        results[name].append(json.loads(line))
                first = next(iter(servers))
                for name, runs in results.items():
                    middle = lambda key: median(run[key] for run in runs)
                    ratios = [run["gb_per_s"] / other["gb_per_s"] for run, other in zip(runs, results[first])]
                    self.add(
                        what="one to many",
                        who=name,
                        readers=readers,
                        gb_per_s=middle("gb_per_s"),
                        ratio=statistics.median(ratios),
                        against=first,
                        server_cpu_s_per_gib=middle("server_cpu_s_per_gib"),
                        server_rss_mib=middle("server_peak_rss_mib"),
                        slowest_over_fastest=middle("slowest_over_fastest"),
                        newcomer_first_chunk_ms=middle("newcomer_first_chunk_ms"),
                        runs=len(runs),
                    )
        os.unlink(path)

    def idle(self):
        """A peer that shares one file and that nobody asks."""
        path = self.make("idle.bin", 1 << 20)
        seconds = 10 if self.quick else 60
        peer, _ = share([path], self.folder, 1)
        with peer as process:
            # What is announced at the start is over.
            time.sleep(3)
            switches = ["voluntary_ctxt_switches", "nonvoluntary_ctxt_switches"]
            before = cpu_s(process.pid), sum(status_of(process.pid, name) for name in switches)
            time.sleep(seconds)
            after = cpu_s(process.pid), sum(status_of(process.pid, name) for name in switches)
            self.add(
                what="idle peer",
                who="chunkcast",
                seconds=seconds,
                rss_mib=status_of(process.pid, "VmRSS") / 1024,
                cpu_s=after[0] - before[0],
                wake_ups=after[1] - before[1],
            )
        os.unlink(path)

    def hashing(self):
        """From the start of `share` to the line that says a new file is offered, against b3sum."""
        size = self.big_bytes
        path = self.make("hash.bin", size)

        def shared():
            peer, _ = share([path], self.folder, 1)
            began = time.monotonic()
            with peer as process:
                wall = time.monotonic() - began
                return {"wall_s": wall, "cpu_s": cpu_s(process.pid)}, self.out()

        def b3sum():
            return timed(["b3sum", "--num-threads", "1", path]), self.out()

        rivals = {"b3sum, one thread": b3sum} if have("b3sum") else {}
        self.compete(f"hashing a new share of {self.big_text}", rivals | {"chunkcast": shared}, size, lambda _: None)
        os.unlink(path)

    def binary(self):
        stripped = os.path.join(self.folder, "stripped")
        shutil.copy(BINARY, stripped)
        self.add(what="release binary, stripped", who="chunkcast", bytes=os.path.getsize(stripped))


ROWS = ["binary", "hashing", "latency", "big", "many", "swarm", "idle"]


def congestion_control():
    name = os.environ.get("BENCH_CONGESTION_SET")
    if name:
        return name
    with open("/proc/sys/net/ipv4/tcp_congestion_control") as file:
        return file.read().strip()


def table(rows):
    units = {
        "wall_s": "s", "ratio": "×", "cpu_s": "CPU s", "server_cpu_s": "CPU s, server",
        "cpu_s_per_gib": "CPU s/GiB", "server_cpu_s_per_gib": "CPU s/GiB, server",
        "rss_mib": "MiB", "server_rss_mib": "MiB, server", "gb_per_s": "GB/s",
        "slowest_over_fastest": "slowest/fastest", "newcomer_first_chunk_ms": "newcomer ms",
    }
    lines = ["| what | who | " + " | ".join(units.values()) + " |", "| --- " * (len(units) + 2) + "|"]
    for row in rows:
        what = row["what"] + (f", {row['readers']}" if "readers" in row else "")
        cells = [f"{row[key]:.2f}" if row.get(key) is not None else "" for key in units]
        lines.append(f"| {what} | {row['who']} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main():
    arguments = argparse.ArgumentParser(prog="scripts/bench.sh")
    arguments.add_argument("--quick", action="store_true", help="smaller files, fewer rounds: to see that it works")
    arguments.add_argument("--runs", type=int, help="rounds that count (5)")
    arguments.add_argument("--only", help="these rows alone: " + ",".join(ROWS))
    arguments.add_argument("--out", default="docs/benchmarks.json", help="where the result goes")
    arguments = arguments.parse_args()
    folder = tempfile.mkdtemp(prefix="chunkcast-bench-", dir="/dev/shm")
    bench = Bench(folder, arguments.runs or (2 if arguments.quick else 5), arguments.quick)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        for program, how in bench.missing.items():
            print(f"{program} is not installed, so it is left out: {how}", file=sys.stderr)
        load = os.getloadavg()[0]
        for row in arguments.only.split(",") if arguments.only else ROWS:
            getattr(bench, row)()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    result = {
        "v": 1,
        "date": datetime.date.today().isoformat(),
        "version": subprocess.run([BINARY, "--version"], capture_output=True, text=True).stdout.strip(),
        "cpus": os.cpu_count(),
        "kernel": platform.release(),
        "congestion_control": congestion_control(),
        "load_before": load,
        "load_after": os.getloadavg()[0],
        "quick": arguments.quick,
        "left_out": sorted(bench.missing),
        "rows": bench.rows,
    }
    with open(arguments.out, "w") as file:
        json.dump(result, file, indent=1)
        file.write("\n")
    print(table(bench.rows))


main()
