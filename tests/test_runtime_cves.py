"""Attacks on container runtimes that are known by name, tried on ours; and what no attack may ever find open.

Each test says what the attacker would see without the defence. The files of the host that nobody may see or
change are a `canary`: a tree beside the bundle whose every folder has a file named like no other.
"""
import contextlib
import ctypes
import fcntl
import json
import os
import re
import shutil
import socket
import struct
import subprocess
import sys
import threading
import time
import uuid
from pathlib import Path

import pytest

from support import host, paths
from support.bundles import RUNTIME, Runtime, descriptor_socket, message, script_command
from support.wait import eventually

pytestmark = pytest.mark.corten_only
RACE_SECONDS = float(os.environ.get("CORTEN_RACE_SECONDS", "12"))
RACE_COMMANDS = int(os.environ.get("CORTEN_RACE_COMMANDS", "40"))
MARK = "only-the-host-has-this"
# Settings are tried with the values that the host has, so that a defect does no harm.
CORE_PATTERN, TTL = (Path(f"/proc/sys/{name}").read_text().strip() for name in ("kernel/core_pattern", "net/ipv4/ip_default_ttl"))
LOOK = f"ls -d ./{MARK} /{MARK} /*/{MARK} /*/*/{MARK} 2>/dev/null"


@pytest.fixture
def name() -> str:
    """A container's name that no other run on this host has, for its cgroup has it too."""
    return f"corten-t-{uuid.uuid4().hex[:12]}"


class Canary:
    """A tree of the host with names that a container's root has too."""

    def __init__(self, path: Path):
        self.path = path
        for inner in (".", "a/b", "dev/pts", "dev/shm", "etc", "proc/self/attr", "proc/sys/net/ipv4", "sys/fs/cgroup", "vol/x", "work/dir"):
            (path / inner).mkdir(parents=True, exist_ok=True)
            (path / inner / MARK).write_text("untouched\n")
        self.before = self.tree()

    def tree(self) -> dict:
        found = {}
        for at in sorted(self.path.rglob("*")):
            info = at.lstat()
            content = at.read_bytes() if at.is_file() and not at.is_symlink() else b""
            found[str(at.relative_to(self.path))] = (info.st_mode, info.st_uid, info.st_gid, info.st_rdev, content)
        return found

    def check(self):
        assert self.tree() == self.before, "files of the host were changed or made"

    def links(self, depth: int) -> dict:
        """What a link that is `depth` folders below the root can have as its target to lead here on the host."""
        return {"absolute": str(self.path), "relative": "../" * (depth + 2) + self.path.name}


@pytest.fixture
def canary(folder):
    tree = Canary(folder / "canary")
    yield tree
    tree.check()


def leaking(canary) -> list:
    """A prefix: a caller that does not close what it has open of the host, among the low numbers and above."""
    script = f'exec 3<{canary.path}/{MARK} 4<{canary.path} 5</ 7<{canary.path} 20</sys/fs/cgroup 99<{canary.path}; exec "$@"'
    return ["bash", "-c", script, "leaking"]


@pytest.fixture
def leaky(runtime, canary):
    runtime.prefix = leaking(canary)
    return runtime


@contextlib.contextmanager
def console_socket(folder):
    """(path for --console-socket, function that returns the terminal's master once the runtime has sent it)."""
    path = folder / "console.sock"
    with descriptor_socket(path) as received:
        yield path, lambda: received()[1]


def read_to_end(fd) -> str:
    """All that comes from a pipe or, until its other side is closed, a terminal."""
    text = b""
    with open(fd, "rb", buffering=0) as file, contextlib.suppress(OSError):
        while piece := file.read(65536):
            text += piece
    return text.decode().replace("\r\n", "\n")


def inner_pid(pid: int) -> int:
    """The number that a process has in its own pid namespace."""
    return int(re.search(r"NSpid:.*\s(\d+)\n", Path(f"/proc/{pid}/status").read_text())[1])


def namespaces(bundle, **paths):
    """The configuration's namespaces, of which some are joined by path (None: the host's is shared)."""
    kept = [entry for entry in bundle.config["linux"]["namespaces"] if entry["type"] not in paths]
    bundle.config["linux"]["namespaces"] = kept + [{"type": t, "path": str(p)} for t, p in paths.items() if p]


def without_mounts(bundle, *destinations):
    bundle.config["mounts"] = [m for m in bundle.config["mounts"] if m["destination"] not in destinations]


def capability_sets(text: str) -> dict:
    return {key: int(value, 16) for key, value in re.findall(r"Cap(\w+):\s*(\w+)", text)}


# --- Who the process is -------------------------------------------------------------------------------------------


GRANTED = sum(1 << bit for bit in (5, 10, 29))  # CAP_KILL, CAP_NET_BIND_SERVICE, CAP_AUDIT_WRITE
RAISED = ["setpriv", "--inh-caps=+sys_admin,+kill", "--ambient-caps=+sys_admin,+kill"]


@pytest.mark.parametrize("way", ["run", "exec"])
def test_cve_2016_8867_user_has_none_of_the_bounding_capabilities(runtime, bundle, name, way):
    """They stay the bound of what a set-uid program may get, and reach no user by the ambient set."""
    bundle.config["process"]["user"] = {"uid": 1000, "gid": 1000}
    if way == "run":
        status = runtime.output(name, bundle.save("cat", "/proc/self/status"))
    else:
        runtime.start(name, bundle.save("sleep", "1000"))
        status = runtime.ok("exec", "--cap", "CAP_SYS_ADMIN", name, "cat", "/proc/self/status")
    sets = capability_sets(status)
    assert sets["Eff"] == sets["Prm"] == sets["Inh"] == sets["Amb"] == 0
    assert sets["Bnd"] == GRANTED | (1 << 21 if way == "exec" else 0)


