"""Each step of corten-runtime's commands fails in turn: what was made is gone again, and what is said to be done is done."""
import contextlib
import json
import os
import re
import socket
import subprocess
import threading
from pathlib import Path

import pytest

from support import cgroups
from support.bundles import Bundle, message
from support.faults import ERRORS, Fault, Strace
from support.wait import eventually

EVERY_CALL = os.environ.get("CORTEN_FAULTS") == "all"
pytestmark = [pytest.mark.corten_only, pytest.mark.timeout(3600 if EVERY_CALL else 300)]

# The end of the list that PR_CAPBSET_READ goes through, and settings that cannot fail with these arguments (PR_SET_PDEATHSIG).
NOT_REFUSED = {("caller", "prctl"), ("child", "prctl", 1), ("child", "prctl", 3)}

# What a container is, by its shell alone: a program that it starts would be one more child whose calls fail.
DESCRIPTION = """
show() { while read -r line; do echo "$line"; done < $1; }
describe() {
    show /proc/self/cgroup
    while read -r key rest; do case $key in Cap*|NoNew*|Seccomp:|Groups:|Uid:|Gid:) echo $key $rest;; esac; done < /proc/self/status
    show /proc/sys/kernel/hostname
    show /proc/sys/net/ipv4/ip_forward
    while read -r id parent device root point options rest; do echo $point $options; done < /proc/self/mountinfo
    echo /dev/* /dev/pts/* /proc/acpi/* /sys/firmware/*
    for name in null zero full tty random urandom; do test -c /dev/$name && echo $name; done
    show /data/file; show /copied/file
    pwd; set; ulimit -n; umask; show /proc/self/oom_score_adj
    echo end
}
describe > /tmp/seen
"""


class Box:
    """A container that uses every step there is, and what it looks like when all is well."""

    def __init__(self, runtime, bundle):
        self.runtime, self.bundle, self.folder = runtime, bundle, bundle.path.parent
        self.parent, self.pid_file = f"corten-t-faults-{os.getpid()}", self.folder / "pid"
        config = bundle.config
        config["process"]["user"] = {"uid": 1000, "gid": 1000, "additionalGids": [5]}
        config["process"]["env"].append("HOME=/home")
        config["process"]["oomScoreAdj"] = 100
        config["hooks"] = {"createContainer": [{"path": "/bin/true"}], "createRuntime": [{"path": "/bin/true"}]}
        section = config["linux"]
        section["cgroupsPath"] = f"/{self.parent}/box"
        section["namespaces"].append({"type": "cgroup"})
        section["resources"].update(memory={"limit": 64 << 20}, pids={"limit": 50}, cpu={"shares": 512, "cpus": "0"})
        section["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdirat"], "action": "SCMP_ACT_ERRNO"}]}
        section["sysctl"] = {"net.ipv4.ip_forward": "1"}
        (bundle.root / "data").mkdir()
        for path in (self.folder / "data", bundle.root / "copied"):
            path.mkdir()
            (path / "file").write_text(f"of {path.name}\n")
        bundle.mount("/data", self.folder / "data", options=["bind", "ro"])
        bundle.mount("/copied", "tmpfs", "tmpfs", ["tmpcopyup", "size=64k"])
        (bundle.root / "tmp").chmod(0o1777)
        (bundle.root / "home").mkdir()
        self.options = ("--bundle", bundle.path, "--pid-file", self.pid_file, "box")
        self.configure()
        self.describe()
        self.first_run()
        self.good = self.seen()

    def configure(self):
        """What a kind of box has besides."""

    def describe(self):
        self.bundle.shell(DESCRIPTION)

    def first_run(self):
        self.runtime.ok("create", *self.options)
        self.runtime.ok("start", "box")
        self.ended()
        self.remove()

    def sleep(self):
        self.bundle.save("sleep", "1000")

    def seen(self) -> str:
        """What the container wrote about itself; "" when it did not come to that."""
        file = self.bundle.root / "tmp" / "seen"
        text = file.read_text() if file.exists() else ""
        file.unlink(missing_ok=True)
        return text

    def directories(self) -> list:
        return [path for path in Path("/sys/fs/cgroup").glob(f"*/{self.parent}/*") if path.is_dir()]

    def left(self) -> list:
        """What is on the host of it, as sentences."""
        found = [f"cgroup {path}" for path in self.directories()]
        found += [f"state {name}" for name in os.listdir(self.runtime.root) if name != ".seccomp"]
        found += [f"filter {path}" for path in self.runtime.root.glob(".seccomp/*") if not re.fullmatch(r"[0-9a-f]{16}", path.name)]
        found += [f"mount {line}" for line in Path("/proc/self/mountinfo").read_text().splitlines() if str(self.folder) in line]
        found += [f"file {name}" for name in os.listdir(self.bundle.path) if name not in ("config.json", "rootfs")]
        found += [f"file {name}" for name in os.listdir(self.folder) if name.startswith("pid")]
        return found + [f"process {pid}" for pid in self.processes()]

    def unnamed(self) -> list:
        """What nobody can know of who comes later: made under another name, and the maker was killed before it gave the right one."""
        paths = [*self.runtime.root.glob(".*"), *self.folder.glob("pid*")]
        return [path for path in paths if path == self.pid_file or re.fullmatch(r"\.[0-9a-f]{16}|pid\.[0-9a-f]+\.tmp", path.name)]

    def processes(self) -> list:
        """Of the runtime, or of the container before it is another program (then it is in the group)."""
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                if str(self.runtime.root).encode() in (entry / "cmdline").read_bytes():
                    found.append(entry.name)
            except OSError:
                pass
        return found

    def ended(self):
        eventually(lambda: self.runtime.state("box")["status"] == "stopped", "the container's end", pause=0.005)

    def remove(self):
        self.runtime.ok("delete", "--force", "box")
        self.pid_file.unlink(missing_ok=True)

    def close(self):
        self.remove()
        for path in Path("/sys/fs/cgroup").glob(f"*/{self.parent}"):
            path.rmdir()


