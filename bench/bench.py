#!/usr/bin/python3
"""The same work for every engine on this machine, in turn, in one run; prints a table.

    bench/bench.py [--rounds N] [--only ITEM,…] [--json FILE] [--list]

Contestants, each used where it is there:
  floor    bench/floor.c: the kernel's system calls for one container and nothing else
  corten   our command and our daemon (a fresh one, from build/release)
  docker→  the stock docker command on our daemon's socket
  docker   the stock docker command on the Docker at $DOCKER_HOST_PEER ($DOCKER_PEER_NETNS: its network namespace)
  podman   podman, when it is installed

A figure is the median of N rounds in which the contestants take turns, so that a slow minute of
the machine is everybody's. Ratios are against corten: "12×" took twelve times as long.
"""
import argparse
import concurrent.futures
import json
import os
import random
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from support import bundles, engines, images, paths  # noqa: E402
from support.clients import Client, find_docker  # noqa: E402
from support.http import Api, frames, read_all, read_until  # noqa: E402
from support.registry import RealRegistry  # noqa: E402

BOX = "busybox"


def seconds(argv, environment=None, stdout=subprocess.DEVNULL):
    """Wall time of one command, which must succeed."""
    began = time.perf_counter()
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=stdout, stderr=subprocess.PIPE, env=environment)
    took = time.perf_counter() - began
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(map(str, argv))}: {done.returncode}: {done.stderr.decode()[-500:]}")
    return took


class Contestant:
    """A command line that takes docker's verbs, and what there is to know about its daemon."""

    def __init__(self, name, client, daemon_pid=None, api=None, prefix=(), pull_flags=()):
        self.name, self.client, self.daemon_pid, self.api = name, client, daemon_pid, api
        self.prefix, self.pull_flags = list(prefix), list(pull_flags)
        self.environment = client.environment()

    def argv(self, *args):
        return [*self.prefix, *self.client.argv(*args)]

    def time(self, *args, stdout=subprocess.DEVNULL):
        return seconds(self.argv(*args), self.environment, stdout)

    def do(self, *args):
        return subprocess.run(self.argv(*args), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              env=self.environment, text=True).stdout.strip()

    def remove_all(self):
        numbers = self.do("ps", "-aq").split()
        if numbers:
            self.do("rm", "-f", *numbers)


class Podman(Client):
    """podman with a storage of its own, so that nothing of the host's is touched."""

    def __init__(self, work):
        super().__init__("podman", shutil.which("podman"), "", work / "podman-config")
        (self.config / "config.json").write_text("{}")
        self.roots = ["--root", str(work / "podman-root"), "--runroot", str(work / "podman-run")]
        # On a host with hybrid control groups crun takes the empty unified hierarchy for all there is.
        self.holder = subprocess.Popen([*bundles.hiding_unified(), "sleep", "infinity"])

    def argv(self, verb, *args) -> list:
        limits = ["--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1000:1000"] if verb == "run" else []
        return ["nsenter", f"--target={self.holder.pid}", "--mount", "--", self.program, *self.roots, verb, *limits, *map(str, args)]


def pss(pid) -> float:
    """Proportional set size in KiB."""
    try:
        return float(re.search(r"(?m)^Pss:\s+(\d+)", Path(f"/proc/{pid}/smaps_rollup").read_text())[1])
    except OSError:
        return 0.0


def family(pid) -> list:
    """A daemon and what runs below it (docker's containerd), without containers."""
    below = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
            below.setdefault(parent, []).append(int(entry.name))
    found, todo = [], [pid]
    while todo:
        found.append(todo.pop())
        todo += below.get(found[-1], [])
    return found


def relatives(number) -> set:
    """The processes on the host that serve a container but are not in it: whoever names its id."""
    found = set()
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and number in (entry / "cmdline").read_text() and number not in (entry / "cgroup").read_text():
                found.add(int(entry.name))
        except OSError:
            continue
    return found


def processor_ticks() -> tuple:
    """(in use, all) of this machine since its start."""
    user, nice, system, idle, waiting, *rest = map(int, Path("/proc/stat").read_text().splitlines()[0].split()[1:])
    return user + nice + system + sum(rest[:3]), user + nice + system + idle + waiting + sum(rest[:3])


def parent_of(pid) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