@pytest.mark.parametrize("way", ["run", "exec", "exec --cap"])
def test_cve_2022_24769_and_29162_and_27649_and_27650_inheritable_set_is_empty(runtime, bundle, name, way):
    """Also with a caller that has inheritable and ambient capabilities, and for those that are added to an exec."""
    runtime.prefix = RAISED
    if way == "run":
        status = runtime.output(name, bundle.save("cat", "/proc/self/status"))
    else:
        runtime.start(name, bundle.save("sleep", "1000"))
        status = runtime.ok(*way.split(), *(["CAP_NET_ADMIN"] if "--cap" in way else []), name, "cat", "/proc/self/status")
    sets = capability_sets(status)
    assert sets["Inh"] == sets["Amb"] == 0
    assert sets["Eff"] == sets["Prm"] == GRANTED | (1 << 12 if "--cap" in way else 0)


def test_cve_2022_24769_configuration_to_begin_with_has_no_inheritable_capabilities(runtime, bundle):
    (bundle.path / "config.json").unlink()
    runtime.ok("spec", "--bundle", bundle.path)
    capabilities = json.loads((bundle.path / "config.json").read_text())["process"]["capabilities"]
    assert capabilities["bounding"] and not capabilities.get("inheritable") and not capabilities.get("ambient")


@pytest.mark.parametrize("way", ["run", "exec"])
def test_process_without_a_word_about_capabilities_has_none(runtime, bundle, folder, name, way):
    """What is left out of a configuration is not granted: least of all the caller's own, which is root of the host."""
    process = bundle.config["process"]
    if way == "exec":
        runtime.start(name, bundle.save("sleep", "1000"))
    capabilities = process.pop("capabilities")
    bundle.save("cat", "/proc/self/status")
    if way == "exec":
        (folder / "process.json").write_text(json.dumps(process))
        process["capabilities"] = capabilities
    status = runtime.output(name, bundle) if way == "run" else runtime.ok("exec", "--process", folder / "process.json", name)
    allowed = 0 if way == "run" else GRANTED  # an exec may have what the container has
    assert not [key for key, value in capability_sets(status).items() if value & ~allowed], re.findall(r"Cap.*", status)


@pytest.mark.parametrize("way", ["run", "exec"])
def test_cve_2016_3697_user_whose_name_is_a_number_is_nobodys_uid(runtime, bundle, name, way):
    """The image says that "1000" is root: an id that is looked up as a name would become it, or live in its home."""
    (bundle.root / "etc" / "passwd").write_text("1000:x:0:0::/root:/bin/sh\nuser:x:1000:1000::/home/user:/bin/sh\n")
    (bundle.root / "etc" / "group").write_text("1000:x:0:\n")
    script = "id -u; id -g; echo $HOME"
    if way == "run":
        bundle.config["process"]["user"] = {"uid": 1000, "gid": 1000}
        shown = runtime.output(name, bundle.shell(script))
    else:
        runtime.start(name, bundle.save("sleep", "1000"))
        shown = runtime.ok("exec", "--user", "1000:1000", name, "sh", "-c", script)
    assert shown.split() == ["1000", "1000", "/home/user"]


USERS = ["root", "user", "-1", "+0", " 0", "0 ", "0x0", "1e3", "1000x", "1000:", ":0", "1000:root", "1000:-1", "1000:0:0", "0,0",
         "4294967295", "4294967296", "1000:4294967295", "99999999999999999999"]


@pytest.mark.parametrize("user", USERS)
def test_cve_2026_30892_half_understood_user_runs_nothing(runtime, bundle, name, user):
    """A number that cannot be read to its end must not become 0, nor wrap around to it."""
    runtime.start(name, bundle.save("sleep", "1000"))
    done = runtime.fails("exec", f"--user={user}", name, "touch", "/tmp/ran", says="--user", code=255)
    message(done)
    assert not (bundle.root / "tmp" / "ran").exists()


# A caller whose session keyring is its own, and seen only by who holds it (keyctl 1 joins, 5 sets who may see it).
KEYED = """
import ctypes, os, sys
call, number = ctypes.CDLL(None).syscall, {"x86_64": 250, "aarch64": 219}[os.uname().machine]
assert call(number, 5, call(number, 1, b"corten-t-caller"), 0x3f000000) == 0
os.execvp(sys.argv[1], sys.argv[1:])
"""


@pytest.mark.parametrize("way", ["run", "exec", "no-new-keyring"])
def test_keys_of_the_caller_are_not_the_containers(runtime, bundle, name, way):
    """Its session keyring is new, so that who gets in finds no tickets of the host's; without one it is asked for."""
    if not Path("/proc/keys").exists():
        pytest.skip("this kernel has no CONFIG_KEYS")
    runtime.prefix = [sys.executable, "-c", KEYED]
    bundle.config["linux"]["maskedPaths"] = []
    if way == "exec":
        runtime.start(name, bundle.save("sleep", "1000"))
        seen = runtime.ok("exec", name, "cat", "/proc/keys")
    else:
        seen = runtime.output(name, bundle.save("cat", "/proc/keys"), *(["--no-new-keyring"] if way == "no-new-keyring" else []))
    assert ("corten-t-caller" in seen) == (way == "no-new-keyring"), seen
    assert (f"_ses.{name}" in seen) == (way != "no-new-keyring"), seen


# --- The host's kernel --------------------------------------------------------------------------------------------


DENIED = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["unshare", "mount"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1}]}
OVERLAY = "cd /tmp && mkdir up work over && busybox mount -t overlay overlay -o lowerdir=/bin,upperdir=up,workdir=work over"


@pytest.mark.parametrize("way", ["run", "exec"])
def test_cve_2016_1576_and_1575_and_5195_filter_keeps_the_kernels_interfaces_away(runtime, bundle, name, way):
    """Holes of overlayfs in a user namespace are reached by unshare, which the filter takes away from every process."""
    attack = f"busybox unshare -Urm sh -c '{OVERLAY} && echo mounted'; busybox unshare -U true && echo unshared; true"
    if "unshared" not in runtime.output(f"{name}-open", bundle.shell(attack)):
        pytest.skip("this kernel has no user namespaces for it")
    bundle.config["linux"]["seccomp"] = DENIED
    if way == "run":
        done = runtime.run("run", "--bundle", bundle.shell(attack).path, name)
    else:
        runtime.start(name, bundle.save("sleep", "1000"))
        done = runtime.run("exec", name, "sh", "-c", attack)
    assert done.out == "" and done.err.count("Operation not permitted") == 2, repr(done)


