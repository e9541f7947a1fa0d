"""Other people's engines on corten-runtime: podman, containerd and docker, as Debian packages them.

Each engine lives in mount and network namespaces of its own (`support/peers.py`), with its own roots and sockets, so that it
meets neither the host's engines nor those of another run.
"""
import os
import re
import shutil
import signal
import tempfile
from pathlib import Path

import pytest

from support import cgroups, images
from support.bundles import RUNTIME, Bundle, complaint_of_criu, hiding_unified, need
from support.clients import find_docker
from support.peers import Peer, Room, Service, remove_groups
from support.terminal import Terminal
from support.wait import eventually

pytestmark = pytest.mark.corten_only

BOX = "box:1"
PARENT = f"corten-t-peers-{os.getpid()}"
ISOLATED = ("--network", "none")
ALL_POWERS = "mount -t tmpfs none /tmp && grep -E 'CapEff|Seccomp:' /proc/self/status; stat -c %t:%T /dev/kmsg"
EAT_MEMORY = "x=a; while true; do x=$x$x$x; done"


@pytest.fixture(scope="module")
def folder():
    """Short: podman and unix sockets want no long paths."""
    with tempfile.TemporaryDirectory(prefix="corten-t-peers-", dir="/tmp") as made:
        os.chmod(made, 0o755)
        yield Path(made)


@pytest.fixture(scope="module")
def rootfs(folder):
    return Bundle(folder / "bundle").root


@pytest.fixture(scope="module")
def box_archive(folder, rootfs):
    archive = folder / "box.tar"
    archive.write_bytes(images.directory_tar(rootfs))
    return archive


def group_value(pid: int, controller: str, v1: str, v2: str) -> str:
    """A control file under its name in either version of control groups."""
    return cgroups.read(pid, controller, v2 if cgroups.is_v2() else v1)


def assert_all_powers(shown: str):
    """Of what ALL_POWERS prints: every capability that the host has, no filter of system calls, the host's devices."""
    _, effective, _, seccomp, device = shown.split()
    older = (1 << 38) - 1  # an engine asks for the capabilities it knows; these every one knows
    ours = int(re.search(r"CapEff:\s*(\w+)", Path("/proc/self/status").read_text())[1], 16)
    assert int(effective, 16) & older == ours & older and (seccomp, device) == ("0", "1:b")


# --- podman ------------------------------------------------------------------------------------

class Podman(Peer):
    LIMITS = ("--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1000:1000")

    def __init__(self, folder, room):
        # The default, in the room's /run: podman's cleaning up after a container would not get a flag for another one.
        self.runtime_root = Path("/run/corten-runtime")
        super().__init__(need("podman"), folder, room, [
            "--root", folder / "root", "--runroot", folder / "run", "--tmpdir", folder / "tmp", "--storage-driver", "vfs",
            "--cgroup-manager", "cgroupfs", "--events-backend", "file", "--runtime", RUNTIME])

    def shape(self, *options) -> list:
        return ["--cgroup-parent", f"/{PARENT}-podman", "--log-driver", "k8s-file", *self.LIMITS,
                *(() if "--network" in options else ISOLATED), *options]

    def runs(self, *args) -> str:
        """`podman run --rm` of options, the image and a command."""
        return self.ok("run", "--rm", *self.shape(*args))

    def lives(self, name, *options, command=("sleep", "1000")) -> str:
        return self.ok("run", "-d", "--name", name, *self.shape(*options), BOX, *command)

    def pid(self, name) -> int:
        return self.inspect(name, "State.Pid")


@pytest.fixture(scope="module")
def podman_storage(folder, box_archive):
    with Room(hiding_unified()) as room:
        client = Podman(folder / "podman", room)
        client.ok("import", box_archive, BOX)
        yield client
    remove_groups(f"{PARENT}-podman")


