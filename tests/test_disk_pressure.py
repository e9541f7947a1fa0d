"""Images that nobody needs make room when the disk fills up, if the daemon is told to."""
import os
import subprocess

import pytest
from support import disks, images
from support.engines import Daemon
from support.wait import eventually

pytestmark = pytest.mark.corten_only

DISK = 160  # MB


@pytest.fixture
def disk(tmp_path):
    with disks.mounted(tmp_path, DISK) as point:
        yield point


def use(disk) -> float:
    found = os.statvfs(disk)
    used = found.f_blocks - found.f_bfree
    return 100 * used / (used + found.f_bavail)


def filled(registry, box_tar, name) -> str:
    """An image that takes some ten percent of the disk."""
    content = images.Entry("filler", data=os.urandom(DISK * 100_000))
    return registry.push(f"pressure/{name}", "1", images.image([box_tar, images.tar([content])], compression="none"))


def test_those_not_used_for_longest_go_until_the_low_mark(disk, registry, box_tar):
    daemon = Daemon("pressure", extra=["--image-gc-high", "65", "--image-gc-low", "45"])
    daemon.data = disk / "data"
    daemon.start()
    try:
        docker = daemon.client("docker")
        names = ["kept", "old", "older", "last"]
        references = {name: filled(registry, box_tar, name) for name in names}
        for name in ("kept", "old", "older"):
            docker.ok("pull", references[name])
        docker.ok("create", "--name", "user", references["kept"])
        docker.ok("run", "--rm", references["old"], "true")  # pulled earlier, but used since
        number = 0
        while use(disk) <= 65:
            number += 1
            docker.ok("pull", filled(registry, box_tar, f"more{number}"))
        eventually(lambda: use(disk) <= 45, "room on the disk", 20)
        left = docker.ok("images", "--format", "{{.Repository}}")
        assert "/kept" in left, "a container is made from it"
        assert "/older" not in left
        assert docker.ok("run", "--rm", references["kept"], "echo", "works") == "works"
        assert daemon.client("corten").ok("store", "check", "--quick")
    finally:
        daemon.stop()


def test_without_the_marks_nothing_goes(disk, registry, box_tar):
    daemon = Daemon("nopressure")
    daemon.data = disk / "data"
    daemon.start()
    try:
        docker = daemon.client("docker")
        reference = filled(registry, box_tar, "alone")
        docker.ok("pull", reference)
        docker.ok("pull", filled(registry, box_tar, "second"))
        assert docker.ok("images", "-q", reference)
    finally:
        daemon.stop()


@pytest.mark.parametrize("flags", [["--image-gc-high", "101"], ["--image-gc-low", "10"], ["--image-gc-high", "20", "--image-gc-low", "30"],
                                   ["--image-gc-high", "much"]])
def test_marks_that_make_no_sense_stop_the_daemon(tmp_path, flags):
    done = subprocess.run(Daemon("refused", extra=flags, work=tmp_path).argv(), capture_output=True, timeout=30)
    assert done.returncode == 1 and b"--image-gc" in done.stderr