class Mapped(Box):
    """In a user namespace, with a bind mount whose ids are mapped, and the shared memory of another."""

    def configure(self):
        section = self.bundle.config["linux"]
        # The kernel mounts message queues only for who owns the namespace that they are of.
        mounts = self.bundle.config["mounts"] = [m for m in self.bundle.config["mounts"] if m["type"] != "mqueue"]
        self.other = subprocess.Popen(["unshare", "--ipc", "sleep", "1000"])
        eventually(lambda: os.readlink(f"/proc/{self.other.pid}/exe").endswith("sleep"), "the other namespace")
        next(n for n in section["namespaces"] if n["type"] == "ipc")["path"] = f"/proc/{self.other.pid}/ns/ipc"
        section["namespaces"].append({"type": "user"})
        for kind in ("uidMappings", "gidMappings"):
            section[kind] = [{"containerID": 0, "hostID": 100000, "size": 65536}]
        next(m for m in mounts if m["destination"] == "/data")["options"].append("idmap")

    def close(self):
        super().close()
        self.other.kill()
        self.other.wait()


class WithTerminal(Box):
    """Whose terminal goes to a socket, and is held there until the container goes."""

    def configure(self):
        self.masters, self.server = [], socket.socket(socket.AF_UNIX)
        self.server.bind(str(self.folder / "console.sock"))
        self.server.listen()
        threading.Thread(target=self.receive, daemon=True).start()
        self.options = (*self.options[:-1], "--console-socket", self.folder / "console.sock", self.options[-1])
        self.bundle.config["process"]["terminal"] = True

    def receive(self):
        with contextlib.suppress(OSError):
            while True:
                peer, _ = self.server.accept()
                with peer:
                    self.masters += socket.recv_fds(peer, 4096, 1)[1]

    def remove(self):
        super().remove()
        while self.masters:
            os.close(self.masters.pop())

    def close(self):
        super().close()
        self.server.shutdown(socket.SHUT_RDWR)
        self.server.close()


@contextlib.contextmanager
def made(kind, runtime, bundle):
    box = kind(runtime, bundle)
    box.pid_file.unlink(missing_ok=True)
    try:
        yield box
    finally:
        box.close()


@pytest.fixture
def box(runtime, bundle):
    with made(Box, runtime, bundle) as plain:
        yield plain


@pytest.fixture(params=[Box, Mapped])
def run_box(request, runtime, open_folder):
    with made(request.param, runtime, Bundle(open_folder / "bundle")) as one:
        yield one


@pytest.fixture(params=[Box, WithTerminal])
def create_box(request, runtime, bundle):
    with made(request.param, runtime, bundle) as one:
        yield one


@pytest.fixture
def strace(folder):
    return Strace(folder)


def faults(counts, who) -> list:
    """The first and the last call of each kind, or every one."""
    found = []
    for call, times in sorted(counts[who].items()):
        chosen = range(1, times + 1) if EVERY_CALL else sorted({1, times})
        found += [Fault(who, call, nth) for nth in chosen if call in ERRORS]
    return [f for f in found if not {(who, f.call), (who, f.call, f.nth)} & NOT_REFUSED]


