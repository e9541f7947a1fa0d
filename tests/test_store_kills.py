"""kill -9 of the daemon at random moments of everything that changes its store: nothing is lost, nothing is orphaned, and the
same command then ends well. Each kill is one in the middle of a command: a command that was faster is done again."""
import itertools
import os
import random
import subprocess
import time
from dataclasses import dataclass, field

import pytest
from support import images
from support.engines import BOX
from support.own_daemon import DRIVERS, corten, docker, with_driver  # noqa: F401

pytestmark = pytest.mark.corten_only
KILLS = int(os.environ.get("CORTEN_KILLS", "4"))  # of each kind of work with each driver
MIB = 1 << 20


@pytest.fixture(scope="module", params=DRIVERS)
def daemon(request, box_reference):
    with with_driver(request.param, box_reference) as own:
        yield own


@dataclass
class Work:
    """A command to be cut short, and what it changes: references that then have an image, with its id where one knows it, and
    ids of images that are then gone."""
    command: tuple
    makes: dict = field(default_factory=dict)
    takes: tuple = ()
    settled: callable = lambda: None  # looks at what it did elsewhere

    def is_done(self, found: dict) -> bool:
        return all(name in found for name in self.makes) and not set(self.takes) & set(found.values())


def layers_of_many_files(box_tar, seed) -> list:
    dice = random.Random(seed)
    entries = [images.Entry(f"d/{n}", data=dice.randbytes(dice.randrange(2000))) for n in range(300)]
    return [box_tar, images.tar(entries), images.tar([images.Entry("big", data=dice.randbytes(3 * MIB))])]


def archive(name, tars) -> bytes:
    return images.docker_archive(name, images.image(tars, compression="none"), tars)


class World:
    """What all kinds of work have in common, and how each is prepared."""

    def __init__(self, registry, box_tar, folder):
        self.registry, self.box_tar, self.folder, self.numbers = registry, box_tar, folder, itertools.count(1)
        pulled, archived, kept = (layers_of_many_files(box_tar, seed) for seed in (1, 2, 3))
        self.pulled, self.archived = images.image(pulled), images.image(archived, compression="none")
        self.reference = registry.push("kills", "1", self.pulled)
        (folder / "archived.tar").write_bytes(archive("archived:1", archived))
        (folder / "kept.tar").write_bytes(archive("kept:1", kept))
        (folder / "tree.tar").write_bytes(box_tar)

    def pull(self, corten):
        return Work(("pull", self.reference), {self.reference: self.pulled.id})

    def push(self, corten):
        """Of a layer and to a repository that the registry has not seen before."""
        reference = f"{self.registry.address}/kills-{time.monotonic_ns()}:1"
        tars = [images.tar([images.Entry("fresh", data=os.urandom(4 * MIB))])]
        picture = images.image(tars, compression="none")
        corten.ok("load", input=archive(reference, tars))

        def settled():
            corten.ok("rmi", reference)
            corten.ok("pull", reference)
            assert corten.inspect(reference, "Id") == picture.id, "the registry has another image"
        return Work(("push", reference), {reference: picture.id}, settled=settled)

    def load(self, corten):
        return Work(("load", "-i", self.folder / "archived.tar"), {"archived:1": self.archived.id})

    def bring_in(self, corten):
        return Work(("import", self.folder / "tree.tar", "imported:1"), {"imported:1": None})

    def remove(self, corten):
        corten.ok("load", "-i", self.folder / "archived.tar")
        return Work(("rmi", "archived:1"), takes=(self.archived.id,))

    def prune(self, corten):
        corten.ok("load", "-i", self.folder / "archived.tar")
        corten.ok("tag", BOX, "archived:1")
        return Work(("image", "prune", "-f"), takes=(self.archived.id,))

    def commit(self, corten):
        name = f"changed{next(self.numbers)}"
        corten.ok("run", "--name", name, "--network", "none", BOX, "sh", "-c",
                  "mkdir /d; for n in $(seq 200); do echo $n > /d/$n; done; head -c 3000000 /dev/urandom > /big")
        return Work(("commit", name, "committed:1"), {"committed:1": None})

    def containers(self, corten):
        return Work(("run", "--rm", BOX, "sh", "-c", "echo x > /x"))