@pytest.fixture
def podman(podman_storage):
    yield podman_storage
    # Tried again: podman's own cleaning up, which goes on beside it, may still have the container's /dev/shm mounted.
    eventually(lambda: podman_storage.run("rm", "--all", "--force", "--time", "0").code == 0, "removal of the last container")
    assert not [name for name in os.listdir(podman_storage.room.path(podman_storage.runtime_root)) if not name.startswith(".")]


def test_podman_runs_a_command_to_its_end(podman):
    assert podman.runs(BOX, "echo", "hello") == "hello"
    assert podman.run("run", "--rm", "-i", *podman.shape(), BOX, "cat", input="fed").out == "fed"
    podman.fails("run", "--rm", *podman.shape(), BOX, "sh", "-c", "exit 7", code=7)


def test_podman_tells_a_missing_command_from_one_that_cannot_run(podman):
    """127 and 126: podman reads the runtime's message to tell which."""
    podman.fails("run", "--rm", *podman.shape(), BOX, "nosuch", code=127, says="nosuch.*not found")
    podman.fails("run", "--rm", *podman.shape(), BOX, "/etc/passwd", code=126, says="(?i)permission denied")


def test_podman_life_of_a_container(podman):
    number = podman.lives("life")
    assert podman.inspect("life", "OCIRuntime") == str(RUNTIME)
    assert podman.states(podman.runtime_root, number) == "running"
    podman.ok("pause", "life")
    assert podman.inspect("life", "State.Status") == "paused"
    assert podman.states(podman.runtime_root, number) == "paused"
    podman.ok("unpause", "life")
    podman.ok("kill", "--signal", "KILL", "life")
    assert podman.ok("wait", "life") == "137"
    podman.ok("start", "life")
    assert podman.inspect("life", "State.Status") == "running"
    podman.ok("stop", "--time", "0", "life")
    assert podman.inspect("life", "State.ExitCode") == 137
    podman.ok("rm", "life")


def test_podman_created_container_waits_for_its_start(podman):
    podman.ok("create", "--name", "made", *podman.shape(), BOX, "echo", "at last")
    number = podman.ok("init", "made") and podman.inspect("made", "Id")
    assert podman.states(podman.runtime_root, number) == "created"
    assert podman.ok("start", "--attach", "made") == "at last"


def test_podman_exec(podman):
    podman.lives("box")
    assert podman.ok("exec", "box", "echo", "inside") == "inside"
    assert podman.run("exec", "-i", "box", "cat", input="fed").out == "fed"
    options = ("--user", "1000:1000", "--env", "A=b", "--workdir", "/tmp")
    assert podman.ok("exec", *options, "box", "sh", "-c", "id -u; echo $A; pwd").split() == ["1000", "b", "/tmp"]
    podman.fails("exec", "box", "sh", "-c", "exit 5", code=5)
    podman.fails("exec", "box", "nosuch", code=127)
    podman.ok("exec", "-d", "box", "touch", "/tmp/done")
    eventually(lambda: podman.run("exec", "box", "stat", "/tmp/done").code == 0, "the detached command")


def test_podman_terminal(podman):
    command = ("sh", "-c", "tty; stty size; exit 3")
    with Terminal(podman, "run", "--rm", "-it", *podman.shape(), BOX, *command, rows=31, columns=97) as terminal:
        terminal.expect(r"/dev/pts/0\r\n31 97\r\n")
        assert terminal.ends() == 3
    podman.lives("box")
    with Terminal(podman, "exec", "-it", "box", "sh", rows=31, columns=97) as terminal:
        assert terminal.shell("tty").startswith("/dev/pts/")
        terminal.resize(20, 40)
        eventually(lambda: terminal.shell("stty size") == "20 40", "the new size")
        terminal.line("exit 4")
        assert terminal.ends() == 4