class Trials:
    """Runs a command with one fault after the other and collects what is wrong, so that a test tells of all at once."""

    def __init__(self, box, strace, *command):
        self.box, self.strace, self.command, self.wrong, self.hits, self.total = box, strace, command, [], 0, 0

    def each(self, counts, who):
        """Yields (done, check) per fault; check(condition, what) notes what is wrong."""
        for fault in faults(counts, who):
            done = self.strace.run(self.box.runtime, fault, counts, *self.command)
            hit = self.strace.hit()
            self.hits, self.total = self.hits + bool(hit), self.total + 1

            def check(right, what):
                if not right:
                    self.wrong.append(f"{what}: {fault.call} #{fault.nth} of {who}: {hit[:160]}\n    {done!r}")
            if done.code != 0:
                check(len(done.err.strip().splitlines()) == 1, "not one sentence")
            yield done, check

    def end(self):
        assert not self.wrong, "\n".join(self.wrong)
        assert self.total > 0 and self.hits >= 0.8 * self.total, f"only {self.hits} of {self.total} faults came about"


@pytest.mark.parametrize("who", ["caller", "child"])
def test_run_that_fails_half_way_leaves_nothing(run_box, strace, who):
    box, runtime = run_box, run_box.runtime
    trials = Trials(box, strace, "run", *box.options)
    box.bundle.save("true")
    counts = strace.count(runtime, "run", *box.options)
    box.describe()
    box.pid_file.unlink()
    for done, check in trials.each(counts, who):
        seen = box.seen()
        if done.code == 0:
            check(seen == box.good, f"not complete: {set(seen.splitlines()) ^ set(box.good.splitlines())}")
            box.pid_file.unlink(missing_ok=True)
        if done.code != 0 and seen == box.good:  # it ran to its end, and then could not be removed
            box.remove()
        check(not box.left(), f"left {box.left()}")
        if done.code != 0:
            again = runtime.run("run", *box.options)
            check(again.code == 0 and box.seen() == box.good, f"the same name again: {again!r}")
            box.pid_file.unlink(missing_ok=True)
    trials.end()


def test_create_that_fails_half_way_leaves_nothing(create_box, strace):
    """And what it says is created can be started. That its child's steps may fail is seen with `run`."""
    box, runtime = create_box, create_box.runtime
    trials = Trials(box, strace, "create", *box.options)
    counts = strace.count(runtime, "create", *box.options)
    box.remove()
    for done, check in trials.each(counts, "caller"):
        if done.code == 0:
            check(runtime.state("box")["status"] == "created", "not created")
            started = runtime.run("start", "box")
            check(started.code == 0, f"{started!r}")
            box.ended()
            check(box.seen() == box.good, "not complete")
            box.remove()
        check(not box.left(), f"left {box.left()}")
        box.remove()
    trials.end()


def test_start_that_fails_starts_nothing(box, strace):
    """The container is as it was, and can still be started."""
    runtime, trials = box.runtime, Trials(box, strace, "start", "box")
    runtime.ok("create", *box.options)
    counts = strace.count(runtime, "start", "box")
    box.ended()
    box.remove(), box.seen()
    runtime.ok("create", *box.options)
    for done, check in trials.each(counts, "caller"):
        if done.code != 0 and runtime.state("box")["status"] == "created":
            continue  # for the next fault
        box.ended()
        check(done.code == 0 or "container process" in done.err, "started, and said to have failed")
        check(box.seen() == box.good, "not complete")
        box.remove()
        check(not box.left(), f"left {box.left()}")
        runtime.ok("create", *box.options)
    trials.end()
    runtime.ok("start", "box")


@pytest.mark.parametrize("who", ["caller", "child"])
def test_exec_that_fails_leaves_the_container_as_it_was(box, strace, who):
    runtime = box.runtime
    options = ("--pid-file", box.pid_file, "box")
    box.sleep()
    runtime.start("box", box.bundle)
    pid = runtime.state("box")["pid"]
    counts = strace.count(runtime, "exec", *options, "true")
    runtime.ok("exec", *options, "sh", "-c", DESCRIPTION)
    good = box.seen()
    assert good.endswith("end\n")
    box.pid_file.unlink()
    trials = Trials(box, strace, "exec", *options, "sh", "-c", DESCRIPTION)
    for done, check in trials.each(counts, who):
        seen = box.seen()
        check(done.code in (0, 255), "exit code")
        if done.code == 0:
            check(seen == good, f"not complete: {set(seen.splitlines()) ^ set(good.splitlines())}")
            box.pid_file.unlink(missing_ok=True)
        check(not box.pid_file.exists(), "a pid file")
        inside = {int(line) for path in box.directories() for line in (path / "cgroup.procs").read_text().split()}
        check(inside == {pid}, f"processes {inside}")
        check(runtime.state("box")["status"] == "running", "the container does not run")
    trials.end()


