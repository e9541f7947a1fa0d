#!/usr/bin/python3
"""corten-runtime beside Debian's crun and runc: the same bundles, in turn, in one run; prints a table.

    bench/runtime.py [--rounds N] [--only ITEM,…] [--json FILE] [--list] [--peer NAME=PATH]…

A figure is the median of N rounds in which the runtimes take turns. Ratios are against corten: "3×" took three times
as long. On a host with hybrid control groups all of them run where only version 1 is seen, since crun takes such a host
for version 2. The program is the one in build/release/bin, or in $CORTEN_BIN. --peer names further ones with runc's
command line, as newer versions unpacked somewhere. The floor is bench/floor.c, where there is a C compiler: what the
kernel takes for a container with an overlay, in rounds of its own. The phases are our own, as --timings prints them.
"""
import argparse
import concurrent.futures
import ctypes
import json
import os
import random
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench import ROOT, main

from support import bundles

PROFILE = ROOT / "src" / "seccomp" / "default_profile.json"
QUIET = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
PR_SET_CHILD_SUBREAPER = 36
ITEMS = ["life", "run", "seccomp", "exec", "many", "memory", "limit", "size", "phases"]


class Contestant(bundles.Runtime):
    def __init__(self, name, program, work: Path):
        super().__init__(program, work / f"state-{name}")
        self.name = name

    def id(self, suffix="") -> str:
        return f"corten-t-bench-{os.getpid()}-{self.name}{suffix}"

    def do(self, *args):
        """One command of the runtime, which must succeed.

        Without pipes, as what `create` leaves running would keep them open; without a timeout, as subprocess then
        asks with doubling pauses for the end, and every figure would be rounded up to 8, 16 or 32 ms.
        """
        done = subprocess.run(self.argv(*args), **QUIET)
        if done.returncode != 0:
            raise RuntimeError(f"{' '.join(self.argv(*args))}: {done.returncode}")

    def try_run(self, bundle) -> bool:
        """Does the container run to a good end?"""
        try:
            return subprocess.run(self.argv("run", "--bundle", bundle.path, self.id()), timeout=20, **QUIET).returncode == 0
        except subprocess.TimeoutExpired:
            return False
        finally:
            subprocess.run(self.argv("delete", "--force", self.id()), **QUIET)


def elapsed(*steps) -> float:
    began = time.perf_counter()
    for step in steps:
        step()
    return time.perf_counter() - began


def peak(argv) -> float:
    """The most MiB that a program had in memory, or one of those that it waited for.

    The kernel's figure begins with what the parent had. So the parent is a small shell, which ends at once, and the
    program becomes a child of ours thereafter.
    """
    adopt(True)
    try:
        pid = int(subprocess.check_output(["sh", "-c", '"$@" > /dev/null 2>&1 & echo $!', "sh", *argv], stdin=subprocess.DEVNULL))
        _, status, usage = os.wait4(pid, 0)
    finally:
        adopt(False)
    if status != 0:
        raise RuntimeError(f"{' '.join(argv)}: {os.waitstatus_to_exitcode(status)}")
    return usage.ru_maxrss / 1024


def adopt(orphans: bool):
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, int(orphans), 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")


def profile(capabilities) -> dict:
    """Docker's default profile as it is handed to a runtime, for a container with these capabilities on amd64 or arm64."""
    source = json.loads(PROFILE.read_text())
    arch = {"x86_64": ("amd64", "SCMP_ARCH_X86_64"), "aarch64": ("arm64", "SCMP_ARCH_AARCH64")}[os.uname().machine]
    kernel = tuple(map(int, os.uname().release.split("-")[0].split(".")[:2]))

    def applies(rule) -> bool:
        wanted, barred = rule.get("includes") or {}, rule.get("excludes") or {}
        return (set(wanted.get("caps") or ()) <= set(capabilities) and not set(barred.get("caps") or ()) & set(capabilities)
                and arch[0] in (wanted.get("arches") or arch) and arch[0] not in (barred.get("arches") or ())
                and kernel >= tuple(map(int, wanted.get("minKernel", "0.0").split("."))))
    family = next(m for m in source["archMap"] if m["architecture"] == arch[1])
    kept = ("names", "action", "args", "errnoRet")
    return {"defaultAction": source["defaultAction"], "defaultErrnoRet": source.get("defaultErrnoRet", 1),
            "architectures": [family["architecture"], *(family["subArchitectures"] or [])],
            "syscalls": [{k: rule[k] for k in kept if rule.get(k) is not None} for rule in source["syscalls"] if applies(rule)]}


