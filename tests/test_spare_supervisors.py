"""Supervisors that a daemon keeps ready: a start takes one, and they end with the daemon."""
import contextlib
import os
import signal
from pathlib import Path

import pytest
from support import engines
from support.engines import BOX
from support.own_daemon import docker  # noqa: F401
from support.wait import eventually

pytestmark = pytest.mark.corten_only


def command_line(pid) -> list:
    return Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0").decode().split("\0")


def children(daemon) -> dict:
    """Command lines by process id."""
    found = {}
    for thread in Path(f"/proc/{daemon.process.pid}/task").iterdir():
        with contextlib.suppress(FileNotFoundError):  # a thread, or a child, that has just ended
            for pid in (thread / "children").read_text().split():
                found[int(pid)] = command_line(pid)
    return found


def spares(daemon) -> set:
    return {pid for pid, line in children(daemon).items() if line[:2] == ["corten-shim", "--spare"]}


def two_wait(daemon) -> set:
    return eventually(lambda: spares(daemon) if len(spares(daemon)) == 2 else None, "two spare supervisors")


def test_none_when_none_are_wanted(box_reference):
    own = engines.Daemon("no-spare", extra=["--spare-supervisors", "0"]).start()
    try:
        engines.pull(own, box_reference, BOX)
        assert own.client("docker").ok("run", "--rm", BOX, "echo", "here") == "here"
        assert not spares(own)
    finally:
        own.stop()


def test_a_start_takes_one_and_another_follows(daemon, docker):
    ready = two_wait(daemon)
    number = docker.ok("run", "-d", "--name", "taker", BOX, "sleep", "600")
    supervisor = next(pid for pid, line in children(daemon).items() if number in line[-1])
    assert supervisor in ready, "the container has a supervisor that was started for it"
    assert command_line(supervisor) == ["corten-shim", f"{daemon.run}/containers/{number}"]
    assert supervisor not in two_wait(daemon)
    assert docker.ok("exec", "taker", "echo", "here") == "here"


def test_one_that_died_is_not_taken(daemon, docker):
    for pid in two_wait(daemon):
        os.kill(pid, signal.SIGKILL)
    assert docker.ok("run", "--rm", BOX, "echo", "here") == "here"
    two_wait(daemon)


def test_they_end_with_the_daemon_and_supervisors_do_not(daemon, docker):
    ready = two_wait(daemon)
    number = docker.ok("run", "-d", "--name", "stays", BOX, "sleep", "600")
    supervisor = next(pid for pid, line in children(daemon).items() if number in line[-1])
    waiting = (ready | two_wait(daemon)) - {supervisor}
    daemon.kill()
    eventually(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in waiting), "the end of the spare ones")
    assert number in command_line(supervisor)[-1]
    daemon.start()
    assert docker.ok("exec", "stays", "echo", "here") == "here"
