"""What corten-runtime's commands tell, and whom: service managers, events, help, times."""
import json
import os
import re
import socket
import subprocess
import threading
from pathlib import Path

import pytest

from support import cgroups
from support.paths import BIN
from support.wait import SLOWNESS, eventually

pytestmark = pytest.mark.corten_only


# --- sd_notify -----------------------------------------------------------------------------------

class Manager(threading.Thread):
    """A service manager's socket: what it is told, and the barriers that it lifts."""

    def __init__(self, address):
        super().__init__(daemon=True)
        self.server = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.server.bind(address)
        self.told, self.barriers = [], 0

    def run(self):
        while message := socket.recv_fds(self.server, 4096, 4):
            text, fds, _, _ = message
            for fd in fds:
                os.close(fd)
            if text == b"end":
                return
            if text == b"BARRIER=1":
                self.barriers += len(fds)
            else:
                self.told.append(text.decode())

    def close(self):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as client:
            client.sendto(b"end", self.server.getsockname())
        self.join()
        self.server.close()


@pytest.fixture(params=["path", "abstract"])
def manager(request, folder, monkeypatch):
    path = str(folder / "manager.sock")
    monkeypatch.setenv("NOTIFY_SOCKET", path if request.param == "path" else f"@{path}")
    made = Manager(path if request.param == "path" else f"\0{path}")
    made.start()
    yield made
    made.close()


def say(runtime, name, *messages):
    """As the container's program would, to the socket that it sees."""
    pid = eventually(lambda: runtime.run("state", name).code == 0 and runtime.state(name)["status"] == "running" and runtime.state(name)["pid"],
                     "the container")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as client:
        client.connect(f"/proc/{pid}/root/run/notify/notify.sock")
        for message in messages:
            client.send(message)
    return pid


@pytest.mark.parametrize("way", ["run", "run --detach", "start"])
def test_manager_is_told_when_the_container_is_ready(runtime, bundle, manager, folder, way):
    """And not what else it says: it is not the container's word which process is the service's main one."""
    bundle.config["process"]["user"] = {"uid": 1000, "gid": 1000}
    bundle.shell("echo $NOTIFY_SOCKET $(stat -c %F:%a $NOTIFY_SOCKET); exec sleep 1000")
    runtime.made.add("told")
    verb, *options = way.split()
    words = [verb, *options, "--bundle", bundle.path, "told"]
    with open(folder / "shown", "w+") as shown:
        if verb == "start":
            subprocess.run(runtime.argv("create", *words[1:]), stdin=subprocess.DEVNULL, stdout=shown, check=True)
            words = ["start", "told"]
        caller = subprocess.Popen(runtime.argv(*words), stdin=subprocess.DEVNULL, stdout=shown)
    try:
        say(runtime, "told", b"STATUS=READY=1", b"MAINPID=1\n")
        assert manager.told == [] and caller.poll() is None
        pid = say(runtime, "told", b"STATUS=up\nREADY=1\nMAINPID=1\n")
        eventually(lambda: manager.told and manager.barriers, "the news")
        assert manager.told == [f"READY=1\nMAINPID={caller.pid if way == 'run' else pid}\n"]
        if way != "run":
            assert caller.wait(20 * SLOWNESS) == 0
        assert (folder / "shown").read_text() == "/run/notify/notify.sock socket:777\n"
    finally:
        runtime.run("delete", "--force", "told")
        caller.wait(20 * SLOWNESS)


def test_manager_hears_nothing_of_a_container_that_ends_before(runtime, bundle, manager):
    runtime.ok("run", "--detach", "--bundle", bundle.save("true").path, "short")
    assert manager.told == []


def test_socket_of_a_manager_that_is_not_there_runs_nothing(runtime, bundle, folder, monkeypatch):
    monkeypatch.setenv("NOTIFY_SOCKET", str(folder / "nobody"))
    done = runtime.fails("run", "--bundle", bundle.shell("touch /tmp/ran").path, "unheard", says="NOTIFY_SOCKET")
    assert not (bundle.root / "tmp" / "ran").exists(), done
    runtime.fails("state", "unheard", says="does not exist")


# --- events --------------------------------------------------------------------------------------

def test_stats_tell_of_every_controller(runtime, bundle):
    bundle.config["linux"]["resources"]["cpu"] = {"cpus": "0"}
    runtime.start("counted", bundle.save("sleep", "1000"))
    pid = runtime.state("counted")["pid"]
    data = json.loads(runtime.ok("events", "--stats", "counted"))["data"]
    if cgroups.read(pid, "cpuset", "cpuset.cpus"):
        assert data["cpuset"]["cpus"] == [0] and data["cpuset"]["mems"][0] == 0
    assert data["memory"]["kernelTCP"]["failcnt"] == 0 and "limit" in data["memory"]["kernelTCP"]
    sizes = {path.name.removeprefix("hugepages-") for path in Path("/sys/kernel/mm/hugepages").glob("*")}
    if sizes and ("hugetlb" in cgroups.mounts() or cgroups.is_v2()):
        assert len(data["hugetlb"]) == len(sizes) and all("failcnt" in pages for pages in data["hugetlb"].values())
    if cgroups.is_v2() and Path("/proc/pressure").exists():
        assert {"avg10", "avg60", "avg300", "total"} == set(data["cpu"]["psi"]["some"])