def test_podman_limits_and_their_update(podman):
    podman.lives("small", "--memory", "32m", "--cpus", "0.5", "--pids-limit", "20")
    pid = podman.pid("small")
    assert cgroups.read(pid, "memory", "memory.limit_in_bytes") == str(32 << 20)
    assert cgroups.read(pid, "pids", "pids.max") == "20"
    assert group_value(pid, "cpu", "cpu.cfs_quota_us", "cpu.max").startswith("50000")
    podman.ok("update", "--memory", "48m", "--memory-swap", "96m", "small")
    assert cgroups.read(pid, "memory", "memory.limit_in_bytes") == str(48 << 20)


def test_podman_stats(podman):
    podman.lives("busy", command=("sh", "-c", "sleep 1000 & sleep 1000"))
    shown = podman.json("stats", "--no-stream", "--format", "json", "busy")[0]
    assert shown["pids"] == "2" and not shown["mem_usage"].startswith("0B")


def test_podman_privileged(podman):
    """As it is, a container cannot mount and has no devices of the host."""
    podman.fails("run", "--rm", *podman.shape(), BOX, "mount", "-t", "tmpfs", "none", "/tmp")
    podman.fails("run", "--rm", *podman.shape(), BOX, "stat", "/dev/mem")
    assert_all_powers(podman.runs("--privileged", BOX, "sh", "-c", ALL_POWERS))


def test_podman_init_is_process_1(podman):
    if not Path("/usr/libexec/podman/catatonit").exists():
        pytest.skip("no catatonit on this machine")
    assert re.search(r"^\s*1 .*podman-init -- ps", podman.runs("--init", BOX, "ps"), re.M)


def test_podman_health_check(podman):
    podman.lives("well", "--health-cmd", "stat /tmp/well", "--health-interval", "disable", "--health-retries", "1")
    podman.fails("healthcheck", "run", "well", code=1)
    podman.ok("exec", "well", "touch", "/tmp/well")
    podman.ok("healthcheck", "run", "well")
    assert podman.inspect("well", "State.Health.Status") == "healthy"


def test_podman_confines(podman):
    """podman's own seccomp profile, its capabilities and a read-only root."""
    script = "grep -E 'CapEff|NoNewPrivs|Seccomp:' /proc/self/status; touch /x 2>/dev/null || echo refused; touch /run/a && echo kept"
    shown = podman.runs("--read-only", "--tmpfs", "/run", "--cap-drop", "ALL", "--cap-add", "CAP_CHOWN",
                        "--security-opt", "no-new-privileges", BOX, "sh", "-c", script)
    assert shown.split() == ["CapEff:", "0000000000000001", "NoNewPrivs:", "1", "Seccomp:", "2", "refused", "kept"]


def test_podman_volumes(podman, tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "file").write_text("theirs")
    assert podman.runs("-v", f"{tmp_path}/in:/in:ro", "-v", f"{tmp_path}:/out", BOX, "sh", "-c",
                       "cat /in/file > /out/copy; touch /in/x 2>/dev/null || echo refused") == "refused"
    assert (tmp_path / "copy").read_text() == "theirs"


def test_podman_container_in_the_namespaces_of_another(podman):
    podman.lives("first", "--ipc", "shareable", "--hostname", "theirs")
    shared = ("net", "pid", "ipc", "uts")
    options = [word for kind in ("network", "pid", "ipc", "uts") for word in (f"--{kind}", "container:first")]
    script = "for n in net pid ipc uts mnt; do readlink /proc/self/ns/$n; done; ps | grep -c '[s]leep 1000'"
    shown = podman.runs(*options, BOX, "sh", "-c", script)
    *joined, own, seen = shown.splitlines()
    theirs = f"/proc/{podman.pid('first')}/ns"
    assert joined == [os.readlink(f"{theirs}/{kind}") for kind in shared]
    assert own != os.readlink(f"{theirs}/mnt") and seen == "1"