class Bench:
    def __init__(self, rounds, work: Path, peers=()):
        self.rounds, self.work, self.results = rounds, work, {}
        self.contestants = [Contestant("corten", bundles.RUNTIME, work)]
        for name, program in [("crun", shutil.which("crun")), ("runc", shutil.which("runc")), *peers]:
            if program:
                self.contestants.append(Contestant(name, program, work))
            else:
                print(f"{name} is left out: it is not on this machine")
        self.own = self.bundle("own")
        self.host = self.bundle("host")
        self.host.config["linux"]["namespaces"] = [n for n in self.host.config["linux"]["namespaces"] if n["type"] != "network"]
        self.host.save()

    def bundle(self, name) -> bundles.Bundle:
        return bundles.Bundle(self.work / name, "true")

    def networks(self):
        return (("new network namespace", self.own), ("host's network", self.host))

    def record(self, item, unit, name, value):
        self.results.setdefault(item, {"unit": unit, "values": {}})["values"].setdefault(name, []).append(value)

    def turns(self, item, work, rounds=None, unit="ms", scale=1000, warm=1):
        """`work(contestant)` returns a figure; the order of the contestants changes from round to round."""
        dice = random.Random(item)
        for turn in range(-warm, rounds or self.rounds):
            for player in dice.sample(self.contestants, len(self.contestants)):
                value = work(player)
                if turn >= 0:
                    self.record(item, unit, player.name, value * scale)
        shown = ", ".join(f"{n} {statistics.median(v):.2f}" for n, v in self.results[item]["values"].items())
        print(f"  {item} [{unit}]: {shown}", file=sys.stderr, flush=True)

    # --- the work -----------------------------------------------------------------------------

    def life(self):
        for network, bundle in self.networks():
            self.turns(f"`create`, `start`, `delete --force`; {network}", lambda c: elapsed(
                lambda: c.do("create", "--bundle", bundle.path, c.id()), lambda: c.do("start", c.id()),
                lambda: c.do("delete", "--force", c.id())))

    def run(self):
        for network, bundle in self.networks():
            self.turns(f"`run` of `true`; {network}", lambda c: elapsed(lambda: c.do("run", "--bundle", bundle.path, c.id())))

        self.floor("`run` of `true`; new network namespace")

    def floor(self, item):
        compiler = next(filter(None, map(shutil.which, ("clang-19", "clang", "gcc", "cc"))), None)
        if not compiler:
            return print("the floor is left out: no C compiler on this machine")
        program = self.work / "floor"
        subprocess.run([compiler, "-O2", "-o", program, ROOT / "bench" / "floor.c"], check=True)
        shown = subprocess.check_output([program, self.own.root, "/bin/true", str(self.rounds + 1)], text=True)
        for line in shown.split()[1:]:
            self.record(item, "ms", "floor", float(line))

    def phases(self):
        """Ours alone: the median of each phase that `run` and `exec` tell of."""
        ours, sleeper = self.contestants[0], self.bundle("phases").save("sleep", "6000")
        ours.start(ours.id("-phases"), sleeper)
        for verb, words in (("run", ("--bundle", self.own.path, ours.id())), ("exec", (ours.id("-phases"), "true"))):
            for _ in range(self.rounds):
                done = ours.run("--timings", verb, *words)
                for figure, phase in re.findall(r"(?m)^ *([\d.]+) us  (.+)$", done.err):
                    self.record(f"`{verb}`, phase: {phase}", "µs", "corten", float(figure))
        ours.do("delete", "--force", ours.id("-phases"))

    def seccomp(self):
        for network, bundle in self.networks():
            filtered = self.bundle(f"filtered-{bundle.path.name}")
            filtered.config["linux"] = {**bundle.config["linux"], "seccomp": profile(bundles.CAPABILITIES)}
            filtered.save()
            self.turns(f"`run` of `true`, docker's seccomp profile; {network}",
                       lambda c: elapsed(lambda: c.do("run", "--bundle", filtered.path, c.id())))

        def first(c):
            fresh = Contestant(c.name, c.program, Path(tempfile.mkdtemp(dir=self.work)))
            return elapsed(lambda: fresh.do("run", "--bundle", filtered.path, fresh.id()))
        self.turns("the same, the first in a new state directory: no filter is kept from an earlier run", first)

    def exec(self):
        sleeper = self.bundle("sleeper").save("sleep", "6000")
        for c in self.contestants:
            c.start(c.id("-sleeper"), sleeper)
        self.turns("`exec` of `true`", lambda c: elapsed(lambda: c.do("exec", c.id("-sleeper"), "true")))
        for c in self.contestants:
            c.do("delete", "--force", c.id("-sleeper"))

    def many(self, count=100, width=16):
        def one(c, n):
            c.do("run", "--bundle", self.own.path, c.id(f"-{n}"))

        def in_turn(c):
            return elapsed(*[lambda n=n: one(c, n) for n in range(count)])

        def at_once(c):
            with concurrent.futures.ThreadPoolExecutor(width) as pool:
                return elapsed(lambda: list(pool.map(lambda n: one(c, n), range(count))))
        rounds = min(self.rounds, 3)
        self.turns(f"{count} × `run` of `true`, in turn", in_turn, rounds, "s", 1, warm=0)
        self.turns(f"{count} × `run` of `true`, {width} at a time", at_once, rounds, "s", 1, warm=0)

    def memory(self):
        def created(c):
            figure = peak(c.argv("create", "--bundle", self.own.path, c.id()))
            c.do("delete", "--force", c.id())
            return figure
        self.turns("peak memory of `create`", created, min(self.rounds, 5), "MiB", 1)
        self.turns("peak memory of `run`", lambda c: peak(c.argv("run", "--bundle", self.own.path, c.id())), min(self.rounds, 5), "MiB", 1)

    def limit(self, tries=5):
        tight = self.bundle("tight")
        tight.config["linux"]["resources"]["memory"] = {"limit": 512 << 10}
        tight.save()
        for c in self.contestants:
            good = sum(c.try_run(tight) for _ in range(tries))
            self.record("runs under a memory limit of 512 KiB", "", c.name, {0: "no", tries: "yes"}.get(good, f"{good} of {tries} times"))

    def size(self):
        for c in self.contestants:
            program = Path(c.program).resolve().read_bytes()
            kind = "with shared libraries" if b"/ld-linux" in program[:4096] else "static"
            self.record("size of the program", "", c.name, f"{len(program) / 1e6:.2f} MB, {kind}")

    # --- the table ----------------------------------------------------------------------------

    def table(self) -> str:
        names = [c.name for c in self.contestants]
        names += ["floor"] if any("floor" in result["values"] for result in self.results.values()) else []
        lines = ["| work | " + " | ".join(names) + " |", "|---|" + "---:|" * len(names)]
        for item, result in self.results.items():
            lines.append(f"| {item} | " + " | ".join(cell(result, name) for name in names) + " |")
        return "\n".join(lines)

    def close(self):
        for c in self.contestants:
            c.clean()
        shutil.rmtree(self.work, ignore_errors=True)


