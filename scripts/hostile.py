"""The measurements of scripts/hostile.sh, which says what they are, makes the hosts and removes them."""

import argparse
import dataclasses
import os
import re
import resource
import shutil
import signal
import statistics
import subprocess
import sys
import time

BINARY = os.environ["HOSTILE_BINARY"]
ATTACKS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "hostile_attacks.py")
VICTIM, HONEST, ATTACKER, NEWCOMER = 1, 2, 3, 4
# What a download beside an attack has to keep of its speed, what a peer may need of memory, and how long `ls --wait 1s` may take.
KEPT_MIN, MEMORY_MIB_MAX, LS_S_MAX = 0.5, 300, 3.0
# A row that takes longer hangs.
ROW_S_MAX = 300


@dataclasses.dataclass
class Row:
    """One attack, and what is measured beside it."""

    name: str
    attack: str
    options: dict = dataclasses.field(default_factory=dict)
    files: int = 0
    descriptors: int = 0
    measures: str = "download"


ROWS = [
    Row("costly patterns by UDP, 10/s; 2,000 files", "globs-udp", files=2_000),
    Row("costly patterns by UDP, 10/s; 20,000 files", "globs-udp", files=20_000),
    Row("costly patterns by TCP, 10/s; 2,000 files", "globs-tcp", files=2_000),
    Row("costly patterns by TCP, 10/s; 20,000 files", "globs-tcp", files=20_000),
    Row("64 datagrams in the new host's name", "name-used"),
    Row("80 x ls on the new host", "", measures="after ls"),
    Row("4,200 invented peers at 1,500/s, then 100/s", "invented"),
    Row("10,240 idle connections of 166 addresses", "idle", {"connections": 10_240}),
    Row("558 of 9 addresses; victim has 1,024 descriptors", "idle", {"connections": 558}, descriptors=1_024),
    Row("request, cancel; 1 connection, 2,000,000 frames/s", "requests", {"connections": 1}),
    Row("request, cancel; 16 connections, 2,000,000/s", "requests", {"connections": 16}),
    Row("pings; 32 connections, 2,000,000/s", "pings", {"connections": 32}),
    Row("hello with the victim's id and bye, 20/s a host", "impostor"),
    Row("64 x 20,000 channels of unknown contents", "channels"),
    Row("`bad` frames, 1,000/s on 4 connections", "complaints", {"connections": 4}),
    Row("junk datagrams, 42,000/s of 200 addresses", "junk", measures="nine gets"),
    Row("catalogue without end: ls --wait 1s", "endless", measures="ls"),
    Row("catalogue without end: get '*' for 15 s", "endless", measures="get all"),
]


class Failed(Exception):
    pass


