#!/usr/bin/python3
"""Images: pulls, pushes, archives and removals for every engine on this machine, in turn, in one run; prints a table.

    bench/images.py [--rounds N] [--only ITEM,…] [--json FILE] [--list]

Pulls and transfers take three rounds at most, whatever N is. Contestants are those of bench.py, and `skopeo copy` into a
folder, which unpacks nothing, for the pulls. The registry is on loopback and the store is cold: what a pull brought is
removed before the next, and the disk has its space again. CPU is what the daemon, what it started, and the command used
together; the peak is the daemon's with what it started, and the command's where there is no daemon. The floor's lines are each
a single piece of the work: the bytes alone, one after the other, on one core.

The large image is made of Debian's packages, downloaded by apt-get once and then kept in $CORTEN_TEST_CACHE.
"""
import functools
import hashlib
import http.client
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
import zlib
from dataclasses import dataclass
from pathlib import Path

from bench import Bench, family, main

from support import images, paths
from support.wait import eventually

ITEMS = ["pieces", "gzip", "zstd", "single", "sixty", "small", "transfer", "first"]


def ticks_of(pid) -> float:
    """Seconds of processor time of a process and of its children that have ended."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


@dataclass
class Spent:
    """What one command and all that it started have used."""
    wall: float
    cpu: float
    peak: float  # MiB


# Runs a command and says what it took. A child begins with the peak of who started it: that is this small program.
MEASURE = """
import json, resource, subprocess, sys, time
began = time.perf_counter()
code = subprocess.call(sys.argv[2:])
usage = resource.getrusage(resource.RUSAGE_CHILDREN)
json.dump([code, time.perf_counter() - began, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024], open(sys.argv[1], "w"))
"""


def spend(argv, environment=None, stdin=None, stdout=None) -> Spent:
    """Runs a command, which must succeed."""
    with tempfile.TemporaryFile() as told, tempfile.NamedTemporaryFile() as measured:
        subprocess.run([sys.executable, "-c", MEASURE, measured.name, *map(str, argv)], stdin=stdin or subprocess.DEVNULL,
                       stdout=stdout or subprocess.DEVNULL, stderr=told, env=environment, check=True)
        code, *used = json.loads(Path(measured.name).read_text())
        if code:
            told.seek(0)
            raise RuntimeError(f"{' '.join(map(str, argv))}: {told.read().decode()[-300:]}")
    return Spent(*used)


def disk_used(folder) -> int:
    """Bytes. What comes and goes meanwhile is no fault."""
    done = subprocess.run(["du", "-sx", "--block-size=1", str(folder)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    return int(done.stdout.split()[0])


def peak_mib(pid) -> float:
    """Since the last reset_peak()."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def reset_peak(pid):
    Path(f"/proc/{pid}/clear_refs").write_text("5")


# What is beside Debian itself in the layers of the large image; about 420 MB in all, packed by gzip.
PACKAGES = [
    ["openjdk-17-jre-headless", "openjdk-17-jdk-headless"],
    ["golang-1.19-go", "golang-1.19-src", "gcc-12", "g++-12", "cpp-12", "libgcc-12-dev", "libstdc++-12-dev", "binutils-x86-64-linux-gnu"],
    ["libllvm14", "clang-14", "libclang-cpp14", "libclang-common-14-dev", "python3.11", "libpython3.11-stdlib", "python3-numpy",
     "python3-scipy", "perl-modules-5.36", "git"],
]


def unpacked(packages, work) -> bytes:
    """The files of some packages as one layer."""
    (work / "tree").mkdir(parents=True)
    subprocess.run(["apt-get", "-q", "-o", "APT::Sandbox::User=root", "download", *packages], cwd=work, check=True, stdout=subprocess.DEVNULL)
    for package in sorted(work.glob("*.deb")):
        subprocess.run(["dpkg-deb", "--extract", package, work / "tree"], check=True)
    return images.directory_tar(work / "tree")


def debian_image_tars() -> list:
    """Four layers: Debian, and programs on top of it; the same bytes every time once they have been made."""
    tars = [images.debian_tar(paths.CACHE)]
    for number, packages in enumerate(PACKAGES):
        kept = paths.CACHE / f"bench-packages-{number}.tar"
        if not kept.exists():
            work = Path(tempfile.mkdtemp(prefix="packages-", dir=paths.CACHE))
            try:
                fresh = work / "layer.tar"
                fresh.write_bytes(unpacked(packages, work / "work"))
                fresh.rename(kept)
            finally:
                shutil.rmtree(work)
        tars.append(kept.read_bytes())
    return tars


