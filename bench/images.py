#!/usr/bin/python3
"""Images: pulls, pushes, archives and removals for every engine on this machine, in turn, in one run; prints a table.

    bench/images.py [--rounds N] [--only ITEM,…] [--json FILE] [--list]

Pulls take three rounds whatever N is; it counts for the rest. Contestants are those of bench.py, and `skopeo copy` into a
folder, which unpacks nothing, for the pulls. The registry is on loopback and the store is cold: what a pull brought is
removed before the next. CPU is what the daemon, what it started, and the command used together. The floor's lines are each
a single piece of the work: the bytes alone, one after the other.
"""
import hashlib
import http.client
import os
import random
import re
import resource
import shutil
import subprocess
import time
import zlib
from pathlib import Path

from bench import BOX, Bench, large_image, main

from support import images

ITEMS = ["floor", "gzip", "zstd", "single", "sixty", "small", "transfer", "first"]


def ticks_of(pid) -> float:
    """Seconds of processor time of a process and of its children that have ended."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


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


def children_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def peak_mib(pid) -> float:
    """Since the last reset_peak()."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def reset_peak(pid):
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def text_image() -> images.Image:
    """One layer of 200 MB that compresses as text does."""
    dice = random.Random(7)
    words = [bytes(dice.choices(range(97, 123), k=dice.randrange(2, 10))) for _ in range(5000)]
    entries = [images.Entry(f"text/{n}", data=b" ".join(dice.choices(words, k=300_000))) for n in range(100)]
    return images.image([images.tar(entries)])


def layered_image(box, count=60) -> images.Image:
    dice = random.Random(60)
    tars = [box] + [images.tar([images.Entry(f"layer{n}/{f}", data=dice.randbytes(20_000)) for f in range(10)]) for n in range(count - 1)]
    return images.image(tars)