def test_cve_2016_1576_overlay_is_not_mounted_without_the_capability(runtime, bundle, name):
    """Without a filter too: root of a container has no CAP_SYS_ADMIN."""
    done = runtime.run("run", "--bundle", bundle.shell(OVERLAY).path, name)
    assert done.code != 0 and re.search("denied|not permitted", done.err), repr(done)


# --- The runtime itself -------------------------------------------------------------------------------------------


ATTACK = """
until [ -s /tmp/victim ]; do :; done
read pid </tmp/victim
exec 5</proc/$pid/exe || exit
echo stop >/tmp/x/state.json
while readlink /proc/$pid/exe >/dev/null; do :; done
while (echo overwritten >/proc/self/fd/5) 2>/tmp/why; echo $? >>/tmp/why; grep -q busy /tmp/why; do :; done
mv /tmp/why /tmp/result
sleep 1000
"""


@pytest.mark.parametrize("way", ["run", "exec"])
def test_cve_2019_5736_container_cannot_overwrite_the_runtime(folder, bundle, name, way):
    """The container makes the runtime run itself inside (its program is /proc/self/exe), keeps that file open, and
    writes to it once nobody runs it: without a defence that is the host's file."""
    program, inside = folder / "program", bundle.root / "tmp"
    shutil.copy(RUNTIME, program)
    before = program.read_bytes()
    (inside / "x").mkdir()
    os.mkfifo(inside / "x" / "state.json")  # reading it holds the victim for as long as we like
    victim = ["/proc/self/exe", "--root", "/tmp", "state", "x"]
    runtime = Runtime(program, folder / "state")
    try:
        runtime.start(name, bundle.shell(ATTACK))
        if way == "run":
            namespaces(bundle, pid=f"/proc/{runtime.state(name)['pid']}/ns/pid")
            runtime.ok("run", "-d", "--pid-file", folder / "pid", "--bundle", bundle.save(*victim).path, f"{name}-victim")
        else:
            runtime.ok("exec", "-d", "--pid-file", folder / "pid", name, *victim)
        (inside / "victim").write_text(f"{inner_pid(int((folder / 'pid').read_text()))}\n")
        eventually((inside / "result").exists, "the attack")
    finally:
        Runtime(RUNTIME, folder / "state").clean()  # the other may be no program any more
    assert program.read_bytes() == before
    assert "Read-only file system" in (inside / "result").read_text() or "not permitted" in (inside / "result").read_text()


class ExecveListener(threading.Thread):
    """Holds every execve of a container whose filter notifies `path`, while `gate` is closed."""
    RECEIVE, SEND, CONTINUE = 0xc0502100, 0xc0182101, 1

    def __init__(self, path):
        super().__init__(daemon=True)
        self.server = socket.socket(socket.AF_UNIX)
        self.server.bind(str(path))
        self.server.listen()
        self.gate, self.held = threading.Event(), []

    def run(self):
        with contextlib.suppress(OSError):
            while True:
                peer, _ = self.server.accept()
                with peer:
                    for fd in socket.recv_fds(peer, 65536, 1)[1]:
                        threading.Thread(target=self.serve, args=(fd,), daemon=True).start()

    def serve(self, fd):
        with open(fd, "rb", buffering=0) as file, contextlib.suppress(OSError):
            call = bytearray(80)
            fcntl.ioctl(file, self.RECEIVE, call)
            number, pid = struct.unpack_from("QI", call)
            self.held.append(pid)
            self.gate.wait(20)
            fcntl.ioctl(file, self.SEND, struct.pack("QqiI", number, 0, 0, self.CONTINUE))

    def close(self):
        self.gate.set()
        self.server.shutdown(socket.SHUT_RDWR)
        self.server.close()
        self.join()


@pytest.mark.parametrize("way", ["run", "exec"])
def test_cve_2016_9962_nobody_looks_into_a_process_before_it_runs_its_program(runtime, bundle, folder, name, way):
    """It is stopped right at its execve, with all that the runtime has open, beside an attacker of the same user and
    capabilities: a dumpable process would show its descriptors and memory."""
    runtime.start(name, bundle.save("sleep", "1000"))
    namespaces(bundle, pid=f"/proc/{runtime.state(name)['pid']}/ns/pid")
    listener = ExecveListener(folder / "notify.sock")
    bundle.config["linux"]["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": str(folder / "notify.sock"),
                                         "syscalls": [{"names": ["execve"], "action": "SCMP_ACT_NOTIFY"}]}
    bundle.save("sleep", "1000")
    if way == "exec":
        listener.gate.set()
    listener.start()
    victim = None
    try:
        if way == "exec":
            runtime.start(f"{name}-victim", bundle)
            listener.gate.clear()
            listener.held.clear()
            argv = runtime.argv("exec", f"{name}-victim", "sleep", "1000")
        else:
            argv = runtime.argv("run", "--bundle", bundle.path, f"{name}-victim")
        victim = subprocess.Popen(argv, stdin=subprocess.DEVNULL)
        pid = eventually(lambda: listener.held, "an execve")[0]
        there = f"/proc/{inner_pid(pid)}"
        look = f"for f in {there}/exe {there}/cwd {there}/root {there}/fd/*; do readlink $f; done; cat {there}/maps {there}/environ"
        before = runtime.run("exec", name, "sh", "-c", look)
        listener.gate.set()
        eventually(lambda: b"sleep" in Path(f"/proc/{pid}/cmdline").read_bytes(), "the program")
        after = runtime.run("exec", name, "sh", "-c", look)
    finally:
        listener.close()
        runtime.run("delete", "--force", f"{name}-victim")
        if victim:
            victim.kill()
            victim.wait()
    assert before.out == "", repr(before)
    assert "/bin/busybox" in after.out, f"the attacker would not have seen anything anyway: {after!r}"