@functools.cache
def large_image(compression="gzip") -> images.Image:
    return images.image(debian_image_tars(), style="oci" if compression == "zstd" else "docker", compression=compression, cmd=("bash",))


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
        self.few = min(3, rounds)

    # --- one measured command -------------------------------------------------------------------

    def measured(self, c, item, *args, **streams):
        """Wall, processor time and peak of one command."""
        daemons = family(c.daemon_pid) if c.daemon_pid else []
        for pid in daemons:
            reset_peak(pid)
        before = sum(map(ticks_of, daemons))
        spent = spend(c.argv(*args), c.environment, **streams)
        daemon_cpu = sum(map(ticks_of, daemons)) - before
        self.note(c.name, item, Spent(spent.wall, spent.cpu + daemon_cpu, sum(map(peak_mib, daemons)) if daemons else spent.peak))

    def note(self, name, item, spent):
        self.record(f"{item}: wall", "s", name, spent.wall)
        self.record(f"{item}: CPU", "s", name, spent.cpu)
        self.record(f"{item}: peak memory", "MiB", name, spent.peak)

    def root_of(self, c) -> Path:
        """Where a contestant keeps its images; None where that cannot be seen from here."""
        if c.name == "podman":
            return Path(c.client.roots[1])
        if c.name == "docker":
            folder = Path(c.do("info", "--format", "{{.DockerRootDir}}"))
            return folder if folder.is_dir() else None
        return self.daemon.data

    def remove(self, c, *references) -> float:
        """Seconds until the disk has its space again: ours puts things aside first, the others end when they are done."""
        began = time.perf_counter()
        c.time("rmi", "-f", *references)
        if c.name in ("corten", "docker→"):
            eventually(lambda: not any(self.daemon.data.glob("*/trash/*")), "an empty trash", 120, pause=0.002)
        return time.perf_counter() - began

    def pulls(self, what, picture):
        item, removal = f"pull, {what}", f"rmi, {what}"
        repository = re.sub("[^a-z0-9]+", "-", what.lower())
        reference = self.registry.push(f"bench/{repository}", "1", picture)
        players = list(self.contestants)
        dice = random.Random(item)
        for _ in range(self.few):
            dice.shuffle(players)
            for c in players:
                root = self.root_of(c)
                before = disk_used(root) if root else 0
                self.measured(c, item, "pull", *c.pull_flags, reference)
                if root:
                    self.record(f"{item}: space on the disk", "MB", c.name, (disk_used(root) - before) / 1e6)
                began = time.perf_counter()
                c.time("rmi", reference)
                self.record(f"{removal}: wall", "s", c.name, time.perf_counter() - began)
                c.time("pull", *c.pull_flags, reference)
                self.record(f"{removal}: until the space is free", "s", c.name, self.remove(c, reference))
            self.copy(item, reference)
        self.show(f"{item}: wall")

    def copy(self, item, reference):
        if not shutil.which("skopeo"):
            return
        folder = self.work / "copy"
        self.note("skopeo", item, spend(["skopeo", "copy", "--src-tls-verify=false", f"docker://{reference}", f"dir:{folder}"]))
        self.record(f"{item}: space on the disk", "MB", "skopeo", disk_used(folder) / 1e6)
        shutil.rmtree(folder)

    # --- the work -------------------------------------------------------------------------------

    def pieces(self):
        """What each piece of the pull of the large image costs by itself, on one core."""
        picture = large_image()
        self.registry.push("bench/floor", "1", picture)
        host, port = self.registry.address.split(":")
        for _ in range(self.few):
            began = time.perf_counter()
            for layer in picture.layers:
                connection = http.client.HTTPConnection(host, int(port))
                connection.request("GET", f"/v2/bench/floor/blobs/{layer.digest}")
                reply = connection.getresponse()
                while reply.read(1 << 20):
                    pass
            self.record("floor, the large image: download", "s", "floor", time.perf_counter() - began)
            began = time.perf_counter()
            for layer in picture.layers:
                hashlib.sha256(layer.data)
            self.record("floor, the large image: SHA-256 of the blobs", "s", "floor", time.perf_counter() - began)
            began = time.perf_counter()
            tars = [zlib.decompress(layer.data, wbits=31) for layer in picture.layers]
            self.record("floor, the large image: inflate with zlib", "s", "floor", time.perf_counter() - began)
            began = time.perf_counter()
            for tar in tars:
                hashlib.sha256(tar)
            self.record("floor, the large image: SHA-256 of the diffs", "s", "floor", time.perf_counter() - began)
            folder = self.work / "floor-files"
            folder.mkdir()
            began = time.perf_counter()
            for tar in tars:
                subprocess.run(["tar", "-x", "-C", str(folder)], input=tar, check=True)
            self.record("floor, the large image: write with tar", "s", "floor", time.perf_counter() - began)
            shutil.rmtree(folder)

    def gzip(self):
        self.pulls("420 MB of Debian, gzip in 4 layers", large_image())

    def zstd(self):
        self.pulls("the same, zstd", large_image("zstd"))

    def single(self):
        self.pulls("200 MB of text in 1 layer", text_image())

    def sixty(self):
        self.pulls("60 small layers", layered_image(self.box))

    def small(self):
        self.pulls("100,000 small files", small_files_image())

    def transfer(self):
        """push to a registry that has nothing, save, load."""
        reference = self.registry.push("bench/transfer", "1", large_image())
        for c in self.contestants:
            c.time("pull", *c.pull_flags, reference)
        for turn in range(self.few):
            for c in random.Random(turn).sample(self.contestants, len(self.contestants)):
                target = f"{self.registry.address}/bench/pushed-{c.name}-{turn}:1"
                c.time("tag", reference, target)
                shutil.rmtree(self.registry.folder / "data" / "docker")
                self.measured(c, "push, the large image", "push", *c.pull_flags, target)
                archive = self.work / f"{c.name}.tar"
                with open(archive, "wb") as out:
                    self.measured(c, "save, the large image", "save", reference, stdout=out)
                c.time("rmi", "-f", target, reference)
                with open(archive, "rb") as source:
                    self.measured(c, "load, the large image", "load", stdin=source)
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
    main(__doc__, ITEMS, lambda options: ImageBench(options.rounds))
