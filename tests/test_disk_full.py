"""A disk that is full at every stage of everything that writes: with less and less room each verb says so in a sentence or ends
well, the store is then without faults, what was there is whole, and the same verb ends well once there is room."""
import errno
import os
import re
from dataclasses import dataclass

import pytest
from support import disks, images
from support.engines import BOX
from support.own_daemon import DRIVERS, with_driver
from support.wait import eventually

pytestmark = pytest.mark.corten_only
MIB = 1 << 20
SIZE = 2 * MIB  # of what each verb brings
ROOM = [0, 100_000, 700_000, 1_500_000, 2_300_000]  # bytes that are free when a verb begins
FULL = re.compile("no space left|disk is full|disk or database is full", re.IGNORECASE)


@dataclass
class Disk:
    point: os.PathLike

    def leave(self, room):
        """Fills the disk up to so many bytes; what root alone may use is not left either."""
        eventually(lambda: not any(self.point.glob("data/*/trash/*")), "an empty trash")
        with open(self.point / "filler", "wb") as file:
            for step in (MIB, 64 << 10, 4 << 10):
                while self.free() >= room + step and self.grow(file, step):
                    pass

    @staticmethod
    def grow(file, step) -> bool:
        try:
            os.posix_fallocate(file.fileno(), os.fstat(file.fileno()).st_size, step)
            return True
        except OSError as full:
            assert full.errno == errno.ENOSPC
            return False

    def free(self) -> int:
        found = os.statvfs(self.point)
        return found.f_bfree * found.f_bsize

    def empty(self):
        (self.point / "filler").unlink(missing_ok=True)


class World:
    """A daemon on a small disk, and what the verbs need."""

    def __init__(self, daemon, disk, folder, registry, box_tar):
        self.corten, self.api, self.disk, self.folder = daemon.client("corten"), daemon.api, disk, folder
        self.registry, self.box_tar, self.count = registry, box_tar, 0
        self.big = images.tar([images.directory("data"), images.Entry("data/big", data=os.urandom(SIZE))])
        self.picture = images.image([box_tar, self.big], compression="none")
        (folder / "big.tar").write_bytes(self.big)
        (folder / "loaded.tar").write_bytes(images.docker_archive("loaded:1", self.picture, [box_tar, self.big]))
        self.reference = registry.push("disk-full", "1", self.picture)
        self.before = {name for i in self.api.get("/images/json").json() for name in i["RepoTags"]}
        self.box_id = self.corten.inspect(BOX, "Id")

    def with_image(self):
        self.corten.ok("load", "-i", self.folder / "loaded.tar")

    def with_changes(self):
        self.corten.ok("create", "--name", "changed", BOX)
        self.corten.ok("cp", "-", "changed:/", input=self.big)

    def with_container(self, *command):
        self.corten.ok("create", "--name", "changed", "--network", "none", BOX, *command)

    def with_running(self):
        self.corten.ok("run", "-d", "--name", "changed", "--network", "none", BOX, "sleep", "600")

    def with_other_repository(self):
        """One that does not have the layers yet."""
        self.count += 1
        self.with_image()
        self.corten.ok("tag", "loaded:1", f"{self.registry.address}/disk-full-{self.count}-{os.getpid()}:1")

    def undo(self):
        for container in self.api.get("/containers/json?all=1").json():
            self.corten.ok("rm", "-f", "-v", container["Id"])
        for volume in self.api.get("/volumes").json()["Volumes"] or []:
            self.corten.ok("volume", "rm", volume["Name"])
        self.corten.ok("tag", self.box_id, BOX)
        made = {name for i in self.api.get("/images/json").json() for name in i["RepoTags"] or [i["Id"]]} - self.before
        if made:
            self.corten.ok("rmi", "-f", *made)
        self.corten.ok("image", "prune", "-f")


@pytest.fixture(scope="module", params=DRIVERS)
def small_world(request, tmp_path_factory, box_reference, registry, box_tar):
    folder = tmp_path_factory.mktemp("corten-t-full")
    with disks.mounted(folder, 64) as point, with_driver(request.param, box_reference, data=point / "data") as daemon:
        yield World(daemon, Disk(point), folder, registry, box_tar)


@pytest.fixture
def world(small_world):
    yield small_world
    small_world.disk.empty()
    small_world.undo()


def nothing(_world):
    pass


@dataclass
class Verb:
    """A command, and what has to be there for it."""
    name: str
    command: callable
    prepare: callable = nothing
    must_fail: bool = True  # where nothing is free


VERBS = [
    Verb("pull", lambda w: ("pull", w.reference)),
    Verb("load", lambda w: ("load", "-i", w.folder / "loaded.tar")),
    Verb("import", lambda w: ("import", w.folder / "big.tar", "imported:1")),
    Verb("bootstrap", lambda w: ("image", "bootstrap", "busybox")),
    Verb("commit", lambda w: ("commit", "changed", "committed:1"), World.with_changes),
    Verb("create", lambda w: ("create", "--label", "long=" + "x" * 50_000, BOX), must_fail=False),
    Verb("write", lambda w: ("run", "--network", "none", BOX, "sh", "-c", f"dd if=/dev/urandom of=/f bs=64k count={SIZE >> 16}")),
    Verb("start", lambda w: ("start", "-a", "changed"), lambda w: w.with_container("touch", "/made")),
    Verb("copy", lambda w: ("cp", w.folder / "big.tar", "changed:/"), World.with_running),
    Verb("copy-up", lambda w: ("run", "--network", "none", "-v", "copied:/data", "loaded:1", "true"), World.with_image),
    Verb("volume-import", lambda w: ("volume", "import", "imported", w.folder / "big.tar")),
    Verb("push", lambda w: ("push", f"{w.registry.address}/disk-full-{w.count}-{os.getpid()}:1"), World.with_other_repository, must_fail=False),
]


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.name)
def test_says_so_and_goes_well_with_room(world, verb):
    codes = []
    for room in ROOM:
        verb.prepare(world)
        command = verb.command(world)
        world.disk.leave(room)
        done = world.corten.run(*command)
        codes.append(done.code)
        assert done.code == 0 or FULL.search(done.err), f"{room} bytes free: {done!r}"
        assert world.api.alive()
        world.disk.empty()
        checked = world.corten.run("store", "check")
        assert checked.code == 0, f"{room} bytes free: {checked!r}"
        if done.code:
            again = world.corten.run(*command)
            assert again.code == 0, f"with room again, after {room} bytes: {again!r}"
        world.undo()
    assert codes[0] != 0 or not verb.must_fail, "it needs no room: nothing was tried"
    assert world.corten.ok("run", "--rm", "--network", "none", BOX, "echo", "well") == "well"


def test_images_and_containers_go_from_a_full_disk(world):
    """Also where there is no room for one more byte, and what they took is free then."""
    for _ in range(2):
        world.with_image()
        world.with_container()
        world.disk.leave(0)
        world.corten.ok("rm", "changed")
        world.corten.ok("rmi", "loaded:1")
        eventually(lambda: world.disk.free() >= SIZE, "the room that the image took")
        world.disk.empty()
        world.corten.ok("store", "check")
