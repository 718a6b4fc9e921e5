"""The measurements of scripts/swarm-lan.sh, which says what they are, makes the hosts and removes them."""

import argparse
import datetime
import filecmp
import hashlib
import json
import os
import platform
import selectors
import shutil
import signal
import statistics
import subprocess
import sys
import time

BINARY = os.environ["SWARM_BINARY"]
PYTHON = os.environ.get("SWARM_PYTHON", "python3")
PIECE_BYTES = 1 << 18
# A run that takes longer has failed: what is measured here is over in a minute or two.
TIMES_THE_BOUND_MAX, SETTLING_S = 40, 20

LIBTORRENT = """
import sys, time, libtorrent as lt
role, torrent, folder, address, *others = sys.argv[1:]
session = lt.session({"listen_interfaces": address + ":6881", "enable_dht": False, "enable_lsd": True, "enable_upnp": False,
    "enable_natpmp": False, "enable_outgoing_utp": False, "enable_incoming_utp": False})
torrent = lt.torrent_info(torrent)
settings = lt.add_torrent_params()
settings.ti, settings.save_path = torrent, folder
if role == "seed":
    settings.flags |= lt.torrent_flags.seed_mode
handle = session.add_torrent(settings)
for other in others:
    handle.connect_peer((other, 6881))
print("ready", flush=True)
while role != "seed" and not handle.status().is_seeding:
    session.wait_for_alert(10)
    session.pop_alerts()
print("done", flush=True)
while True:
    time.sleep(60)
"""


class Lan:
    """The hosts, and the file that the first of them has."""

    def __init__(self, args):
        self.args = args
        self.source = os.path.join(args.folder, "source", "file.bin")
        os.makedirs(os.path.dirname(self.source))
        with open(self.source, "wb") as file:
            for _ in range(args.size):
                file.write(os.urandom(1 << 20))
        self.bytes = args.size << 20
        self.bound_s = self.bytes * 8 / (args.rate * 1e6)
        self.started = []

    def address(self, host):
        return f"{self.args.network}.{host}"

    def place(self, host):
        """A folder of this host's own."""
        path = os.path.join(self.args.folder, "hosts", str(host))
        os.makedirs(path, exist_ok=True)
        return path

    def copy(self, host):
        return os.path.join(self.place(host), "file.bin")

    def start(self, host, command):
        log = open(os.path.join(self.place(host), "log"), "ab")
        process = subprocess.Popen(
            ["ip", "netns", "exec", f"{self.args.prefix}-{host}", *command],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, cwd=self.place(host),
        )
        self.started.append(process)
        return process

    def sent_bytes(self, host):
        out = subprocess.run(
            ["ip", "-n", f"{self.args.prefix}-{host}", "-s", "-j", "link", "show", "eth0"], check=True, capture_output=True
        )
        return json.loads(out.stdout)[0]["stats64"]["tx"]["bytes"]

    def cpu_s(self):
        """Processor time of all that was started and still runs."""
        ticks = 0
        for process in self.started:
            with open(f"/proc/{process.pid}/stat") as file:
                ticks += sum(map(int, file.read().rsplit(")", 1)[1].split()[11:15]))
        return ticks / os.sysconf("SC_CLK_TCK")

    def end(self):
        """Ends what was started, and forgets the copies."""
        for process in self.started:
            process.send_signal(signal.SIGTERM)
        for process in self.started:
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            process.stdout.close()
        self.started.clear()
        shutil.rmtree(os.path.join(self.args.folder, "hosts"), ignore_errors=True)


# --- programs: how a host offers the file, how it gets it, and the line by which it says that it is ready or done ------------


class Chunkcast:
    name = "chunkcast"

    def missing(self):
        return None

    def version(self):
        return subprocess.run([BINARY, "--version"], capture_output=True, text=True).stdout.strip()

    def common(self, lan, host):
        return ["--json", "--name", f"host-{host}", "--state-dir", os.path.join(lan.place(host), "state")]

    def offer(self, lan, host):
        return [BINARY, "share", lan.source, *self.common(lan, host)], b'"event":"shared"'

    def get(self, lan, host):
        return [BINARY, "get", "file.bin", "-o", lan.place(host) + "/", "--seed", *self.common(lan, host)], b'"t":"done"'


