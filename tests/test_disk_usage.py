"""`system df` against what lies on the disk: every byte of every file under the data root has an owner, and is counted once."""
import contextlib
import os
import random
import sqlite3
import stat

import pytest
from support import images
from support.engines import BOX, pull
from support.wait import eventually

pytestmark = pytest.mark.corten_only
STEPS = 40
# Below the data root, beside the database and the layers.
ITS_OWN = ("engine-id", "reserve", "lock", "blobs", "ingest", "containers", "volumes")


@pytest.fixture
def docker(daemon):
    with daemon.kept_alive() as client:
        yield client


def size_of(folder) -> int:
    """Bytes of the regular files below a folder, hard links once: what du --apparent-size counts, without its folders."""
    seen, total = set(), 0
    for place, _, names in os.walk(folder):
        for found in (os.lstat(os.path.join(place, name)) for name in names):
            if stat.S_ISREG(found.st_mode) and found.st_ino not in seen:
                seen.add(found.st_ino)
                total += found.st_size
    return total


def on_disk(daemon) -> dict:
    """The same by kind: layers, containers' own files, volumes."""
    with contextlib.closing(sqlite3.connect(f"file:{daemon.data}/corten.db?mode=ro", uri=True)) as database:
        uppers = {daemon.data / "overlay" / name / "diff" for name, in database.execute("SELECT cache_id FROM snapshot")}
    trees = set((daemon.data / "overlay").glob("*/diff"))
    return {"layers": sum(map(size_of, trees - uppers)), "containers": sum(map(size_of, uppers)),
            "volumes": size_of(daemon.data / "volumes")}


def told(daemon) -> dict:
    df = daemon.api.get("/system/df").json()
    return {"layers": df["LayersSize"], "containers": sum(c.get("SizeRw", 0) for c in df["Containers"] or []),
            "volumes": sum(v["UsageData"]["Size"] for v in df["Volumes"] or [])}


def assert_accounted(daemon, after):
    def same():
        assert told(daemon) == on_disk(daemon), after
        return True
    eventually(same, "the same sizes on the disk", 20, pause=0.2)  # what was removed is swept a moment later


def strangers(daemon) -> list:
    """Files under the data root that belong to no kind that is known."""
    found = []
    for place, _, names in os.walk(daemon.data):
        for name in names:
            path = os.path.relpath(os.path.join(place, name), daemon.data)
            parts = path.split("/")
            known = parts[0].startswith("corten.db") or parts[0] in ITS_OWN or parts[0] == "overlay" and len(parts) > 2
            found += [] if known else [path]
    return found


def odd_files(dice) -> list:
    """Files whose size is easily got wrong: hard links, holes, empty ones, names of several layers."""
    name = f"d{dice.randrange(5)}"
    return [images.directory(name), images.Entry(f"{name}/data", data=dice.randbytes(dice.randrange(1, 50_000))),
            images.text(f"{name}/empty", ""),
            images.hardlink(f"{name}/again", f"{name}/data"), images.symlink(f"{name}/link", "data"),
            images.Entry(f"{name}/pipe", images.tarfile.FIFOTYPE)]


WRITES = """cd {0}; head -c {1} /dev/urandom > a{2}; ln a{2} b{2}; truncate -s 1M hole{2}
ln -s a{2} l{2}; mkdir -p sub{2}/x; echo x > sub{2}/x/y
"""


class World:
    """What was made so far, and ways to change it; each says what it did."""

    def __init__(self, daemon, docker, faulty, box_tar, dice):
        self.daemon, self.docker, self.faulty, self.box_tar, self.dice = daemon, docker, faulty, box_tar, dice
        self.images, self.containers, self.volumes, self.count = [], [], [], 0

    def name(self, kind) -> str:
        self.count += 1
        return f"{kind}{self.count}"

    def pull(self):
        layers = [self.box_tar] + [images.tar(odd_files(self.dice)) for _ in range(self.dice.randrange(1, 4))]
        reference = self.faulty.put(self.name("pulled"), "1", images.image(layers))
        pull(self.daemon, reference)
        self.images.append(reference)

    def run(self):
        image, name, volume = self.dice.choice([BOX, *self.images]), self.name("container"), self.name("volume")
        self.docker.ok("run", "--name", name, "--network", "none", "-v", f"{volume}:/v", image, "sh", "-c",
                       WRITES.format("/", self.dice.randrange(90_000), self.count) +
                       WRITES.format("/v", self.dice.randrange(90_000), self.count))
        self.containers.append(name)
        self.volumes.append(volume)

    def commit(self):
        if self.containers:
            image = self.name("committed")
            self.docker.ok("commit", self.dice.choice(self.containers), image)
            self.images.append(image)

    def copy(self):
        if self.containers:
            self.docker.ok("cp", "-", f"{self.dice.choice(self.containers)}:/tmp", input=images.tar(odd_files(self.dice)))

    def remove_container(self):
        if self.containers:
            self.docker.ok("rm", self.containers.pop(self.dice.randrange(len(self.containers))))

    def remove_image(self):
        if self.images:
            self.docker.run("rmi", self.images.pop(self.dice.randrange(len(self.images))))  # refused where it is in use

    def remove_volume(self):
        if self.volumes:
            self.docker.run("volume", "rm", self.volumes.pop(self.dice.randrange(len(self.volumes))))  # the same

    def load(self):
        layer = images.tar(odd_files(self.dice))
        name = self.name("loaded")
        self.docker.ok("load", input=images.docker_archive(f"{name}:1", images.image([self.box_tar, layer]), [self.box_tar, layer]))
        self.images.append(f"{name}:1")


@pytest.mark.parametrize("seed", [1, 2])
def test_df_is_what_lies_on_the_disk(daemon, docker, faulty, box_tar, seed):
    """Work of all kinds in a random order: after every step both counts agree, and in the end nothing but the beginning is left."""
    begun, dice = told(daemon), random.Random(seed)
    world = World(daemon, docker, faulty, box_tar, dice)
    works = [world.pull, world.pull, world.run, world.run, world.commit, world.copy, world.load,
             world.remove_container, world.remove_image, world.remove_volume]
    for step in range(STEPS):
        work = dice.choice(works)
        work()
        assert_accounted(daemon, f"step {step}: {work.__name__}")
        assert strangers(daemon) == []
    daemon.clean({tag for found in daemon.api.get("/images/json").json() for tag in found["RepoTags"] if tag.endswith("busybox:latest")})
    assert_accounted(daemon, "the removal of everything")
    assert told(daemon) == begun


def test_both_commands_say_the_same(daemon, docker):
    docker.ok("run", "--name", "one", "--network", "none", "-v", "volume:/v", BOX, "sh", "-c",
              WRITES.format("/", 5000, 1) + WRITES.format("/v", 7000, 1))
    form = ("system", "df", "--format", "{{.Type}}|{{.TotalCount}}|{{.Active}}|{{.Size}}|{{.Reclaimable}}")
    assert daemon.client("corten").ok(*form) == docker.ok(*form)


def test_volume_of_hard_links_and_holes(daemon, docker):
    docker.ok("run", "--name", "one", "--network", "none", "-v", "links:/v", BOX, "sh", "-c",
              "head -c 100000 /dev/urandom > /v/a; for n in 1 2 3 4; do ln /v/a /v/l$n; done; truncate -s 1M /v/hole; ln -s /bin /v/out")
    assert told(daemon)["volumes"] == 100_000 + (1 << 20)
    assert_accounted(daemon, "writing")