def test_podman_user_namespace(podman):
    """Root in the container is nobody on the host, and owns the files of its image all the same."""
    podman.lives("mapped", "--uidmap", "0:200000:65536", "--gidmap", "0:200000:65536")
    status = Path(f"/proc/{podman.pid('mapped')}/status").read_text()
    assert re.search(r"Uid:\s+200000\s+200000", status) and re.search(r"Gid:\s+200000\s+200000", status)
    assert podman.ok("exec", "mapped", "sh", "-c", "id -u; stat -c %u /bin/busybox; touch /made && stat -c %u /made") == "0\n0\n0"


def test_podman_memory_limit_holds(podman):
    podman.fails("run", "--rm", "--memory", "20m", *podman.shape(), BOX, "sh", "-c", EAT_MEMORY, code=137)


def test_podman_restarts_what_fails(podman):
    podman.lives("again", "--restart", "on-failure:2", command=("sh", "-c", "echo turn; exit 1"))
    eventually(lambda: podman.inspect("again", "RestartCount") == 2, "the last restart")
    eventually(lambda: podman.inspect("again", "State.Status") == "exited", "the end")
    assert podman.ok("logs", "again").split() == ["turn"] * 3


def test_podman_saves_and_restores(podman):
    if complaint := complaint_of_criu():
        pytest.skip(complaint)
    podman.lives("saved", command=("sh", "-c", "i=0; while sleep 0.1; do i=$((i+1)); echo $i; done"))
    eventually(lambda: int((podman.ok("logs", "saved").split() or ["0"])[-1]) > 3, "a few numbers")
    podman.ok("container", "checkpoint", "saved")
    assert podman.inspect("saved", "State.Status") == "exited"
    last = int(podman.ok("logs", "saved").split()[-1])
    podman.ok("container", "restore", "saved")
    eventually(lambda: int(podman.ok("logs", "saved").split()[-1]) > last, "the next number")
    numbers = [int(n) for n in podman.ok("logs", "saved").split()]
    assert numbers == sorted(numbers) and numbers[0] == 1 and len(set(numbers)) == len(numbers), "it began anew"


# --- containerd --------------------------------------------------------------------------------

class Ctr(Peer):
    def __init__(self, folder, room, rootfs):
        self.space, self.runtime_root, self.rootfs = f"{PARENT}-ctr", folder / "rt", rootfs
        super().__init__(need("ctr"), folder, room, ["--address", folder / "c.sock", "--namespace", self.space])

    def shape(self, *options) -> list:
        return ["--rootfs", "--runc-binary", RUNTIME, "--runc-root", self.runtime_root, *options, self.rootfs]

    def task(self, name) -> tuple:
        """(pid, status) of a container's task."""
        rows = [line.split() for line in self.ok("task", "ls").splitlines()[1:]]
        return next(((int(pid), status) for task, pid, status in rows if task == name), (0, "none"))

    def status(self, name) -> str:
        return self.task(name)[1]

    def clean(self):
        for line in self.ok("task", "ls").splitlines()[1:]:
            self.run("task", "kill", "--signal", "KILL", line.split()[0])
            eventually(lambda: self.run("task", "rm", "--force", line.split()[0]).code == 0, "the end of a task")
        for name in self.ok("container", "ls", "--quiet").split():
            self.ok("container", "rm", name)


@pytest.fixture(scope="module")
def room():
    with Room() as made:
        yield made


@pytest.fixture(scope="module")
def containerd_service(folder, room, rootfs):
    program, own = need("containerd"), folder / "ctr"
    client = Ctr(own, room, rootfs)
    (own / "config.toml").write_text(
        f'version = 2\nroot = "{own}/root"\nstate = "{own}/state"\ndisabled_plugins = ["io.containerd.grpc.v1.cri"]\n'
        f'[grpc]\naddress = "{own}/c.sock"\n[plugins."io.containerd.internal.v1.opt"]\npath = "{own}/opt"\n')
    service = Service(client, [program, "--config", own / "config.toml"], ["version"])
    try:
        yield service
    finally:
        service.stop()
        remove_groups(client.space)