class Http:
    name = "http"

    def missing(self):
        return None if shutil.which("nginx") and shutil.which("curl") else "apt install nginx-light curl"

    def version(self):
        return subprocess.run(["nginx", "-v"], capture_output=True, text=True).stderr.strip().split(": ")[-1]

    def offer(self, lan, host):
        path = os.path.join(lan.place(host), "nginx.conf")
        with open(path, "w") as file:
            file.write(
                f"daemon off; pid {path}.pid; error_log stderr; worker_processes 1; user root; events {{ }} http {{ access_log off;"
                f" sendfile on; server {{ listen {lan.address(host)}:8080; root {os.path.dirname(lan.source)}; }} }}\n"
            )
        return ["sh", "-c", f"echo ready; exec nginx -c '{path}'"], b"ready"

    def get(self, lan, host):
        url = f"http://{lan.address(1)}:8080/file.bin"
        fetch = f"curl -sf --retry 5 --retry-connrefused --retry-delay 1 -o file.bin {url} && echo done; sleep 3600"
        return ["sh", "-c", fetch], b"done"


class Torrent:
    """What programs of BitTorrent have in common: the torrent file, which needs no program to be made."""

    def torrent(self, lan):
        path = os.path.join(lan.args.folder, "file.torrent")
        if not os.path.exists(path):
            with open(lan.source, "rb") as file:
                pieces = b"".join(hashlib.sha1(piece).digest() for piece in iter(lambda: file.read(PIECE_BYTES), b""))
            with open(path, "wb") as file:
                file.write(
                    b"d4:infod6:lengthi%de4:name8:file.bin12:piece lengthi%de6:pieces%d:" % (lan.bytes, PIECE_BYTES, len(pieces))
                )
                file.write(pieces + b"ee")
        return path


class Libtorrent(Torrent):
    name = "libtorrent"

    def missing(self):
        look = subprocess.run([PYTHON, "-c", "import libtorrent"], capture_output=True)
        return None if look.returncode == 0 else "pip install libtorrent, in an environment whose python SWARM_PYTHON names"

    def version(self):
        code = "import libtorrent; print('libtorrent', libtorrent.version)"
        return subprocess.run([PYTHON, "-c", code], capture_output=True, text=True).stdout.strip()

    def offer(self, lan, host):
        folder = os.path.dirname(lan.source)
        return [PYTHON, "-c", LIBTORRENT, "seed", self.torrent(lan), folder, lan.address(host)], b"done"

    def get(self, lan, host):
        others = [lan.address(other) for other in range(1, host)]
        return [PYTHON, "-c", LIBTORRENT, "get", self.torrent(lan), lan.place(host), lan.address(host), *others], b"done"


class Aria2(Torrent):
    name = "aria2"

    def missing(self):
        return None if shutil.which("aria2c") else "apt install aria2"

    def version(self):
        return " ".join(subprocess.run(["aria2c", "-v"], capture_output=True, text=True).stdout.split()[:3])

    def command(self, lan, host, folder, *more):
        return [
            "aria2c", "--no-conf", "--enable-dht=false", "--bt-enable-lpd=true", "--seed-ratio=0", "--console-log-level=notice",
            "--summary-interval=0", "--file-allocation=none", "--allow-overwrite=true", "--listen-port=6881",
            f"--bt-lpd-interface={lan.address(host)}", "-d", folder, *more, self.torrent(lan),
        ]  # fmt: skip

    def offer(self, lan, host):
        return self.command(lan, host, os.path.dirname(lan.source), "--check-integrity=true"), b"Verification finished"

    def get(self, lan, host):
        # What it prints itself comes once a second.
        hook = os.path.join(lan.args.folder, "aria2-done")
        if not os.path.exists(hook):
            with open(hook, "w") as file:
                file.write("#!/bin/sh\necho this copy is complete\n")
            os.chmod(hook, 0o755)
        return self.command(lan, host, lan.place(host), f"--on-bt-download-complete={hook}"), b"this copy is complete"