WAYS = ["run", "create", "exec", "exec -d"]


def open_descriptors(runtime, bundle, folder, name, way, options=(), terminal=False) -> dict:
    """Number → what it is, as `ls -l /proc/self/fd` prints it that is the container's own program."""
    listing = ["ls", "-l", "/proc/self/fd"]
    verb, *detached = way.split()
    bundle.config["process"]["terminal"] = terminal and verb != "exec"
    if verb == "exec":
        runtime.start(name, bundle.save("sleep", "1000"))
    with contextlib.ExitStack() as stack:
        if terminal:
            path, master = stack.enter_context(console_socket(folder))
            options = [*options, "--console-socket", path]
        reader, writer = os.pipe()
        detached = ["-d"] if verb == "run" or terminal and verb == "exec" else detached
        words = ["-t", *detached, *options, name, *listing] if terminal else [*detached, *options, name, *listing]
        if verb != "exec":
            words = [*detached, *options, "--bundle", bundle.save(*listing).path, name]
        subprocess.run(runtime.argv(verb, *words), stdin=subprocess.DEVNULL, stdout=writer, stderr=subprocess.DEVNULL,
                       check=True, timeout=60)
        if way == "create":
            runtime.ok("start", name)
        os.close(writer)
        printed = read_to_end(reader)
        if terminal:
            printed = read_to_end(master())
    return listed(printed)


def listed(printed: str) -> dict:
    """Number → target of the lines of `ls -l /proc/self/fd`; its own descriptor is closed when it comes to reading it."""
    found = {int(number): target for number, target in re.findall(r" (\d+)(?: -> (.*))?$", printed.replace("\r", ""), re.M)}
    own = [number for number, target in found.items() if not target and number > 2]
    assert len(own) == 1, printed
    return {number: target for number, target in found.items() if number not in own}


@pytest.mark.parametrize("way", WAYS)
def test_cve_2024_21626_and_2016_8649_nothing_of_the_host_is_open_in_the_container(leaky, bundle, folder, name, way):
    """Neither what the runtime works with nor what its caller forgot to close."""
    assert set(open_descriptors(leaky, bundle, folder, name, way)) == {0, 1, 2}


@pytest.mark.parametrize("way", WAYS)
def test_only_the_descriptors_that_are_to_be_preserved_are(leaky, bundle, canary, folder, name, way):
    found = open_descriptors(leaky, bundle, folder, name, way, ["--preserve-fds", "1"])
    assert set(found) == {0, 1, 2, 3} and found[3].endswith(MARK)


@pytest.mark.parametrize("way", ["run", "create"])
def test_only_the_sockets_of_an_activation_are_passed(leaky, bundle, folder, name, way, monkeypatch):
    """As systemd hands them over (sd_listen_fds(3)): the numbers after 2, and how many they are."""
    monkeypatch.setenv("LISTEN_FDS", "2")
    leaky.prefix = ["bash", "-c", 'LISTEN_PID=$$ exec "$@"', "activating", *leaky.prefix]
    found = open_descriptors(leaky, bundle, folder, name, way)
    assert set(found) == {0, 1, 2, 3, 4} and found[3].endswith(MARK)
    said = leaky.output(f"{name}-said", bundle.shell("echo $LISTEN_FDS $LISTEN_PID $$"))
    assert said == "2 1 1\n"


def test_cve_2024_21626_nothing_of_the_host_is_open_in_a_hook_of_the_image(leaky, bundle, name):
    """Its input is the state, its output what an error would show: both are files in memory."""
    script = "ls -l /proc/self/fd > /tmp/seen"
    bundle.config["hooks"] = {"startContainer": [{"path": "/bin/sh", "args": ["sh", "-c", script], "env": ["PATH=/bin"]}]}
    leaky.output(name, bundle.save("true"))
    found = listed((bundle.root / "tmp" / "seen").read_text())
    assert set(found) == {0, 1, 2} and found[0].startswith("/memfd:") and found[2].startswith("/memfd:"), found


@pytest.mark.parametrize("way", WAYS)
def test_cve_2024_21626_nothing_of_the_host_is_open_beside_a_seccomp_listener(leaky, bundle, folder, name, way):
    """The filter's descriptor and the listener's socket are gone before the program runs."""
    listener = ExecveListener(folder / "notify.sock")
    listener.gate.set()
    bundle.config["linux"]["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": str(folder / "notify.sock"),
                                         "syscalls": [{"names": ["execve"], "action": "SCMP_ACT_NOTIFY"}]}
    listener.start()
    try:
        found = open_descriptors(leaky, bundle, folder, name, way)
    finally:
        listener.close()
    assert set(found) == {0, 1, 2} and listener.held, found


@pytest.mark.parametrize("way", WAYS[:3])
def test_cve_2024_21626_only_the_terminal_is_open_with_a_terminal(leaky, bundle, folder, name, way):
    found = open_descriptors(leaky, bundle, folder, name, way, terminal=True)
    assert found == {number: "/dev/pts/0" for number in range(3)}


@pytest.mark.parametrize("way", ["run", "exec"])
def test_cve_2024_21626_only_the_terminal_is_open_when_the_callers_is_used(leaky, bundle, name, way):
    bundle.config["process"]["terminal"] = way == "run"
    if way == "exec":
        leaky.start(name, bundle.save("sleep", "1000"))
        argv = leaky.argv("exec", "-t", name, "ls", "-l", "/proc/self/fd")
    else:
        argv = leaky.argv("run", "--bundle", bundle.save("ls", "-l", "/proc/self/fd").path, name)
    done = subprocess.run(script_command(argv), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, timeout=20)
    assert listed(done.stdout) == {number: "/dev/pts/0" for number in range(3)}