@pytest.fixture
def ctr(containerd_service):
    yield containerd_service.client
    containerd_service.client.clean()


def test_containerd_runs_a_command_to_its_end(ctr):
    assert ctr.ok("run", "--rm", *ctr.shape(), "out", "/bin/echo", "hello") == "hello"
    ctr.fails("run", "--rm", *ctr.shape(), "code", "/bin/sh", "-c", "exit 9", code=9)
    ctr.fails("run", "--rm", *ctr.shape(), "missing", "nosuch", says="nosuch.*not found")
    assert not os.listdir(ctr.runtime_root / ctr.space)


def test_containerd_life_of_a_task(ctr):
    ctr.ok("run", "--detach", *ctr.shape(), "life", "/bin/sleep", "1000")
    root = ctr.runtime_root / ctr.space
    assert ctr.status("life") == "RUNNING" and ctr.states(root, "life") == "running"
    assert ctr.ok("task", "exec", "--exec-id", "one", "life", "/bin/echo", "inside") == "inside"
    ctr.fails("task", "exec", "--exec-id", "two", "life", "/bin/sh", "-c", "exit 6", code=6)
    assert str(ctr.task("life")[0]) in ctr.ok("task", "ps", "life")
    assert re.search(r"(?m)^pids\.current\s+1\s*$", ctr.ok("task", "metrics", "life"))
    ctr.ok("task", "pause", "life")
    assert ctr.status("life") == "PAUSED" and ctr.states(root, "life") == "paused"
    ctr.ok("task", "resume", "life")
    assert ctr.status("life") == "RUNNING"
    ctr.ok("task", "kill", "--signal", "KILL", "life")
    eventually(lambda: ctr.status("life") == "STOPPED", "the end")
    assert "exit code 137" in ctr.run("task", "rm", "life").err
    ctr.ok("container", "rm", "life")


def test_containerd_terminal(ctr):
    script = "tty; until stty size 2>/dev/null | grep '31 97'; do :; done; exit 3"
    with Terminal(ctr, "run", "--rm", "--tty", *ctr.shape(), "tty", "/bin/sh", "-c", script, rows=31, columns=97) as terminal:
        terminal.expect(r"/dev/pts/0\r+\n31 97\r+\n")
        assert terminal.ends() == 3


def test_containerd_limits_and_seccomp(ctr):
    ctr.ok("run", "--detach", "--memory-limit", 64 << 20, "--seccomp", *ctr.shape(), "small", "/bin/sleep", "1000")
    pid = ctr.task("small")[0]
    assert cgroups.read(pid, "memory", "memory.limit_in_bytes") == str(64 << 20)
    assert re.search(r"Seccomp:\s+2", Path(f"/proc/{pid}/status").read_text())


def test_containerd_finds_its_task_again_after_a_crash(ctr, containerd_service):
    ctr.ok("run", "--detach", *ctr.shape(), "stays", "/bin/sleep", "1000")
    pid = ctr.task("stays")[0]
    containerd_service.stop(signal.SIGKILL)
    containerd_service.start()
    assert ctr.task("stays") == (pid, "RUNNING")
    assert ctr.ok("task", "exec", "--exec-id", "one", "stays", "/bin/echo", "inside") == "inside"


def test_containerd_cleans_up_after_a_supervisor_that_died(ctr):
    """Without the supervisor, containerd has only the runtime's `delete --force` to end the container."""
    ctr.ok("run", "--detach", *ctr.shape(), "orphan", "/bin/sleep", "1000")
    pid = ctr.task("orphan")[0]
    supervisor = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    assert "containerd-shim" in Path(f"/proc/{supervisor}/cmdline").read_text()
    os.kill(supervisor, signal.SIGKILL)
    eventually(lambda: not Path(f"/proc/{pid}/root/bin").exists(), "the end of the container")
    eventually(lambda: not (ctr.runtime_root / ctr.space / "orphan").exists(), "the end of its state")