KINDS = [World.pull, World.push, World.load, World.bring_in, World.remove, World.prune, World.commit, World.containers]


@pytest.fixture(scope="module")
def world(registry, box_tar, tmp_path_factory):
    return World(registry, box_tar, tmp_path_factory.mktemp("corten-t-kills"))


def tagged(daemon) -> dict:
    """Reference → id of every image; one without a name goes by its id."""
    return {name: i["Id"] for i in daemon.api.get("/images/json").json() for name in i["RepoTags"] or [i["Id"]]}


class Standing:
    """Images and a container that no work is about: they have to survive all of it."""

    def __init__(self, daemon, corten, world):
        self.daemon, self.corten = daemon, corten
        corten.ok("load", "-i", world.folder / "kept.tar")
        corten.ok("run", "--name", "stands", "--network", "none", "-v", "stands:/v", BOX, "sh", "-c", "echo written > /f; echo kept > /v/f; mkfifo /p")
        self.images = tagged(daemon)
        self.content = self.read()

    def read(self) -> tuple:
        """What the image and the container hold, as they give it away."""
        sums = self.corten.ok("run", "--rm", "--network", "none", "kept:1", "sh", "-c", "cat /d/* /big | sha256sum; ls /d | wc -l")
        return sums, self.corten.ok("diff", "stands"), *(self.corten.run("cp", f"stands:{path}", "-").raw for path in ("/f", "/v/f"))

    def assert_stands(self, work, acknowledged, when):
        found = tagged(self.daemon)
        told = self.corten.run("store", "check")
        assert told.code == 0, f"{when}: {told!r}"
        expected = {**self.images, **{name: wanted or found.get(name) for name, wanted in work.makes.items()}}
        for name, wanted in expected.items():
            assert found.get(name, wanted if name in work.makes else None) == wanted, f"{when}: {name} is lost, or another image"
        strangers = set(found.values()) - set(expected.values()) - set(work.takes)
        assert not strangers, f"{when}: images that nobody made: {strangers}"
        assert work.is_done(found) or not acknowledged, f"{when}: what was acknowledged is not so"
        assert self.read() == self.content, when


def forget(daemon, corten, standing):
    """Nothing is left of what an earlier turn made, so that the next has all of it to do."""
    made = set(tagged(daemon)) - set(standing.images)
    if made:
        corten.ok("rmi", "-f", *made)
    corten.ok("image", "prune", "-f")


def killed_at(daemon, corten, work, moment):
    """Whether the command still ran when the daemon was killed; its exit code then, else None."""
    client = corten.popen(*work.command, stdin=subprocess.DEVNULL)
    try:
        client.communicate(timeout=moment)
        return None
    except subprocess.TimeoutExpired:
        daemon.kill()
        client.communicate(timeout=30)
        return client.returncode


@pytest.mark.timeout(90 + 15 * KILLS)
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_kill_9_leaves_a_store_without_faults(daemon, corten, world, kind):
    standing, dice = Standing(daemon, corten, world), random.Random(kind.__name__)
    work = kind(world, corten)
    begun = time.monotonic()
    corten.ok(*work.command)
    length, kills = time.monotonic() - begun, 0
    for _ in range(10 * KILLS):
        forget(daemon, corten, standing)
        work = kind(world, corten)
        code = killed_at(daemon, corten, work, dice.uniform(0, length))
        if code is None:
            length *= 0.8
            continue
        kills += 1
        daemon.start()
        standing.assert_stands(work, code == 0, f"kill {kills} of {' '.join(map(str, work.command))}")
        again = corten.run(*work.command)
        assert work.is_done(tagged(daemon)), f"kill {kills}: {again!r}"
        assert again.code == 0 or work.takes, f"kill {kills}: {again!r}"
        work.settled()
        if kills == KILLS:
            break
    assert kills == KILLS, f"the command was faster than all but {kills} kills"
    corten.ok("store", "check")
    assert corten.ok("run", "--rm", BOX, "echo", "well") == "well"