class Udpcast:
    """Multicast: the sender starts when all receivers are there, so late hosts and slow ones are not its scenario."""

    name = "udpcast"

    def missing(self):
        return None if shutil.which("udp-sender") else "apt install udpcast"

    def version(self):
        return "udpcast"

    def offer(self, lan, host):
        send = (
            f"echo ready; exec udp-sender --file '{lan.source}' --interface eth0 --nokbd --max-bitrate {lan.args.rate * 95 // 100}m "
            f"--min-receivers {lan.args.hosts} --full-duplex"
        )
        return ["sh", "-c", send], b"ready"

    def get(self, lan, host):
        return ["sh", "-c", "udp-receiver --file file.bin --interface eth0 --nokbd >&2 && echo done; sleep 3600"], b"done"


PROGRAMS = {program.name: program for program in (Chunkcast(), Http(), Libtorrent(), Aria2(), Udpcast())}


# --- one run -------------------------------------------------------------------------------------------------------------


class Failed(Exception):
    pass


def wait_for(waiting, deadline, on_said):
    """Reads what processes say, {process: (key, marker)}, until each said its marker or ended."""
    selector = selectors.DefaultSelector()
    for process, (key, marker) in waiting.items():
        os.set_blocking(process.stdout.fileno(), False)
        selector.register(process.stdout, selectors.EVENT_READ, (key, marker, bytearray()))
    while selector.get_map():
        left = deadline - time.monotonic()
        if left <= 0:
            raise Failed(f"{len(selector.get_map())} of the hosts were not done in time")
        for event, _ in selector.select(left):
            key, marker, said = event.data
            try:
                piece = os.read(event.fileobj.fileno(), 1 << 16)
            except BlockingIOError:
                continue
            said += piece
            if marker in said:
                on_said(key, time.monotonic())
                selector.unregister(event.fileobj)
            elif not piece:
                raise Failed(f"host {key} ended before it was done")


def run(lan, program):
    """Seconds until each host had its copy, by host; the copies of the file that the first host sent; processor time of all."""
    seed_command, ready = program.offer(lan, 1)
    seed = lan.start(1, seed_command)
    wait_for({seed: (1, ready)}, time.monotonic() + SETTLING_S, lambda *_: None)
    before = lan.sent_bytes(1)
    hosts = range(2, lan.args.hosts + 2)
    # The slow one is the first, and never late.
    late = [host for host in hosts if lan.args.late and host % 2 == 1]
    took, waiting = {}, {}
    begun = time.monotonic()
    for host in [host for host in hosts if host not in late] + late:
        if late and host == late[0]:
            time.sleep(max(0.0, begun + lan.args.late - time.monotonic()))
        command, done = program.get(lan, host)
        waiting[lan.start(host, command)] = (host, done)

    def said(host, now):
        took[host] = now - begun

    allowed = lan.bound_s * TIMES_THE_BOUND_MAX * max(1, lan.args.slow) + SETTLING_S
    wait_for(waiting, begun + allowed, said)
    copies, cpu_s = (lan.sent_bytes(1) - before) / lan.bytes, lan.cpu_s()
    for host in hosts:
        if not filecmp.cmp(lan.source, lan.copy(host), shallow=False):
            raise Failed(f"the copy of host {host} is not the file")
    return took, copies, cpu_s


def figures(lan, took, copies, cpu_s):
    # With a slow host, what counts is how the equal ones fare.
    equal = [seconds for host, seconds in took.items() if lan.args.slow == 1 or host != 2]
    row = {
        "last_over_bound": max(equal) / lan.bound_s,
        "median_over_bound": statistics.median(equal) / lan.bound_s,
        "slowest_over_median": max(equal) / statistics.median(equal),
        "copies_seed_sent": copies,
        "cpu_s": cpu_s,
    }
    if lan.args.slow != 1:
        row["slow_host_over_bound"] = took[2] / lan.bound_s
    return row


def measure(lan, programs):
    runs = {name: [] for name in programs}
    for _ in range(lan.args.rounds):
        for name in programs:
            try:
                runs[name].append(figures(lan, *run(lan, PROGRAMS[name])))
            except Failed as failure:
                print(f"{name}: {failure}", file=sys.stderr)
                show_logs(lan)
                runs[name].append(None)
            finally:
                lan.end()
    return runs