# --- docker ------------------------------------------------------------------------------------

class Docker(Peer):
    def __init__(self, folder, room):
        super().__init__(find_docker() or need("docker"), folder, room, [], f"unix://{folder}/d.sock")

    def lives(self, name, *options, command=("sleep", "1000")) -> str:
        return self.ok("run", "-d", "--name", name, *options, BOX, *command)

    def pid(self, name) -> int:
        return self.inspect(name, "State.Pid")


@pytest.fixture(scope="module")
def dockerd_service(folder, room, box_archive):
    program, own = need("dockerd"), folder / "docker"
    need("containerd")
    client = Docker(own, room)
    (own / "daemon.json").write_text("{}")  # and not what the host's /etc/docker may say
    service = Service(client, [
        program, "--data-root", own / "data", "--exec-root", own / "exec", "--pidfile", own / "pid", "--host", client.host,
        "--config-file", own / "daemon.json", "--bip", "10.99.0.1/24", "--iptables=false", "--ip6tables=false", "--ip-forward=false",
        "--ip-masq=false", "--userland-proxy=false", "--storage-driver", "vfs", "--cgroup-parent", f"/{PARENT}-docker",
        "--add-runtime", f"corten={RUNTIME}", "--default-runtime", "corten"], ["version"])
    try:
        client.ok("import", box_archive, BOX)
        yield service
    finally:
        service.stop()
        remove_groups(f"{PARENT}-docker")


@pytest.fixture
def dock(dockerd_service):
    client = dockerd_service.client
    yield client
    for number in client.ok("ps", "--all", "--quiet").split():
        client.ok("rm", "--force", "--volumes", number)


def test_docker_runs_a_command_to_its_end(dock):
    assert dock.ok("run", "--rm", *ISOLATED, BOX, "echo", "hello") == "hello"
    assert dock.run("run", "--rm", "-i", *ISOLATED, BOX, "cat", input="fed").out == "fed"
    dock.fails("run", "--rm", *ISOLATED, BOX, "sh", "-c", "exit 7", code=7)
    dock.fails("run", "--rm", *ISOLATED, BOX, "nosuch", code=127, says="nosuch.*not found")
    dock.fails("run", "--rm", *ISOLATED, BOX, "/etc/passwd", code=126, says="(?i)permission denied")


def test_docker_life_of_a_container(dock):
    number = dock.lives("life", *ISOLATED)
    assert dock.inspect("life", "HostConfig.Runtime") == "corten"
    root = next(dock.folder.glob("exec/runtime-*/moby"))
    assert dock.states(root, number) == "running"
    dock.ok("pause", "life")
    assert dock.inspect("life", "State.Status") == "paused" and dock.states(root, number) == "paused"
    dock.ok("unpause", "life")
    dock.ok("stop", "--time", "0", "life")
    assert dock.inspect("life", "State.ExitCode") == 137
    dock.ok("start", "life")
    dock.ok("kill", "life")
    assert dock.ok("wait", "life") == "137"


def test_docker_exec(dock):
    dock.lives("box", *ISOLATED)
    assert dock.ok("exec", "box", "echo", "inside") == "inside"
    assert dock.run("exec", "-i", "box", "cat", input="fed").out == "fed"
    dock.fails("exec", "box", "sh", "-c", "exit 5", code=5)
    done = dock.run("exec", "box", "nosuch")
    assert done.code in (126, 127) and "nosuch" in done.out + done.err


def test_docker_terminal(dock):
    with Terminal(dock, "run", "--rm", "-it", *ISOLATED, BOX, "sh", rows=31, columns=97) as terminal:
        assert terminal.shell("tty") == "/dev/pts/0"
        eventually(lambda: terminal.shell("stty size") == "31 97", "the size")
        terminal.resize(20, 40)
        eventually(lambda: terminal.shell("stty size") == "20 40", "the new size")
        terminal.line("exit 3")
        assert terminal.ends() == 3