def small_files_image(count=100_000) -> images.Image:
    folders = [images.directory(f"d{n:03}") for n in range(count // 500)]
    files = [images.Entry(f"d{n // 500:03}/{n}", data=b"file %d\n" % n) for n in range(count)]
    return images.image([images.tar(folders + files)])


class ImageBench(Bench):
    def __init__(self, rounds):
        super().__init__(rounds)
        self.contestants = [c for c in self.contestants if c.name != "docker→"]

    # --- one measured command -------------------------------------------------------------------

    def measured(self, c, item, *args, stdin=None, stdout=subprocess.DEVNULL):
        """Wall, processor time and the daemon's peak of one command."""
        daemons = family(c.daemon_pid) if c.daemon_pid else []
        for pid in daemons:
            reset_peak(pid)
        before = sum(map(ticks_of, daemons)) + children_seconds()
        began = time.perf_counter()
        done = subprocess.run(c.argv(*args), stdin=stdin or subprocess.DEVNULL, stdout=stdout, stderr=subprocess.PIPE, env=c.environment)
        wall = time.perf_counter() - began
        if done.returncode:
            raise RuntimeError(f"{' '.join(map(str, args))}: {done.stderr.decode()[-300:]}")
        self.record(f"{item}: wall", "s", c.name, wall)
        self.record(f"{item}: CPU", "s", c.name, sum(map(ticks_of, daemons)) + children_seconds() - before)
        if daemons:
            self.record(f"{item}: peak of the daemon", "MiB", c.name, sum(map(peak_mib, daemons)))

    def pulls(self, what, picture, rounds=3):
        item = f"pull, {what}"
        repository = re.sub("[^a-z0-9]+", "-", what.lower())
        reference = self.registry.push(f"bench/{repository}", "1", picture)
        players = list(self.contestants)
        dice = random.Random(item)
        for _ in range(rounds):
            dice.shuffle(players)
            for c in players:
                self.measured(c, item, "pull", *c.pull_flags, reference)
                began = time.perf_counter()
                c.time("rmi", reference)
                self.record(f"rmi, {what}: wall", "s", c.name, time.perf_counter() - began)
            self.copy(item, reference)
        self.show(f"{item}: wall")

    def copy(self, item, reference):
        if not shutil.which("skopeo"):
            return
        folder = self.work / "copy"
        before, began = children_seconds(), time.perf_counter()
        subprocess.run(["skopeo", "copy", "--src-tls-verify=false", f"docker://{reference}", f"dir:{folder}"], check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.record(f"{item}: wall", "s", "skopeo", time.perf_counter() - began)
        self.record(f"{item}: CPU", "s", "skopeo", children_seconds() - before)
        shutil.rmtree(folder)

    # --- the work -------------------------------------------------------------------------------

    def floor(self):
        """What each piece of the pull of the large image costs by itself, on one core."""
        picture = large_image()
        self.registry.push("bench/floor", "1", picture)
        host, port = self.registry.address.split(":")
        for _ in range(3):
            began = time.perf_counter()
            for layer in picture.layers:
                connection = http.client.HTTPConnection(host, int(port))
                connection.request("GET", f"/v2/bench/floor/blobs/{layer.digest}")
                reply = connection.getresponse()
                while reply.read(1 << 20):
                    pass
            self.record("floor, 400 MB gzip: download", "s", "floor", time.perf_counter() - began)
            began = time.perf_counter()
            for layer in picture.layers:
                hashlib.sha256(layer.data)
            self.record("floor, 400 MB gzip: SHA-256 of the blobs", "s", "floor", time.perf_counter() - began)
            began = time.perf_counter()
            tars = [zlib.decompress(layer.data, wbits=31) for layer in picture.layers]
            self.record("floor, 400 MB gzip: inflate with zlib", "s", "floor", time.perf_counter() - began)
            began = time.perf_counter()
            for tar in tars:
                hashlib.sha256(tar)
            self.record("floor, 400 MB gzip: SHA-256 of the diffs", "s", "floor", time.perf_counter() - began)
            folder = self.work / "floor-files"
            folder.mkdir()
            began = time.perf_counter()
            for tar in tars:
                subprocess.run(["tar", "-x", "-C", str(folder)], input=tar, check=True)
            self.record("floor, 400 MB gzip: write with tar", "s", "floor", time.perf_counter() - began)
            shutil.rmtree(folder)

    def gzip(self):
        self.pulls("400 MB gzip in 4 layers", large_image())

    def zstd(self):
        tars = [zlib.decompress(layer.data, wbits=31) for layer in large_image().layers]
        self.pulls("400 MB zstd in 4 layers", images.image(tars, style="oci", compression="zstd"))

    def single(self):
        self.pulls("200 MB of text in 1 layer", text_image())

    def sixty(self):
        self.pulls("60 small layers", layered_image(self.box))

    def small(self):
        self.pulls("100,000 small files", small_files_image())

    def transfer(self):
        """push to an empty registry's repository, save, load."""
        reference = self.registry.push("bench/transfer", "1", large_image())
        for c in self.contestants:
            c.time("pull", *c.pull_flags, reference)
        for turn in range(3):
            for c in random.Random(turn).sample(self.contestants, len(self.contestants)):
                target = f"{self.registry.address}/bench/pushed-{c.name}-{turn}:1"
                c.time("tag", reference, target)
                self.measured(c, "push, 400 MB gzip in 4 layers", "push", *c.pull_flags, target)
                archive = self.work / f"{c.name}.tar"
                with open(archive, "wb") as out:
                    self.measured(c, "save", "save", reference, stdout=out)
                c.time("rmi", "-f", target, reference)
                with open(archive, "rb") as source:
                    self.measured(c, "load", "load", stdin=source)
                archive.unlink()
        for c in self.contestants:
            c.do("rmi", "-f", reference)

    def first(self):
        """The first container of an image that has just come."""
        picture = layered_image(self.box, 20)
        reference = self.registry.push("bench/first", "1", picture)
        for turn in range(self.rounds):
            for c in random.Random(turn).sample(self.contestants, len(self.contestants)):
                c.time("pull", *c.pull_flags, reference)
                self.record("first `run --rm` of a pulled image of 20 layers", "ms", c.name, 1000 * c.time("run", "--rm", reference, "true"))
                c.time("rmi", reference)


if __name__ == "__main__":
    main(__doc__, ITEMS, ImageBench)
