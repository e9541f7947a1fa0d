"""A daemon's whole life, with everything it can do, leaves the host as it was."""
import os
import re
import signal
from pathlib import Path

import pytest
from support import engines, host
from support.engines import BOX
from support.wait import eventually

pytestmark = pytest.mark.corten_only


@pytest.fixture
def world(session_engine):
    """The host before; `check` compares it with the host now."""
    before = host.state()

    def check(daemon):
        def clean():
            found = host.left_behind(before, host.state(), daemon.seen, [daemon.bridge, str(daemon.work)])
            found = [f for f in found if not session_engine.owns(f)]
            assert not found, "left on the host:\n" + "\n".join(found)
            return True
        eventually(clean, "a clean host", 15, pause=0.2)
    return check


def everything(daemon, client):
    """One of each thing that puts something on the host, failures included."""
    client.ok("run", "--rm", BOX, "true")
    client.ok("run", "-d", "--name", "pub", "-p", "127.0.0.1::80", "-p", "127.0.0.1::53/udp", "--init", "--memory", "32m", BOX, "sleep", "600")
    client.ok("run", "-d", "--name", "user", "-v", "vol:/v", "-v", "/anon", "--tmpfs", "/t", BOX, "sleep", "600")
    client.ok("run", "-d", "--name", "net", "--network", "container:user", "--pid", "container:user", BOX, "sleep", "600")
    client.ok("run", "-d", "--name", "priv", "--privileged", "--network", "host", "--pid", "host", "--ipc", "host", "--uts", "host", BOX, "sleep", "600")
    client.ok("run", "-dit", "--name", "tty", "--network", "none", "--read-only", BOX, "sh")
    client.ok("exec", "-d", "pub", "sleep", "600")
    client.ok("exec", "pub", "true")
    client.fails("exec", "pub", "nosuch")
    client.fails("run", "--name", "f1", BOX, "nosuch", code=127)
    client.fails("run", "--rm", BOX, "/etc/passwd", code=126)
    client.fails("run", "--rm", "-u", "nosuch", BOX, "true", code=125)
    client.fails("run", "--rm", "--sysctl", "net.nosuch=1", BOX, "true")
    client.fails("run", "--rm", "--mount", "type=bind,source=/nosuch,target=/x", BOX, "true")
    taken = client.ok("port", "pub", "80").rpartition(":")[2]
    client.fails("run", "--name", "f2", "-p", f"127.0.0.1:{taken}:80", BOX, "true")
    client.ok("restart", "-t", "0", "user")
    client.ok("pause", "tty")
    client.ok("create", "--name", "made", BOX)
    client.fails("run", "--name", "forked", BOX, "sh", "-c", "(setsid sleep 700 &); exit 3", code=3)
    daemon.remember()


def test_everything_and_a_clean_end(world, box_reference):
    daemon = engines.Daemon("leaks").start()
    try:
        engines.pull(daemon, box_reference, BOX)
        everything(daemon, daemon.client("docker"))
    finally:
        daemon.stop()
    world(daemon)


def test_everything_and_a_crash(world, box_reference):
    daemon = engines.Daemon("leakscrash").start()
    try:
        engines.pull(daemon, box_reference, BOX)
        everything(daemon, daemon.client("docker"))
        daemon.restart("kill")
    finally:
        daemon.stop()
    world(daemon)


def test_nothing_is_mounted_on_the_host(box_reference, daemon):
    """A running container adds no mount to the host's table and no name to /run/netns."""
    before = host.mounts(), host.namespaces()
    client = daemon.client("docker")
    client.ok("run", "-d", "--name", "mounted", "-v", "vol:/v", BOX, "sleep", "600")
    try:
        assert not {m for m in host.mounts() - before[0] if str(daemon.work) in m}
        assert host.namespaces() == before[1]
    finally:
        client.ok("rm", "-f", "mounted")


def test_orphans_in_the_container_end_with_it(daemon):
    client = daemon.client("docker")
    number = client.ok("run", "-d", "--name", "family", BOX, "sh", "-c", "setsid sleep 701 & (sleep 702 &) ; sleep 0.3; exec sleep 600")
    eventually(lambda: "702" in client.ok("top", "family"), "the family")
    daemon.seen.add(number)
    os.kill(client.inspect("family", "State.Pid"), signal.SIGKILL)
    eventually(lambda: not [p for p in host.processes() if p[2] == number], "the end of the family")
    client.ok("rm", "-f", "family")


def test_descriptors_and_threads_do_not_grow(daemon):
    client = daemon.client("docker")

    def sizes():
        proc = Path(f"/proc/{daemon.process.pid}")
        threads = int(re.search(r"Threads:\s+(\d+)", (proc / "status").read_text())[1])
        return len(list((proc / "fd").iterdir())), threads

    def work(times):
        for _ in range(times):
            client.ok("run", "--rm", BOX, "true")
            client.run("run", "--rm", BOX, "nosuch")
    work(5)
    first = sizes()
    work(15)

    def settled():
        now = sizes()
        assert now[0] <= first[0] + 4 and now[1] <= first[1] + 4, now
        return True
    eventually(settled, f"a daemon with no more descriptors and threads than {first}", 10)