def test_container_that_waits_for_its_start_holds_nothing_of_the_host(leaky, bundle, canary, name):
    """It is the runtime's process still, and whoever shares its pid namespace may be the same user."""
    leaky.create(name, bundle)
    pid = leaky.state(name)["pid"]
    found = {int(n): os.readlink(f"/proc/{pid}/fd/{n}") for n in os.listdir(f"/proc/{pid}/fd")}
    assert {0, 1, 2} < set(found)
    assert all(target.startswith("socket:") for number, target in found.items() if number > 2), found
    assert sorted(os.listdir(f"/proc/{pid}/root")) == sorted(os.listdir(bundle.root))
    assert not (Path(f"/proc/{pid}/root") / str(canary.path).lstrip("/")).exists()


@pytest.mark.parametrize("way", ["run", "link", "exec", "preserved"])
def test_cve_2024_21626_working_directory_is_no_descriptor(leaky, bundle, name, way):
    """The caller has folders of the host open: a chdir to one of them would be a way out of the root."""
    if way == "exec":
        leaky.start(name, bundle.save("sleep", "1000"))
    for number in (4, 5, 7, 10, 20, 99):
        target = f"/proc/self/fd/{number}"
        if way == "exec":
            done = leaky.fails("exec", "--cwd", target, name, "sh", "-c", LOOK, says="process.cwd", code=255)
        else:
            (bundle.root / f"link{number}").symlink_to(target)
            bundle.config["process"]["cwd"] = f"/link{number}" if way == "link" else target
            options = ["--preserve-fds", "3"] if way == "preserved" and number < 10 else []
            done = leaky.fails("run", *options, "--bundle", bundle.shell(LOOK).path, name, says="process.cwd")
        assert MARK not in done.out
        message(done)


@pytest.mark.parametrize("field", ["linux.namespaces[0].path", "process.env", "linux.uidMappings"])
def test_cve_2021_43784_long_texts_are_not_cut_and_nothing_after_them_is_skipped(runtime, bundle, name, field):
    """Texts whose length is a multiple of 65536, after which there would be another message to the child."""
    long = "x" * (65536 * 2 - 1)
    if field == "process.env":
        bundle.config["process"]["env"].append("A=" + long[2:])
        shown = runtime.output(name, bundle.shell("echo ${#A}; readlink /proc/self/ns/pid; echo end"))
        size, namespace, end = shown.split()
        assert int(size) == len(long) - 2 and end == "end" and namespace != os.readlink("/proc/self/ns/pid")
        return
    if field == "linux.uidMappings":
        namespaces(bundle, user=None)
        bundle.config["linux"]["namespaces"].append({"type": "user"})
        bundle.config["linux"]["uidMappings"] = [{"containerID": n, "hostID": n, "size": 1} for n in range(2000)]
        bundle.config["linux"]["gidMappings"] = [{"containerID": 0, "hostID": 0, "size": 1}]
    else:
        bundle.config["linux"]["namespaces"].insert(0, {"type": "cgroup", "path": "/" + long})
    done = runtime.fails("run", "--bundle", bundle.save("true").path, name, says=field.partition("[")[0])
    message(done)


# --- /proc and what is written to it ------------------------------------------------------------------------------


@pytest.mark.parametrize("destination", ["/proc", "/proc/", "/etc/../proc", "/link", "/proc/sys", "/link/self/attr", "/proc/self/fd"])
@pytest.mark.parametrize("kind", ["bind", "tmpfs"])
def test_cve_2019_16884_nothing_but_procfs_is_mounted_over_proc(runtime, bundle, folder, name, destination, kind):
    """A volume of the image there would show a label or a setting as written that never was. A link is as good a way."""
    (folder / "fake" / "self" / "attr").mkdir(parents=True)
    (bundle.root / "link").symlink_to("proc")
    bundle.mount(destination, folder / "fake" if kind == "bind" else "tmpfs", kind, ["bind"] if kind == "bind" else [])
    bundle.shell("grep ' /proc' /proc/self/mountinfo; true")
    done = runtime.fails("run", "--bundle", bundle.path, name)
    assert "mounts[7]" in message(done) and done.out == "", repr(done)


@pytest.mark.parametrize("where", ["/proc", "/sys"])
@pytest.mark.parametrize("target", ["elsewhere", "/elsewhere", "../../canary"])
def test_cve_2019_19921_and_2023_27561_and_28642_proc_and_sys_are_no_links(runtime, bundle, canary, name, where, target):
    """The kernel's files would be mounted where a volume can be moved away under them."""
    (bundle.root / "elsewhere").mkdir()
    (bundle.root / where.lstrip("/")).rmdir()
    (bundle.root / where.lstrip("/")).symlink_to(target)
    done = runtime.fails("run", "--bundle", bundle.path, name, says=f"{where} is a symbolic link")
    message(done)
    assert not os.listdir(bundle.root / "elsewhere")


@pytest.mark.parametrize("target", ["file", "absolute", "relative"])
def test_cve_2025_52881_settings_go_to_the_kernel_and_not_to_what_lies_at_its_path(runtime, bundle, canary, name, target):
    """The root has no procfs: a name in it must not take the value, be it a file or a link to one of the host."""
    without_mounts(bundle, "/proc")
    bundle.config["linux"]["maskedPaths"] = bundle.config["linux"]["readonlyPaths"] = []
    fake = bundle.root / "proc" / "sys" / "net" / "ipv4" / "ip_forward"
    fake.parent.mkdir(parents=True)
    if target == "file":
        fake.write_text("untouched\n")
    else:
        fake.symlink_to(f"{canary.links(4)[target]}/etc/{MARK}")
    bundle.config["linux"]["sysctl"] = {"net.ipv4.ip_forward": "1"}
    runtime.start(name, bundle.save("sleep", "1000"))
    argv = ["nsenter", "-t", str(runtime.state(name)["pid"]), "-n", "cat", "/proc/sys/net/ipv4/ip_forward"]
    assert subprocess.run(argv, stdout=subprocess.PIPE, text=True).stdout == "1\n"
    assert target != "file" or fake.read_text() == "untouched\n"


def test_cve_2025_52881_setting_of_the_hosts_network_is_refused(runtime, bundle, name):
    """A namespace that is joined by path is not "of its own" when it is the caller's. The value is the one that is there."""
    namespaces(bundle, network="/proc/self/ns/net")
    bundle.config["linux"]["sysctl"] = {"net.ipv4.ip_default_ttl": TTL}
    message(runtime.fails("run", "--bundle", bundle.save("true").path, name, says="linux.sysctl"))