def test_delete_that_fails_can_be_repeated(box, strace):
    runtime, trials = box.runtime, Trials(box, strace, "delete", "--force", "box")
    box.sleep()
    runtime.start("box", box.bundle)
    counts = strace.count(runtime, "delete", "--force", "box")
    runtime.start("box", box.bundle)
    for done, check in trials.each(counts, "caller"):
        if done.code != 0 and not (runtime.root / "box").exists():
            check(False, "failed, and did it")
        if done.code != 0:
            again = runtime.run("delete", "--force", "box")
            check(again.code == 0, f"the second time: {again!r}")
        check(not box.left(), f"left {box.left()}")
        runtime.start("box", box.bundle)
    trials.end()


def test_update_that_fails_changes_nothing(box, strace):
    runtime, trials = box.runtime, Trials(box, strace, "update", "--memory", "32m", "--pids-limit", "20", "--cpu-share", "300", "box")
    box.sleep()
    runtime.start("box", box.bundle)
    pid = runtime.state("box")["pid"]

    def limits():
        record = json.loads((runtime.root / "box" / "config.json").read_text())["linux"]["resources"]
        return (cgroups.read(pid, "memory", "memory.limit_in_bytes"), cgroups.read(pid, "pids", "pids.max"), record["pids"]["limit"])
    old, new = (str(64 << 20), "50", 50), (str(32 << 20), "20", 20)
    counts = strace.count(runtime, *trials.command)
    assert limits() == new
    back = ("update", "--memory", "64m", "--pids-limit", "50", "--cpu-share", "512", "box")
    runtime.ok(*back)
    for done, check in trials.each(counts, "caller"):
        check(limits() == (new if done.code == 0 else old), f"limits {limits()}")
        check(set(os.listdir(runtime.root / "box")) == {"config.json", "state.json", "traces.json"}, "files")
        runtime.ok(*back)
    trials.end()


@pytest.mark.parametrize("command,before,after", [("pause", "running", "paused"), ("resume", "paused", "running")])
def test_pause_and_resume_that_fail_change_nothing(box, strace, command, before, after):
    runtime, trials = box.runtime, Trials(box, strace, command, "box")
    opposite = {"pause": "resume", "resume": "pause"}[command]
    box.sleep()
    runtime.start("box", box.bundle)
    if before == "paused":
        runtime.ok("pause", "box")
    counts = strace.count(runtime, command, "box")
    runtime.ok(opposite, "box")
    for done, check in trials.each(counts, "caller"):
        check(runtime.state("box")["status"] == (after if done.code == 0 else before), "state")
        if runtime.state("box")["status"] == after:
            runtime.ok(opposite, "box")
    trials.end()


@pytest.mark.parametrize("command", ["create", "run"])
def test_maker_killed_at_any_step_leaves_what_can_be_removed(box, strace, command):
    """By `delete --force`, or by whoever takes the name next; the container's process ends by itself."""
    runtime, counts = box.runtime, strace.count(box.runtime, "create", *box.options)
    box.sleep()
    box.remove()
    words, killed = ("run", "--detach") if command == "run" else ("create",), 0
    for turn, fault in enumerate(faults(counts, "caller")):
        done = strace.run(runtime, fault._replace(action="signal=KILL"), counts, *words, *box.options)
        killed += done.code != 0
        if done.code == 0:
            assert runtime.state("box")["status"] == {"create": "created", "run": "running"}[command]
        else:
            alive = runtime.run("state", "box").code == 0 and runtime.state("box")["status"]
            eventually(lambda: alive or not box.processes(), f"the end of the processes after {fault}", 5)
        if done.code != 0 and not alive and turn % 2:
            runtime.ok("create", *box.options)
        runtime.ok("delete", "--force", "box")
        for path in box.unnamed():
            path.rmdir() if path.is_dir() else path.unlink()
        assert not box.left(), f"{fault}: {box.left()}"
    assert killed > 20


def test_complaint_names_what_failed(box, strace):
    for call, says in (("pivot_root", "pivot_root"), ("sethostname", "hostname"), ("capset", "capabilities"), ("seccomp", "seccomp")):
        done = strace.run(box.runtime, Fault("child", call, 1), {"caller": {call: 0}}, "run", *box.options)
        assert done.code == 1 and says in message(done)