class Lan:
    """The hosts, what the victim shares, and what runs."""

    def __init__(self, args):
        self.args, self.started, self.undisturbed, self.serial = args, [], {}, 0

    def address(self, host):
        return f"{self.args.network}.{host}"

    def path(self, *names):
        path = os.path.join(self.args.folder, *names)
        os.makedirs(path, exist_ok=True)
        return path

    def start(self, host, command, before=None, **more):
        """In the background; `more` is that of Popen."""
        whole = ["ip", "netns", "exec", f"{self.args.prefix}-{host}", *command]
        more = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, **more}
        process = subprocess.Popen(whole, preexec_fn=before, **more)
        self.started.append(process)
        return process

    def end(self, process):
        self.started.remove(process)
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout:
            process.stdout.close()

    def end_all(self):
        for process in list(self.started):
            self.end(process)

    def state(self, name):
        return ["--name", name, "--state-dir", self.path("state", name)]

    def fresh(self, host):
        """A folder and a name that no run had before."""
        self.serial += 1
        name = f"host-{host}-{self.serial}"
        return self.path("got", name), self.state(name)

    def shared(self, files):
        """The victim's folder: a large file, a small one for who is new, and so many others."""
        folder = os.path.join(self.args.folder, f"shared-{files}")
        if not os.path.exists(folder):
            os.makedirs(os.path.join(folder, "more"))
            for name, mib in (("file.bin", self.args.size), ("new.bin", 1)):
                with open(os.path.join(folder, name), "wb") as file:
                    for _ in range(mib):
                        file.write(os.urandom(1 << 20))
            for number in range(files):
                with open(os.path.join(folder, "more", f"report-{number:05}-of-the-year.txt"), "w") as file:
                    file.write(f"{number}\n")
        return folder

    def share(self, row):
        """The victim, once it offers everything; and the id of its large file."""

        def limit():
            if row.descriptors:
                resource.setrlimit(resource.RLIMIT_NOFILE, (row.descriptors, row.descriptors))

        command = [BINARY, "share", self.shared(row.files), "--json", *self.state(f"victim-{row.files}")]
        victim = self.start(VICTIM, command, limit, stdout=subprocess.PIPE)
        shared, content = 0, None
        while shared < row.files + 2:
            line = victim.stdout.readline()
            if not line:
                raise Failed("the victim does not offer its files")
            if b'"event":"shared"' in line:
                shared += 1
                if b'file.bin"' in line:
                    content = re.search(rb'"id":"([0-9a-f]{64})"', line)[1].decode()
        # What it says from now on is read by nobody, and must not fill a pipe.
        drain = subprocess.Popen(["cat"], stdin=victim.stdout, stdout=subprocess.DEVNULL)
        victim.stdout.close()
        victim.stdout = None
        self.started.append(drain)
        return victim, content

    def get(self, host, what, seconds_max, seconds_wait=5):
        """How long a get took; `None`: it did not bring the file."""
        folder, state = self.fresh(host)
        begun = time.monotonic()
        limits = ["--wait", f"{seconds_wait}s", "--timeout", f"{seconds_max}s"]
        process = self.start(host, [BINARY, "get", what, "-o", folder + "/", *limits, *state])
        try:
            process.wait(seconds_max + 5)
        except subprocess.TimeoutExpired:
            pass
        took = time.monotonic() - begun
        is_there = process.returncode == 0 and os.path.exists(os.path.join(folder, what))
        self.end(process)
        shutil.rmtree(folder)
        return took if is_there else None

    def speed(self, seconds_max):
        """The median of the downloads of the large file, in MB/s; one that fails has none."""
        rounds = []
        for _ in range(self.args.rounds):
            took = self.get(HONEST, "file.bin", seconds_max)
            rounds.append(self.args.size * (1 << 20) / 1e6 / took if took else 0.0)
            if not took:
                break
        return statistics.median(rounds)


def peak_mib(process):
    """The most memory a process had; `None` when it is gone."""
    try:
        with open(f"/proc/{process.pid}/status") as file:
            return int(re.search(r"VmHWM:\s+(\d+)", file.read())[1]) / 1024
    except (OSError, TypeError):
        return None


def attack(lan, row, content):
    options = {
        "network": lan.args.network, "content": content, "name_of": lan.address(NEWCOMER),
        "others": f"{lan.address(HONEST)},{lan.address(NEWCOMER)}", **row.options,
    }  # fmt: skip
    said = [f"{key}={value}" for key, value in options.items()]
    command = [sys.executable, ATTACKS, row.attack, lan.address(VICTIM), *said]
    process = lan.start(ATTACKER, ["nice", "-n", "5", *command], stdout=subprocess.PIPE, stderr=None)
    if process.stdout.readline().strip() != b"ready":
        raise Failed("the attack did not begin")


def many_ls(lan):
    """80 times `ls` on the new host, four at once."""
    for _ in range(20):
        listing = [
            lan.start(NEWCOMER, [BINARY, "ls", "--wait", "200ms", *lan.state(f"ls-{at}")]) for at in range(4)
        ]
        for process in listing:
            process.wait()
            lan.started.remove(process)


def nine_gets(lan):
    """How many of nine gets of a small file, three at once, bring it."""
    served = 0
    for _ in range(3):
        begun = []
        for _ in range(3):
            folder, state = lan.fresh(NEWCOMER)
            command = [BINARY, "get", "new.bin", "-o", folder + "/", "--wait", "3s", "--timeout", "15s", *state]
            begun.append(lan.start(NEWCOMER, command))
        for process in begun:
            process.wait()
            served += process.returncode == 0
            lan.started.remove(process)
    return served