class Bench:
    def __init__(self, rounds):
        self.rounds = rounds
        self.work = Path(tempfile.mkdtemp(prefix="corten-t-bench-", dir="/tmp"))
        self.results = {}
        self.registry = RealRegistry()
        self.box = images.tar(images.busybox_entries())
        self.box_image = images.image([self.box])
        self.reference = self.registry.push("busybox", "latest", self.box_image)
        self.daemon = engines.Daemon("bench").start()
        self.contestants = []
        self.helpers = []
        self.add_ours()
        self.add_peer()
        self.add_podman()
        self.floor = self.build_floor()

    def add_ours(self):
        engines.pull(self.daemon, self.reference, BOX)
        pid = self.daemon.process.pid
        if (paths.BIN / "corten").exists():
            self.contestants.append(Contestant("corten", self.daemon.client("corten"), pid, self.daemon.api))
        if find_docker():
            self.contestants.append(Contestant("docker→", self.daemon.client("docker"), pid, self.daemon.api))

    def add_peer(self):
        host = os.environ.get("DOCKER_HOST_PEER")
        if not host or not find_docker():
            return
        api = Api(host.removeprefix("unix://"))
        archive = images.docker_archive(f"{BOX}:latest", self.box_image, [self.box])
        api.post("/images/load", archive, headers={"Content-Type": "application/x-tar"}, timeout=120)
        netns = os.environ.get("DOCKER_PEER_NETNS")
        if netns:  # the peer's loopback is not ours: the same registry, once more, over there
            enter = ["nsenter", f"--net=/run/netns/{netns}"]
            self.helpers.append(subprocess.Popen([*enter, "docker-registry", "serve", str(self.registry.folder / "config.yml")],
                                                 stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        pid = next((int(p.name) for p in Path("/proc").iterdir() if p.name.isdigit() and peer_process(p, host)), None)
        self.contestants.append(Contestant("docker", Client("docker", find_docker(), host, self.work / "peer"), pid, api))

    def add_podman(self):
        if not shutil.which("podman"):
            return
        podman = Podman(self.work)
        contestant = Contestant("podman", podman, pull_flags=["--tls-verify=false"])
        self.helpers.append(podman.holder)
        try:
            contestant.time("pull", "--tls-verify=false", self.reference)
            contestant.time("tag", self.reference, BOX)
            contestant.time("run", "--rm", BOX, "true")
            self.contestants.append(contestant)
        except RuntimeError as error:
            print(f"podman is left out: {error}", file=sys.stderr)

    def build_floor(self):
        program, rootfs = self.work / "floor", self.work / "rootfs"
        compiler = next((c for c in ("clang-19", "cc", "gcc") if shutil.which(c)), None)
        if not compiler:
            return None
        subprocess.run([compiler, "-O2", "-Wall", "-o", str(program), str(ROOT / "bench" / "floor.c")], check=True)
        rootfs.mkdir()
        subprocess.run(["tar", "-x", "-C", str(rootfs)], input=self.box, check=True)
        return lambda: float(subprocess.run([str(program), str(rootfs), "/bin/true", "1"], check=True, stdout=subprocess.PIPE).stdout) / 1000

    def close(self):
        for contestant in self.contestants:
            contestant.remove_all()
        for helper in self.helpers:
            helper.terminate()
            helper.wait()
        self.daemon.stop()
        self.registry.stop()
        shutil.rmtree(self.work, ignore_errors=True)

    # --- taking turns -------------------------------------------------------------------------

    def record(self, item, unit, name, value):
        self.results.setdefault(item, {"unit": unit, "values": {}})["values"].setdefault(name, []).append(value)

    def turns(self, item, work, rounds=None, unit="ms", scale=1000, names=None, floor=False, warm=1):
        """`work(contestant)` returns seconds; the order of the contestants changes from round to round."""
        players = [c for c in self.contestants if names is None or c.name in names]
        dice = random.Random(item)
        for turn in range(-warm, rounds or self.rounds):
            order = [*players, *(["floor"] if floor and self.floor else [])]
            dice.shuffle(order)
            for player in order:
                took = self.floor() if player == "floor" else work(player)
                if turn >= 0:
                    self.record(item, unit, "floor" if player == "floor" else player.name, took * scale)
        self.show(item)

    def show(self, item):
        line = ", ".join(f"{n} {statistics.median(v):.2f}" for n, v in self.results[item]["values"].items())
        print(f"  {item} [{self.results[item]['unit']}]: {line}", file=sys.stderr, flush=True)

    # --- the work -----------------------------------------------------------------------------

    def version(self):
        self.turns("`version`", lambda c: c.time("version"))

    def run(self):
        for network in ("bridge", "host", "none"):
            self.turns(f"`run --rm --network {network} busybox true`", lambda c: c.time("run", "--rm", "--network", network, BOX, "true"), floor=True)

    def api(self):
        """The engine's own share: no command line client, one connection per request."""
        self.turns("create, start, wait, remove over the API", lambda c: life(c.api), names={"corten", "docker"})

    def exec(self):
        for c in self.contestants:
            c.do("run", "-d", "--name", f"exec-{c.client.name}", BOX, "sleep", "6000")
        self.turns("`exec CONTAINER true`", lambda c: c.time("exec", f"exec-{c.client.name}", "true"))
        self.turns("exec of `true` over the API", lambda c: exec_over(c.api, f"exec-{c.client.name}"), names={"corten", "docker"})
        for c in self.contestants:
            c.do("rm", "-f", f"exec-{c.client.name}")

    def many(self, count=50):
        """Starts in turn, starts eight at a time, and the removal of all, which is measured on the way."""
        def start(c, n):
            c.time("run", "-d", "--name", f"many{n}", BOX, "sleep", "6000")

        def removal(c):
            at_once = ["--time", "0"] if c.name == "podman" else []  # it would give each ten seconds to end by itself
            took = c.time("rm", "-f", *at_once, *[f"many{n}" for n in range(count)])
            self.record(f"`rm -f` of {count}", "s", c.name, took)

        def in_turn(c):
            began = time.perf_counter()
            for n in range(count):
                start(c, n)
            took = time.perf_counter() - began
            removal(c)
            return took

        def at_once(c):
            began = time.perf_counter()
            with concurrent.futures.ThreadPoolExecutor(8) as pool:
                list(pool.map(lambda n: start(c, n), range(count)))
            took = time.perf_counter() - began
            removal(c)
            return took
        self.turns(f"{count} × `run -d`, in turn", in_turn, rounds=2, unit="s", scale=1, warm=0)
        self.turns(f"{count} × `run -d`, 8 at a time", at_once, rounds=2, unit="s", scale=1, warm=0)
        self.show(f"`rm -f` of {count}")

    def scale(self, count=100):
        """What starts eight at a time make of the processors, and how long the list of containers takes meanwhile."""
        for c in self.contestants:
            if c.name not in ("corten", "docker"):
                continue
            answers, over = [], threading.Event()

            def ask():
                while not over.wait(0.01):
                    began = time.perf_counter()
                    c.api.get("/containers/json")
                    answers.append((time.perf_counter() - began) * 1000)
            asking, before = threading.Thread(target=ask), processor_ticks()
            asking.start()
            with concurrent.futures.ThreadPoolExecutor(8) as pool:
                list(pool.map(lambda n: c.time("run", "-d", "--name", f"scale{n}", BOX, "sleep", "6000"), range(count)))
            busy, total = (now - then for now, then in zip(processor_ticks(), before))
            over.set()
            asking.join()
            self.record(f"processors in use during {count} × `run -d`, 8 at a time", "%", c.name, 100 * busy / total)
            self.record("the list of containers meanwhile, median", "ms", c.name, statistics.median(answers))
            self.record("the list of containers meanwhile, slowest", "ms", c.name, max(answers))
            c.do("rm", "-f", *[f"scale{n}" for n in range(count)])
        self.show("the list of containers meanwhile, slowest")

    def pull(self):
        reference = self.registry.push("bench/large", "1", large_image())

        def once(c):
            took = c.time("pull", *c.pull_flags, reference)
            c.time("rmi", reference)
            return took
        self.turns("`pull` of 400 MB, 4 gzip layers", once, rounds=3, unit="s", scale=1, warm=0)

    def logs(self, megabytes=200):
        """Lines of 71 bytes out of a file: a program that made them would be slower than what takes them."""
        lines = b"0123456789" * 7 + b"\n"
        file = images.Entry("lines", data=lines * (megabytes * 1000000 // len(lines)))
        reference = self.registry.push("bench/lines", "1", images.image([self.box, images.tar([file])]))
        names = {"corten", "docker→", "docker", "podman"}
        for c in self.contestants:
            if c.name in names:
                c.time("pull", *c.pull_flags, reference)

        def attached(c):
            return c.time("run", "--rm", reference, "cat", "/lines")

        def kept(c):
            began = time.perf_counter()
            c.time("run", "-d", "--name", "writer", reference, "cat", "/lines")
            c.time("wait", "writer")
            took = time.perf_counter() - began
            c.time("rm", "-f", "writer")
            return took
        self.turns(f"{megabytes} MB through `run`'s stdout", attached, rounds=5, unit="s", scale=1, names=names)
        self.turns(f"{megabytes} MB into the log", kept, rounds=5, unit="s", scale=1, names=names)

    def memory(self, count=10):
        for c in self.contestants:
            if c.name == "docker→" or (c.name == "corten" and not c.daemon_pid):
                continue
            time.sleep(12)  # idle is what it says: no request for a while
            idle = sum(map(pss, family(c.daemon_pid))) if c.daemon_pid else 0.0
            if c.daemon_pid:
                self.record("PSS of the idle daemon and what it started", "KiB", c.name, idle)
            numbers = [c.do("run", "-d", BOX, "sleep", "6000") for _ in range(count)]
            pids = [int(c.do("inspect", "-f", "{{.State.Pid}}", number)) for number in numbers]
            time.sleep(12)
            served = {pid for number in numbers for pid in relatives(number)} | {parent_of(pid) for pid in pids}
            served |= set(family(c.daemon_pid)) if c.daemon_pid else set()
            total = sum(map(pss, served - set(pids) - {1})) - idle
            self.record("PSS of a container's supervisor and share of the daemon", "KiB", c.name, total / count)
            c.do("rm", "-f", *numbers)
        self.show("PSS of a container's supervisor and share of the daemon")

    # --- the table ----------------------------------------------------------------------------

    def table(self) -> str:
        names = [n for n in ("floor", "corten", "docker→", "docker", "podman", "skopeo") if any(n in r["values"] for r in self.results.values())]
        lines = ["| work | " + " | ".join(names) + " |", "|---|" + "---:|" * len(names)]
        for item, result in self.results.items():
            medians = {n: statistics.median(v) for n, v in result["values"].items()}
            ours = medians.get("corten")

            def cell(name):
                if name not in medians:
                    return "–"
                shown = f"{medians[name]:.2f} {result['unit']}" if medians[name] < 100 else f"{medians[name]:.0f} {result['unit']}"
                return shown if name == "corten" or not ours else f"{shown} ({medians[name] / ours:.2g}×)"
            lines.append(f"| {item} | " + " | ".join(map(cell, names)) + " |")
        return "\n".join(lines)


def peer_process(entry, host) -> bool:
    try:
        line = (entry / "cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return os.path.basename(line[0]) == b"dockerd" and host.encode() in line


def life(api) -> float:
    began = time.perf_counter()
    number = api.post("/containers/create", {"Image": BOX, "Cmd": ["true"]}).json()["Id"]
    started = api.post(f"/containers/{number}/start")
    assert started.status == 204, started
    api.post(f"/containers/{number}/wait")
    api.delete(f"/containers/{number}")
    return time.perf_counter() - began


def exec_over(api, container) -> float:
    began = time.perf_counter()
    number = api.post(f"/containers/{container}/exec", {"Cmd": ["true"], "AttachStdout": True}).json()["Id"]
    with api.socket() as s:
        body = b'{"Detach":false,"Tty":false}'
        s.sendall(f"POST /v1.43/exec/{number}/start HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n"
                  f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
        head = read_until(s, b"\r\n\r\n")
        list(frames(head.partition(b"\r\n\r\n")[2] + read_all(s)))
    return time.perf_counter() - began


def large_image() -> images.Image:
    """Four layers of about 100 MB compressed and 13,000 files together, half of it incompressible; the same bytes every time."""
    dice = random.Random(2016)
    text = "".join(f"line {n} of a file that compresses as text does\n" for n in range(4000)).encode()
    tars = []
    for layer in range(4):
        entries = [images.directory(f"layer{layer}")]
        for n in range(3250):
            size = dice.randrange(10000, 52000)
            content = dice.randbytes(size) + text[:size + dice.randrange(20000)]
            entries.append(images.Entry(f"layer{layer}/{n % 100:02d}-{n}", data=content))
        tars.append(images.tar(entries))
    return images.image(tars)


ITEMS = ["version", "run", "api", "exec", "many", "scale", "pull", "logs", "memory"]


def machine() -> str:
    cpu = re.search(r"model name\s*:\s*(.*)", Path("/proc/cpuinfo").read_text())
    return f"{time.strftime('%Y-%m-%d')}, {os.cpu_count()} × {cpu[1] if cpu else os.uname().machine}, Linux {os.uname().release}"


def main(description, items, make, add_options=lambda parser: None):
    """The command line of a bench: `make(options)` gives what has a method per item, table() and close()."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--only", default=",".join(items))
    parser.add_argument("--json")
    parser.add_argument("--list", action="store_true", help="name the items and end")
    add_options(parser)
    options = parser.parse_args()
    if options.list:
        return print("\n".join(items))
    chosen = options.only.split(",")
    unknown = set(chosen) - set(items)
    if unknown:
        parser.error(f"no such item: {', '.join(sorted(unknown))}")
    bench = make(options)
    try:
        for item in chosen:
            getattr(bench, item)()
        print(f"{machine()}; medians of {options.rounds} rounds in turn, ratios against corten\n")
        print(bench.table())
        if options.json:
            Path(options.json).write_text(json.dumps({"machine": machine(), "results": bench.results}, indent=1))
    finally:
        bench.close()


if __name__ == "__main__":
    main(__doc__, ITEMS, lambda options: Bench(options.rounds))