# --- the rest ------------------------------------------------------------------------------------

def test_help_of_a_command(runtime):
    for asked, same in ((("help", "run"), ("run", "--help")), (("help",), ("--help",))):
        assert runtime.ok(*asked) == runtime.ok(*same)
    assert "--no-pivot" in runtime.ok("help", "run") and "checkpoint" in runtime.ok("help")
    runtime.fails("help", "foo", says="'foo': there is no such command")


def phases(done) -> list:
    assert done.code == 0, done
    return re.findall(r"(?m)^ *\d+\.\d us  (.+)$", done.err)


def test_timings_of_each_phase(runtime, bundle):
    made = ["plan", "cgroup", "clone", "init: mounts", "init: change root", "wait for init"]
    runtime.made.add("timed")
    assert set(made) <= set(phases(runtime.run("--timings", "create", "--bundle", bundle.save("sleep", "1000").path, "timed")))
    runtime.ok("start", "timed")
    assert phases(runtime.run("--timings", "exec", "timed", "true")) == ["plan", "clone", "join the container", "run the program"]
    assert set(made) <= set(phases(runtime.run("--timings", "run", "--bundle", bundle.save("true").path, "timed-too")))
    assert phases(runtime.run("exec", "timed", "true")) == []


USER = b"user:x:1000:1000::/home/user:/bin/sh\n"
DATABASES = {  # what /etc/passwd of the image is, and the home of user 1000 by it
    "nul": (lambda path: path.write_bytes(b"a\0b:x:0:0::/root\0:/bin/sh\n" + USER), "/home/user"),
    "ids": (lambda path: path.write_bytes(b"a:x:4294968296:1::/a:\nb:x:-4294966296:1::/b:\nc:x:1000x:1::/c:\n" + USER), "/home/user"),
    "huge": (lambda path: path.write_bytes(b"u:x:1:1::/other:/bin/sh\n" * 400000 + USER), "/"),
    "fifo": (os.mkfifo, "/"),
    "folder": (Path.mkdir, "/"),
    "device": (lambda path: os.mknod(path, 0o20666, os.makedev(1, 5)), "/")}


@pytest.mark.parametrize("kind", DATABASES)
def test_odd_user_database_hangs_nothing_and_wraps_no_id(runtime, bundle, kind):
    make, home = DATABASES[kind]
    passwd = bundle.root / "etc" / "passwd"
    passwd.unlink()
    make(passwd)
    bundle.config["process"]["user"] = {"uid": 1000, "gid": 1000}
    assert runtime.output("homed", bundle.shell("echo $HOME")) == f"{home}\n"


@pytest.mark.parametrize("verb, options, says", [
    ("checkpoint", ("--status-fd", "3"), "--status-fd: it is for --lazy-pages, which is not there"),
    ("checkpoint", ("--lazy-pages", "--status-fd", "77"), "--status-fd: 77 is not open: Bad file descriptor"),
    ("checkpoint", ("--lazy-pages", "--status-fd", "0"), "--status-fd: 0 is not open for writing"),
    ("checkpoint", ("--page-server", "nowhere"), "--page-server: nowhere is not ADDRESS:PORT"),
    ("checkpoint", ("--page-server", "host:70000"), "--page-server: host:70000 is not ADDRESS:PORT")])
def test_options_for_criu_are_checked(runtime, bundle, folder, verb, options, says):
    runtime.start("checked", bundle.save("sleep", "1000"))
    with open(os.devnull) as only_read:
        runtime.fails(verb, "--image-path", folder / "images", *options, "checked", says=says, stdin=only_read)
    assert runtime.state("checked")["status"] == "running"


def test_options_for_criu_are_known(runtime):
    for verb, options in (("checkpoint", ("--link-remap", "--tcp-skip-in-flight", "--page-server", "--status-fd")),
                          ("restore", ("--link-remap", "--tcp-skip-in-flight", "--lsm-profile", "--lsm-mount-context"))):
        told = runtime.ok("help", verb)
        assert all(option in told for option in options), told


# --- size ----------------------------------------------------------------------------------------

def test_the_installed_program_is_under_four_megabytes(tmp_path):
    build = BIN.parent / "CMakeCache.txt"
    if build.exists() and "CMAKE_BUILD_TYPE:STRING=Release\n" not in build.read_text():
        pytest.skip("only what users get is made small")
    stripped = tmp_path / "corten-runtime"
    subprocess.run(["strip", "-o", stripped, BIN / "corten-runtime"], check=True)
    assert stripped.stat().st_size < 4_000_000