LABELS = {"process.apparmorProfile": "corten-t-no-such-profile", "process.selinuxLabel": "system_u:system_r:corten_t:s0",
          "linux.mountLabel": "system_u:object_r:corten_t:s0"}


@pytest.mark.parametrize("field", LABELS)
def test_cve_2025_52881_label_that_cannot_be_written_runs_nothing(runtime, bundle, name, field):
    """To go on without the confinement that was asked for is what the redirected write of a label came to."""
    section, key = field.split(".")
    bundle.config[section][key] = LABELS[field]
    message(runtime.fails("run", "--bundle", bundle.shell("echo unconfined").path, name, says=field))


# --- Masked paths, devices, the terminal --------------------------------------------------------------------------


@pytest.mark.parametrize("null", ["link", "file", "directory", "fifo", "nothing"])
def test_cve_2025_31133_and_62161_masks_are_the_hosts_null_device(runtime, bundle, folder, name, null):
    """/dev is the container's own folder with something else at null: a mask made of that would show its content, or
    give write access to what it covers."""
    devices = folder / "devices"
    devices.mkdir()
    (devices / "content").write_text("chosen by the container\n")
    {"link": lambda p: p.symlink_to("/dev/content"), "file": lambda p: p.write_text("chosen by the container\n"),
     "directory": Path.mkdir, "fifo": os.mkfifo, "nothing": lambda p: None}[null](devices / "null")
    before = sorted(os.listdir(devices))
    (bundle.root / "etc" / "secret").write_text("secret\n")
    without_mounts(bundle, "/dev", "/dev/pts", "/dev/shm", "/dev/mqueue")
    bundle.mount("/dev", devices)
    bundle.config["linux"]["maskedPaths"] = ["/proc/cmdline", "/etc/secret", "/proc/no-such"]
    bundle.config["linux"]["readonlyPaths"] = []
    done = runtime.output(name, bundle.shell("stat -c %F:%t:%T /proc/cmdline /etc/secret; cat /proc/cmdline /etc/secret; "
                                             "grep -E ' /(etc/secret|proc/cmdline) ' /proc/self/mountinfo"))
    first, second, *rest = done.splitlines()
    assert first == second == "character special file:1:3"
    assert len(rest) == 2 and all(line.split()[5].startswith("ro") for line in rest), done
    assert sorted(os.listdir(devices)) == before


@pytest.mark.parametrize("target", ["/etc/passwd", "/proc/cmdline", "../../canary/dev/made", "absolute", "pts/0"])
def test_cve_2025_52565_console_is_the_terminal_whatever_lies_at_its_path(runtime, bundle, canary, folder, name, target):
    """The image's /dev/console is a link. The terminal is opened by its master and shown inside of the root only."""
    without_mounts(bundle, "/dev", "/dev/shm", "/dev/mqueue")
    (bundle.root / "dev" / "console").symlink_to(f"{canary.path}/dev/made" if target == "absolute" else target)
    bundle.config["process"]["terminal"] = True
    with console_socket(folder) as (path, master):
        done = runtime.run("run", "-d", "--console-socket", path, "--bundle", bundle.shell("tty; " + LOOK).path, name)
        assert done.code == 0 or message(done)
        assert done.code != 0 or read_to_end(master()) == "/dev/pts/0\n"
    assert (bundle.root / "etc" / "passwd").read_text().startswith("root:")


@pytest.mark.parametrize("way", ["run", "exec"])
@pytest.mark.parametrize("fake", ["file", "fifo", "zero", "link"])
def test_cve_2025_52565_terminal_comes_only_from_a_devpts(runtime, bundle, canary, folder, name, fake, way):
    """A multiplexer of the image's making is not asked for a terminal."""
    without_mounts(bundle, "/dev", "/dev/pts", "/dev/shm", "/dev/mqueue")
    (bundle.root / "dev" / "pts").mkdir()
    multiplexer = bundle.root / "dev" / "pts" / "ptmx"
    {"file": lambda p: p.write_text(""), "fifo": os.mkfifo, "zero": lambda p: os.mknod(p, 0o20666, os.makedev(1, 5)),
     "link": lambda p: p.symlink_to(canary.links(2)["relative"] + "/etc/" + MARK)}[fake](multiplexer)
    if way == "exec":
        runtime.start(name, bundle.save("sleep", "1000"))
    bundle.config["process"]["terminal"] = True
    with console_socket(folder) as (path, _):
        options = ["-d", "--console-socket", path]
        if way == "run":
            message(runtime.fails("run", *options, "--bundle", bundle.save("true").path, name, says="terminal"))
        else:
            message(runtime.fails("exec", "-t", *options, name, "true", says="terminal", code=255))


@pytest.mark.parametrize("target", ["absolute", "relative"])
@pytest.mark.parametrize("mounted", ["tmpfs on it", "nothing on it"])
def test_cve_2026_41579_and_47766_devices_are_made_inside_when_dev_is_a_link(runtime, bundle, canary, name, target, mounted):
    """/dev of the image leads to the host: nodes, links, devpts and console were made there, as root."""
    (bundle.root / "dev").rmdir()
    (bundle.root / "dev").symlink_to(canary.links(0)[target] + "/dev")
    if mounted == "nothing on it":
        without_mounts(bundle, "/dev", "/dev/shm", "/dev/mqueue")
    bundle.config["linux"]["devices"] = [{"path": "/dev/deep/zero", "type": "c", "major": 1, "minor": 5, "fileMode": 0o666}]
    done = runtime.run("run", "--bundle", bundle.shell(f"stat -c %F /dev/null; {LOOK}").path, name)
    assert MARK not in done.out
    assert done.out == "character special file\n" if done.code == 0 or done.out else message(done), repr(done)


