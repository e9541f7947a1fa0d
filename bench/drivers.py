#!/usr/bin/python3
"""The same work on both storage drivers, in turn, in one run; prints a table of medians.

    bench/drivers.py [--rounds N]

Each has a daemon of its own (from build/release, or $CORTEN_BIN), on the same disk. The image is the Debian of the
tests, in one layer, and a second layer with two files of 32 MB. Files are read through /proc/PID/root from outside,
as the container itself would read them.
"""
import argparse
import mmap
import os
import random
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from support import engines, images, paths  # noqa: E402
from support.registry import RealRegistry  # noqa: E402
from support.wait import eventually  # noqa: E402

DRIVERS = ("overlay", "erofs")
PAGE = 4096
BIG = 32 << 20


def timed(work, *arguments) -> float:
    began = time.perf_counter()
    work(*arguments)
    return time.perf_counter() - began


class Contestant:
    def __init__(self, driver, reference):
        self.driver, self.reference = driver, reference
        self.daemon = engines.Daemon(f"bench-{driver}", extra=["--storage-driver", driver]).start()
        self.client = self.daemon.client("corten")
        self.dice = random.Random(1)

    def ok(self, *arguments):
        return self.client.ok(*arguments, timeout=300)

    def run(self, *command):
        return self.ok("run", "--rm", "--network", "none", self.reference, *command)

    def remove_image(self):
        """Until the disk has its space again."""
        trash = self.daemon.data / self.driver / "trash"
        self.ok("rmi", "-f", self.reference)
        eventually(lambda: not any(trash.iterdir()), "an empty trash", 60, pause=0.002)

    def disk(self) -> float:
        """MB of everything below the driver's directory."""
        return int(subprocess.check_output(["du", "-sB1", self.daemon.data / self.driver]).split()[0]) / 1e6

    def random_reads(self, root):
        with open(root / "scattered", "rb", buffering=0) as file:
            for _ in range(20_000):
                os.pread(file.fileno(), PAGE, self.dice.randrange(BIG // PAGE) * PAGE)

    def mapped_reads(self, root):
        with open(root / "mapped", "rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as mapped:
            for page in range(0, BIG, PAGE):
                mapped[page]

    def read_all(self, root):
        for folder, _, names in os.walk(root / "usr"):
            for name in names:
                path = os.path.join(folder, name)
                if not os.path.islink(path):
                    with open(path, "rb") as file:
                        while file.read(1 << 20):
                            pass

    def round(self) -> dict:
        os.sync()  # what the other one has left to write or to free is not ours
        figures = {"`pull`": timed(self.ok, "pull", self.reference)}
        figures["space on the disk, MB"] = self.disk()
        figures["first `run --rm … true`"] = timed(self.run, "true")
        figures["`run --rm … true`"] = statistics.median(timed(self.run, "true") for _ in range(5))
        name = f"bench-{self.driver}"
        self.ok("run", "-d", "--name", name, "--network", "none", self.reference, "sleep", "600")
        root = Path(f"/proc/{self.daemon.host_pid(name)}/root")
        figures["every file below /usr, first time"] = timed(self.read_all, root)
        figures["every file below /usr, again"] = timed(self.read_all, root)
        figures["20,000 random reads of 4 KiB, first time"] = timed(self.random_reads, root)
        figures["20,000 random reads of 4 KiB, again"] = timed(self.random_reads, root)
        figures["8,192 pages mapped and touched, first time"] = timed(self.mapped_reads, root)
        figures["8,192 pages mapped and touched, again"] = timed(self.mapped_reads, root)
        figures["`find / -xdev` with stat"] = timed(self.ok, "exec", name, "find", "/", "-xdev", "-size", "+1")
        figures["200 × exec of a dynamic program"] = timed(
            self.ok, "exec", name, "bash", "-c", "for i in {1..200}; do /bin/true; done")
        self.ok("rm", "-f", name)
        figures["`rmi`, until the space is free"] = timed(self.remove_image)
        return figures


def make_image(registry) -> str:
    debian = images.debian_tar(paths.CACHE)
    dice = random.Random(0)
    big = images.tar([images.Entry(name, data=dice.randbytes(BIG)) for name in ("scattered", "mapped")])
    return registry.push("bench-drivers", "1", images.image([debian, big], cmd=("bash",)))


def spell(value, what) -> str:
    if "MB" in what:
        return f"{value:.0f} MB"
    return f"{value * 1000:.3g} ms" if value < 1 else f"{value:.3g} s"


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--rounds", type=int, default=7)
    rounds = options.parse_args().rounds
    registry, contestants, seen = RealRegistry(), [], {driver: [] for driver in DRIVERS}
    try:
        reference = make_image(registry)
        contestants = [Contestant(driver, reference) for driver in DRIVERS]
        for turn in range(rounds):
            for contestant in contestants if turn % 2 == 0 else reversed(contestants):
                seen[contestant.driver].append(contestant.round())
    finally:
        for contestant in contestants:
            contestant.daemon.stop()
        registry.stop()
    print("| work | overlay | erofs |\n|---|---:|---:|")
    for what in seen["overlay"][0]:
        old, new = (statistics.median(figures[what] for figures in seen[driver]) for driver in DRIVERS)
        print(f"| {what.replace(', MB', '')} | {spell(old, what)} | {spell(new, what)} ({new / old:.2f}×) |")


if __name__ == "__main__":
    main()