def get_all(lan):
    """The most memory of `get '*'` in MiB while it runs for 15 s."""
    folder, state = lan.fresh(HONEST)
    process = lan.start(HONEST, [BINARY, "get", "*", "-o", folder + "/", "--timeout", "15s", *state])
    peak, deadline = 0.0, time.monotonic() + 25
    while process.poll() is None and time.monotonic() < deadline:
        # A real benchmark must not take all memory of the machine.
        peak = max(peak, peak_mib(process) or 0.0)
        if peak > 3_000:
            break
        time.sleep(0.1)
    lan.end(process)
    shutil.rmtree(folder, ignore_errors=True)
    return peak


def out_of_time(*_):
    raise Failed(f"not over after {ROW_S_MAX} s")


def measure(lan, row):
    """The cells of a row, and whether all of it is as it should be."""
    victim, content = lan.share(row)
    config = (row.files, row.descriptors)
    if config not in lan.undisturbed:
        lan.undisturbed[config] = lan.speed(60)
    alone = lan.undisturbed[config]
    if alone == 0.0:
        raise Failed("the undisturbed download failed")
    seconds_max = max(10, round(8 * lan.args.size * 1.05 / alone))
    if row.measures == "after ls":
        many_ls(lan)
    else:
        attack(lan, row, content)
    if row.measures == "ls":
        begun = time.monotonic()
        process = lan.start(HONEST, [BINARY, "ls", "--wait", "1s", *lan.fresh(HONEST)[1]])
        try:
            process.wait(45)
        except subprocess.TimeoutExpired:
            pass
        took = time.monotonic() - begun
        lan.end(process)
        return ["", "", "", f"ls took {took:.1f} s", ""], took <= LS_S_MAX
    if row.measures == "get all":
        peak = get_all(lan)
        return ["", "", "", "", f"{peak:.0f} (get)"], peak <= MEMORY_MIB_MAX
    beside = lan.speed(seconds_max)
    if row.measures == "nine gets":
        count = nine_gets(lan)
        served, new = count == 9, f"{count} of 9"
    else:
        took = lan.get(NEWCOMER, "new.bin", 10)
        served, new = took is not None, "no" if took is None else f"{took:.1f} s"
    memory, kept = peak_mib(victim), beside / alone
    if memory is None:
        raise Failed("the victim has ended")
    good = kept >= KEPT_MIN and served and memory <= MEMORY_MIB_MAX
    return [f"{alone:.1f}", f"{beside:.1f}", f"{kept:.2f}", new, f"{memory:.0f}"], good


def main():
    parser = argparse.ArgumentParser()
    for name in ("prefix", "network", "folder", "only"):
        parser.add_argument(f"--{name}", default="")
    for name in ("rate", "size", "rounds"):
        parser.add_argument(f"--{name}", type=int, required=True)
    args = parser.parse_args()
    lan, missed = Lan(args), 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    signal.signal(signal.SIGALRM, out_of_time)
    version = subprocess.run([BINARY, "--version"], capture_output=True, text=True).stdout.strip()
    print(
        f"{version}; {os.cpu_count()} processors, shared by all hosts; links of {args.rate} Mbit/s; file.bin of {args.size} MiB,"
        f" median of {args.rounds}\n"
    )
    print("| attack | alone MB/s | beside MB/s | kept | new host | victim's MiB | |")
    print("| --- | --- | --- | --- | --- | --- | --- |", flush=True)
    for row in ROWS:
        if args.only not in row.name:
            continue
        signal.alarm(ROW_S_MAX)
        try:
            cells, good = measure(lan, row)
        except Failed as failure:
            cells, good = [str(failure), "", "", "", ""], False
        finally:
            signal.alarm(0)
            lan.end_all()
        missed += not good
        print(f"| {row.name} | {' | '.join(cells)} | {'ok' if good else 'MISSED'} |", flush=True)
    print(f"\n{missed} missed: a download keeps {KEPT_MIN:.0%}, a new host is served, memory stays below {MEMORY_MIB_MAX} MiB.")
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