@pytest.mark.parametrize("target", ["absolute", "relative"])
def test_cve_2026_41579_device_below_a_link_is_made_inside(runtime, bundle, canary, name, target):
    (bundle.root / "out").symlink_to(canary.links(0)[target])
    bundle.config["linux"]["devices"] = [{"path": "/out/made/zero", "type": "c", "major": 1, "minor": 5, "uid": 7, "gid": 7}]
    assert runtime.output(name, bundle.save("stat", "-c", "%F %u", "/out/made/zero")) == "character special file 7\n"


# --- Where mounts go ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", ["absolute", "relative"])
@pytest.mark.parametrize("kind", ["folder", "file", "tmpfs"])
def test_cve_2021_30465_and_2024_45310_destination_below_a_link_is_made_inside(runtime, bundle, canary, folder, name, target, kind):
    """A volume that two containers share has a link in it that leads out: neither is the mount put there, nor are the
    missing parts of its path made there."""
    volume, data = folder / "volume", folder / "data"
    (volume / "deep").mkdir(parents=True)
    data.mkdir()
    (data / "file").write_text("data\n")
    (volume / "deep" / "link").symlink_to(canary.links(2)[target])
    bundle.mount("/vol", volume)
    destination = "/vol/deep/link/made/for/it"
    source = {"folder": data, "file": data / "file", "tmpfs": "tmpfs"}[kind]
    bundle.mount(destination, source, "tmpfs" if kind == "tmpfs" else "bind", [] if kind == "tmpfs" else ["bind"])
    script = f"cat {destination} {destination}/file 2>/dev/null; grep -c for/it /proc/self/mountinfo; {LOOK}; true"
    shown = runtime.output(name, bundle.shell(script))
    assert shown == ("" if kind == "tmpfs" else "data\n") + "1\n"


@pytest.mark.parametrize("case", ["read-only cgroups", "no mount of cgroups", "cgroup namespace"])
def test_cve_2023_25809_control_groups_are_not_writable_in_a_user_namespace(runtime, bundle, name, case):
    """Without a network namespace sysfs can only be shown as the host has it, with the host's cgroups below. Root of the
    user namespace is who owns them: only the mount's being read-only keeps it off."""
    section = bundle.config["linux"]
    namespaces(bundle, network=None)
    section["namespaces"] += [{"type": "user"}] + ([{"type": "cgroup"}] if case == "cgroup namespace" else [])
    section["uidMappings"] = section["gidMappings"] = [{"containerID": 0, "hostID": 0, "size": 65536}]
    if case == "no mount of cgroups":
        without_mounts(bundle, "/sys/fs/cgroup")
    shown = runtime.output(name, bundle.shell("grep -E ' /sys(/| )' /proc/self/mountinfo"))
    mounted = {line.split()[4]: line.split()[5].split(",")[0] for line in shown.splitlines()}
    assert len(mounted) > 1 and set(mounted.values()) == {"ro"}, shown


# --- Names --------------------------------------------------------------------------------------------------------


BAD_NAMES = ["", ".", "..", "../bundle", "x/../../bundle", "a/b", "/abs", "a b", "a\nb", "é", "a" * 1025]
VERBS = {"create": ("create", "--bundle", "{bundle}"), "run": ("run", "--bundle", "{bundle}"), "state": ("state",), "kill": ("kill",),
         "delete": ("delete", "--force"), "start": ("start",), "exec": ("exec",)}


@pytest.mark.parametrize("verb", VERBS)
def test_crun_1_28_name_of_a_container_is_no_path(runtime, bundle, folder, verb):
    """`delete --force ../bundle` would remove the bundle, `create ../x` write beside the state."""
    (bundle.path / "state.json").write_text("{}")
    runtime.root.mkdir()
    before = sorted(str(p) for p in folder.rglob("*") if p.name not in ("out", "err"))
    for bad in BAD_NAMES:
        words = [word.format(bundle=bundle.path) for word in VERBS[verb]]
        done = runtime.fails(*words, bad, *(["true"] if verb == "exec" else []), says="container id", code=255 if verb == "exec" else 1)
        message(done)
    assert sorted(str(p) for p in folder.rglob("*") if p.name not in ("out", "err")) == before


def test_crun_1_28_option_names_no_group_outside(runtime, bundle, name):
    """A name with ".." would put the process into a group of others."""
    runtime.start(name, bundle.save("sleep", "1000"))
    for outside in ("..", "../..", "x/../..", f"../{name}-outside"):
        message(runtime.fails("exec", "--cgroup", outside, name, "true", says="..", code=255))
    assert not [path for path in host.cgroups() if f"{name}-outside" in path]


@pytest.mark.parametrize("where", ["bundle", "root.path", "process.cwd", "mounts[7]", "linux.maskedPaths"])
def test_crun_1_28_paths_beyond_the_kernels_limit_are_an_error_and_no_overflow(runtime, bundle, name, where):
    long = "/" + "d/" * 4000
    folder = bundle.path
    if where == "bundle":
        folder = str(bundle.path) + long
    elif where == "root.path":
        bundle.config["root"]["path"] = long
    elif where == "process.cwd":
        bundle.config["process"]["cwd"] = long
    elif where == "mounts[7]":
        bundle.mount(long, bundle.path)
    else:
        bundle.config["linux"]["maskedPaths"] = [long]
    bundle.save("true")
    message(runtime.fails("run", "--bundle", folder, name, says=where))


# --- All of them --------------------------------------------------------------------------------------------------


def named(text: str) -> set:
    """The weaknesses that the tests of a file are named after: "cve_2016_1576_and_1575" is two of one year."""
    found = set()
    for name in re.findall(r"(?:def test_|TEST_?[FP]?\(\w+, )(\w+)", text):
        year = None
        for given, number in re.findall(r"(?:cve|and)_(?:(20\d\d)_)?(\d{4,6})(?=_|$)", name.lower()):
            year = given or year
            found.add(f"{year}-{number}")
        if "crun_1_28" in name:
            found.add("crun-1.28")
    return found