def test_docker_limits_and_their_update(dock):
    dock.lives("small", *ISOLATED, "--memory", "64m", "--cpus", "0.5", "--pids-limit", "30")
    pid = dock.pid("small")
    assert cgroups.read(pid, "memory", "memory.limit_in_bytes") == str(64 << 20)
    assert cgroups.read(pid, "pids", "pids.max") == "30"
    assert group_value(pid, "cpu", "cpu.cfs_quota_us", "cpu.max").startswith("50000")
    dock.ok("update", "--memory", "100m", "--memory-swap", "200m", "small")
    assert cgroups.read(pid, "memory", "memory.limit_in_bytes") == str(100 << 20)


def test_docker_top_and_stats(dock):
    dock.lives("busy", *ISOLATED, command=("sh", "-c", "sleep 1000 & sleep 1000"))
    assert dock.ok("top", "busy").count("sleep 1000") >= 2
    assert dock.ok("stats", "--no-stream", "--format", "{{.PIDs}}", "busy") == "2"


def test_docker_init_is_process_1(dock):
    if not shutil.which("docker-init"):
        pytest.skip("no docker-init on this machine")
    assert re.search(r"^\s*1 .*docker-init -- ps", dock.ok("run", "--rm", "--init", *ISOLATED, BOX, "ps"), re.M)


def test_docker_privileged(dock):
    dock.fails("run", "--rm", *ISOLATED, BOX, "mount", "-t", "tmpfs", "none", "/tmp")
    assert_all_powers(dock.ok("run", "--rm", "--privileged", *ISOLATED, BOX, "sh", "-c", ALL_POWERS))


def test_docker_confines(dock):
    script = "id -u; grep -E 'CapEff|Seccomp:' /proc/self/status; touch /x 2>/dev/null || echo refused; touch /run/a && echo kept"
    shown = dock.ok("run", "--rm", *ISOLATED, "--read-only", "--tmpfs", "/run:mode=1777", "--user", "1000:1000", "--cap-drop", "ALL",
                    BOX, "sh", "-c", script)
    assert shown.split() == ["1000", "CapEff:", "0000000000000000", "Seccomp:", "2", "refused", "kept"]


def test_docker_health_check(dock):
    dock.lives("well", *ISOLATED, "--health-cmd", "stat /tmp/well", "--health-interval", "200ms", "--health-retries", "1")
    eventually(lambda: dock.inspect("well", "State.Health.Status") == "unhealthy", "a failed check")
    dock.ok("exec", "well", "touch", "/tmp/well")
    eventually(lambda: dock.inspect("well", "State.Health.Status") == "healthy", "a good check")


def test_docker_bridge_network(dock):
    """docker's network is a hook that the runtime calls while the container is made."""
    dock.lives("server", command=("sh", "-c", "echo served > /tmp/f; busybox httpd -f -h /tmp -p 80"))
    address = dock.inspect("server", "NetworkSettings.IPAddress")
    assert address.startswith("10.99.0.")
    fetch = f"busybox wget -q -O - http://{address}/f"
    eventually(lambda: dock.run("run", "--rm", BOX, "sh", "-c", fetch).out == "served\n", "an answer")
    dock.fails("run", "--rm", *ISOLATED, BOX, "sh", "-c", fetch)


def test_docker_volumes(dock, tmp_path):
    (tmp_path / "file").write_text("theirs")
    assert dock.ok("run", "--rm", *ISOLATED, "-v", f"{tmp_path}:/in:ro", "-v", "/kept", BOX, "sh", "-c",
                   "cat /in/file; touch /in/x 2>/dev/null || echo ' refused'; touch /kept/y") == "theirs refused"


def test_docker_sees_that_memory_ran_out(dock):
    dock.fails("run", "--name", "eater", *ISOLATED, "--memory", "20m", BOX, "sh", "-c", EAT_MEMORY, code=137)
    assert dock.inspect("eater", "State.OOMKilled") is True