def cell(result, name) -> str:
    values, unit = result["values"], result["unit"]
    if name not in values:
        return ""
    if not unit:
        return values[name][0]
    median, ours = statistics.median(values[name]), statistics.median(values["corten"])
    return f"{median:.2f} {unit}" + ("" if name == "corten" else f" ({median / ours:.2g}×)")


def enter_one_hierarchy():
    """Starts this program once more where crun and the others see the same control groups."""
    if os.environ.get("CORTEN_BENCH_INSIDE") != "1":
        prefix = bundles.hiding_unified()
        os.execvpe(prefix[0], [*prefix, sys.executable, *sys.argv], {**os.environ, "CORTEN_BENCH_INSIDE": "1"})


def peer(word) -> tuple:
    name, _, program = word.partition("=")
    if not name or not os.access(program, os.X_OK):
        raise argparse.ArgumentTypeError(f"{word} is not NAME=PATH of a program")
    return name, program


def make(options) -> Bench:
    enter_one_hierarchy()
    return Bench(options.rounds, Path(tempfile.mkdtemp(prefix="corten-t-bench-", dir="/tmp")), options.peer)


if __name__ == "__main__":
    main(__doc__, ITEMS, make, lambda parser: parser.add_argument("--peer", action="append", default=[], type=peer, metavar="NAME=PATH"))