def test_every_known_weakness_has_a_test_or_a_reason():
    files = [*paths.ROOT.glob("tests/test_*.py"), *paths.ROOT.glob("src/*/tests/*.cpp")]
    tested = set().union(*(named(file.read_text()) for file in files))
    rows = [line.partition("\t") for line in (paths.ROOT / "tests" / "data" / "runtime-cves.tsv").read_text().splitlines() if line[0] != "#"]
    assert [name for name, _, reason in rows if not reason and name not in tested] == []
    assert all(reason.startswith("does not apply: ") for _, _, reason in rows if reason)
    assert len({name for name, _, _ in rows}) == len(rows) > 35


# --- Races --------------------------------------------------------------------------------------------------------


class Swapper(threading.Thread):
    """Exchanges folders of the root with links to the host, and moves them away and back, as fast as it can."""
    EXCHANGE, NO_REPLACE = 2, 1

    def __init__(self, root: Path, names, canary):
        super().__init__(daemon=True)
        self.stopped, self.turns, self.rename = threading.Event(), 0, ctypes.CDLL(None).renameat2
        # By descriptors: a path would go through the links of the other threads, and then we would be who changes the host.
        self.root, self.pairs = os.open(root, os.O_PATH), []
        for name in names:
            parent = os.open((root / name).parent, os.O_PATH)
            for kind, target in canary.links(name.count("/")).items():
                link = f".{name.replace('/', '-')}-{kind}"
                (root / link).symlink_to(f"{target}/{name}")
                self.pairs.append((parent, os.fsencode(Path(name).name), os.fsencode(link)))

    def run(self):
        while not self.stopped.is_set():
            for parent, place, link in self.pairs:
                # Twice, so that each is as it was.
                for _ in range(2):
                    self.rename(parent, place, self.root, link, self.EXCHANGE)
                self.rename(parent, place, parent, place + b".away", self.NO_REPLACE)
                self.rename(parent, place + b".away", parent, place, self.NO_REPLACE)
                self.turns += 1

    def stop(self):
        self.stopped.set()
        self.join()
        for fd in {self.root, *(parent for parent, _, _ in self.pairs)}:
            os.close(fd)


@pytest.mark.timeout(RACE_SECONDS + RACE_COMMANDS + 90)
def test_cve_2021_30465_and_2019_19921_and_2024_45310_and_2025_31133_race_for_the_paths_of_a_start(runtime, bundle, canary, folder, name):
    """While containers are made, started and entered, all that they walk through is exchanged under them. A start may
    fail; what it must not do is leave the root, so the host's tree stays as it is and is seen in no container."""
    for inner in ("a/b/c", "vol/x", "work/dir", "etc"):
        (bundle.root / inner).mkdir(parents=True, exist_ok=True)
    (bundle.root / "etc" / "masked").write_text("")
    data = folder / "data"
    data.mkdir()
    (data / "file").write_text("data\n")
    bundle.mount("/a/b/c", data)
    bundle.mount("/a/b/made/here", data)
    bundle.mount("/etc/made/file", data / "file")
    bundle.mount("/vol/x/y/z", "tmpfs", "tmpfs", [])
    bundle.config["linux"]["maskedPaths"] += ["/etc/masked", "/a/b/made", "/work/none"]
    bundle.config["linux"]["readonlyPaths"] += ["/vol/x", "/etc"]
    bundle.config["linux"]["devices"] = [{"path": "/vol/deep/zero", "type": "c", "major": 1, "minor": 5}]
    bundle.config["process"]["cwd"] = "/work/dir/deeper"
    bundle.shell(f"{LOOK}; sleep 0.02")
    groups = (["dev", "a/b", "vol/x"], ["proc", "a", "work"], ["sys", "etc", "vol", "work/dir"])
    swappers = [Swapper(bundle.root, names, canary) for names in groups]
    done, end = [], time.monotonic() + RACE_SECONDS
    for swapper in swappers:
        swapper.start()
    try:
        while time.monotonic() < end or len(done) < RACE_COMMANDS:
            turn = f"{name}-{len(done)}"
            if len(done) % 2:
                done.append(runtime.run("run", "--bundle", bundle.path, turn))
                continue
            done.append(runtime.run("create", "--bundle", bundle.path, turn))
            if done[-1].code == 0:
                done.append(runtime.run("start", turn))
                done.append(runtime.run("exec", "--cwd", "/work/dir", turn, "sh", "-c", LOOK))
                runtime.ok("delete", "--force", turn)
    finally:
        for swapper in swappers:
            swapper.stop()
    canary.check()
    assert not [d for d in done if MARK in d.out]
    turns, good = sum(s.turns for s in swappers), sum(d.code == 0 for d in done)
    print(f"{len(done)} commands, of which {good} succeeded, against {turns} exchanges of each kind")
    assert len(done) >= RACE_COMMANDS and turns > 1000
    assert [d for d in done if d.code == 0], f"no start at all succeeded: {done[-1]!r}"
    assert not [p for p in os.listdir(runtime.root) if not p.startswith(".")]
    assert not [p for p in host.cgroups() if name in p] and not [m for m in host.mounts() if str(folder) in m]


@pytest.mark.timeout(RACE_SECONDS + 90)
def test_cve_2019_19921_and_2025_31133_race_for_proc_leaves_no_masked_path_open(runtime, bundle, canary, name):
    """/proc of the root is exchanged between its mount and the masks: whoever looks it up by path again finds nothing to
    mask, and goes on. A start may fail, but the kernel's file must not be seen where the mask was asked for."""
    bundle.config["linux"]["maskedPaths"] = ["/proc/cmdline"]
    bundle.shell("stat -c %F /proc/cmdline 2>/dev/null; true")
    swapper, seen, end = Swapper(bundle.root, ["proc"], canary), [], time.monotonic() + RACE_SECONDS / 4
    swapper.start()
    try:
        while time.monotonic() < end:
            seen.append(runtime.run("run", "--bundle", bundle.path, f"{name}-{len(seen)}").out.strip())
    finally:
        swapper.stop()
    assert "character special file" in seen and not [kind for kind in seen if kind.startswith("regular")], set(seen)