def show_logs(lan):
    for host in range(1, min(4, lan.args.hosts + 2)):
        path = os.path.join(lan.place(host), "log")
        if os.path.exists(path):
            with open(path, errors="replace") as file:
                for line in file.read().splitlines()[-5:]:
                    print(f"  host {host}: {line}", file=sys.stderr)


def rows_of(lan, runs):
    about = {
        "hosts": lan.args.hosts, "rate_mbit": lan.args.rate, "size_mib": lan.args.size, "late_s": lan.args.late,
        "slow": lan.args.slow, "bound_s": round(lan.bound_s, 3),
    }  # fmt: skip
    for name, found in runs.items():
        good = [row for row in found if row]
        row = {"who": name, "version": PROGRAMS[name].version(), **about, "rounds": len(found), "failed": len(found) - len(good)}
        for key in good[0] if good else ():
            row[key] = round(statistics.median(one[key] for one in good), 3)
        if good:
            row["worst_over_bound"] = round(max(one["last_over_bound"] for one in good), 3)
        yield row


def print_table(lan, rows):
    print(
        f"\n{lan.args.size} MiB to {lan.args.hosts} hosts that send {lan.args.rate} Mbit/s; bound {lan.bound_s:.2f} s"
        + (f"; half of them {lan.args.late} s late" if lan.args.late else "")
        + (f"; one at 1/{lan.args.slow} of the speed" if lan.args.slow != 1 else "")
    )
    print(f"{'':12}{'last/bound':>12}{'worst run':>11}{'median/bound':>14}{'slowest/median':>16}{'copies sent':>13}{'CPU s':>8}{'failed':>8}")
    for row in rows:
        if "last_over_bound" not in row:
            print(f"{row['who']:12}{'-':>12}{'-':>11}{'-':>14}{'-':>16}{'-':>13}{'-':>8}{row['failed']:>8}")
            continue
        print(
            f"{row['who']:12}{row['last_over_bound']:>12.3f}{row['worst_over_bound']:>11.3f}{row['median_over_bound']:>14.3f}"
            f"{row['slowest_over_median']:>16.3f}{row['copies_seed_sent']:>13.2f}{row['cpu_s']:>8.1f}{row['failed']:>8}"
        )


def keep(path, rows):
    """Puts the rows into the file; rows of the same program and scenario are replaced."""

    def key(row):
        return [row[name] for name in ("who", "hosts", "rate_mbit", "size_mib", "late_s", "slow")]

    kept = []
    if os.path.exists(path):
        with open(path) as file:
            kept = json.load(file)["rows"]
    now = {"date": datetime.date.today().isoformat(), "kernel": platform.release(), "cpus": os.cpu_count()}
    fresh = [row | now | {"load": round(os.getloadavg()[0], 1)} for row in rows]
    replaced = [key(row) for row in fresh]
    kept = [row for row in kept if key(row) not in replaced] + fresh
    kept.sort(key=lambda row: (row["hosts"], row["late_s"], row["slow"], row.get("last_over_bound", 99)))
    with open(path, "w") as file:
        json.dump({"rows": kept}, file, indent=1)
        file.write("\n")


def main():
    parser = argparse.ArgumentParser()
    for name in ("hosts", "rate", "size", "late", "slow", "rounds"):
        parser.add_argument(f"--{name}", type=int, required=True)
    for name in ("prefix", "network", "folder"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--out")
    parser.add_argument("programs", nargs="+")
    args = parser.parse_args()
    wanted = list(PROGRAMS) if args.programs == ["all"] else args.programs
    for name in wanted:
        if name not in PROGRAMS:
            sys.exit(f"{name} is not a program that is known here; there are {', '.join(PROGRAMS)}")
    programs = []
    for name in wanted:
        how = PROGRAMS[name].missing()
        if how:
            print(f"{name} is not installed: {how}", file=sys.stderr)
        else:
            programs.append(name)
    lan = Lan(args)
    try:
        runs = measure(lan, programs)
    finally:
        lan.end()
    rows = list(rows_of(lan, runs))
    print_table(lan, rows)
    if args.out:
        keep(args.out, rows)
    if any(row["failed"] for row in rows):
        sys.exit(1)


main()
