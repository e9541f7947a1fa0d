"""corten-runtime --systemd-cgroup as an ordinary user: the scope is one of the user's own systemd."""
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from support import cgroups
from support.bundles import RUNTIME, Bundle, Runtime, users_bundle
from support.host import EXCLUSIVE
from support.wait import eventually

USER, NAME = 59235, "corten-t-user"
RUN = Path(f"/run/user/{USER}")
AS_USER = ["setpriv", "--reuid", str(USER), "--regid", str(USER), "--clear-groups", "env", f"XDG_RUNTIME_DIR={RUN}"]
MANAGER = f"user.slice/user-{USER}.slice/user@{USER}.service"
SCOPE = "test-users.scope"


def why_not() -> str:
    if not Path("/run/systemd/system").exists():
        return "no systemd runs here: packaging/vm.sh has a machine where it does"
    if not cgroups.is_v2():
        return "an ordinary user's systemd has groups on cgroup v2 only"
    return "" if EXCLUSIVE else "makes a user: only where CORTEN_TEST_EXCLUSIVE=1 says that the machine is for tests"


pytestmark = [pytest.mark.corten_only, pytest.mark.skipif(bool(why_not()), reason=why_not() or "-")]


class UsersRuntime(Runtime):
    def argv(self, *args) -> list:
        return super().argv("--systemd-cgroup", *args)


@pytest.fixture(scope="module", autouse=True)
def manager():
    subprocess.run(["useradd", "--uid", str(USER), "--no-create-home", "--home-dir", "/nonexistent", NAME], check=True)
    try:
        subprocess.run(["systemctl", "start", f"user@{USER}.service"], check=True)
        yield
    finally:
        subprocess.run(["systemctl", "stop", f"user@{USER}.service", f"user-{USER}.slice"], check=True)
        subprocess.run(["userdel", NAME], check=True)


@pytest.fixture(params=["from outside", "from a scope of the user"])
def prefix(request) -> list:
    """How the user came here: by way of the machine's systemd, or of the user's."""
    return AS_USER if request.param == "from outside" else [*AS_USER, "systemd-run", "--user", "--scope", "--quiet", "--collect"]


@pytest.fixture
def runtime(open_folder, prefix):
    (open_folder / "run").mkdir()
    os.chown(open_folder / "run", USER, USER)
    ours = UsersRuntime(RUNTIME, open_folder / "run" / "corten-runtime", prefix)
    yield ours
    ours.clean()
    eventually(lambda: units() == [], "the units' end")


@pytest.fixture
def bundle(open_folder, runtime):
    made = users_bundle(runtime, open_folder / "bundle", USER)
    made.config["linux"]["cgroupsPath"] = ":test:users"
    made.config["linux"]["resources"] = {"memory": {"limit": 64 << 20}, "pids": {"limit": 30}}
    return made.save("sleep", "1000")


def systemctl(*args) -> str:
    return subprocess.run([*AS_USER, "systemctl", "--user", *args], check=True, stdout=subprocess.PIPE, text=True).stdout


def units() -> list:
    """Of containers, and of the runtime itself."""
    listed = systemctl("list-units", "--all", "--plain", "--no-legend", "test-*.scope", "corten-runtime-*.scope")
    return [line.split()[0] for line in listed.splitlines()]


def show(*properties) -> dict:
    out = systemctl("show", SCOPE, *(f"--property={p}" for p in properties))
    return dict(line.split("=", 1) for line in out.splitlines())


def test_life_of_a_users_container_in_a_scope(runtime, bundle):
    runtime.start("users", bundle)
    wanted = {"ActiveState": "active", "Slice": "user.slice", "MemoryMax": str(64 << 20), "TasksMax": "30"}
    assert show(*wanted) == wanted
    pid = runtime.state("users")["pid"]
    group = cgroups.paths(pid)[""]
    assert str(group).endswith(f"/{MANAGER}/user.slice/{SCOPE}")
    assert (group / "cgroup.procs").read_text().split() == [str(pid)]
    assert [(group / name).read_text().strip() for name in ("memory.max", "pids.max")] == [str(64 << 20), "30"]
    runtime.ok("exec", "--detach", "users", "sleep", "1000")
    assert len((group / "cgroup.procs").read_text().split()) == len(json.loads(runtime.ok("ps", "--format", "json", "users"))) == 2
    runtime.ok("update", "--memory", 32 << 20, "users")
    assert (group / "memory.max").read_text().strip() == str(32 << 20) and show("MemoryMax") == {"MemoryMax": str(32 << 20)}
    runtime.ok("pause", "users")
    assert runtime.state("users")["status"] == "paused"
    runtime.ok("resume", "users")
    runtime.ok("kill", "users", "KILL")
    eventually(lambda: runtime.state("users")["status"] == "stopped", "the end")
    runtime.ok("delete", "users")
    assert not group.exists() and show("LoadState") == {"LoadState": "not-found"}


def test_container_that_ends_takes_the_scopes_along(runtime, bundle):
    assert runtime.output("users", bundle.save("echo", "runs")) == "runs\n"
    eventually(lambda: units() == [], "the end of all units")


def test_creation_that_fails_leaves_no_scope(runtime, bundle):
    bundle.mount("/x", "tmpfs", "nosuchfs", ())
    runtime.fails("create", "--bundle", bundle.save().path, "users", says="mounts[")
    assert show("LoadState") == {"LoadState": "not-found"}


def test_what_the_users_systemd_was_not_given_is_an_error(runtime, bundle):
    """Debian's hands it memory and pids."""
    controllers = cgroups.mounts()[""] / MANAGER / "cgroup.controllers"
    if "cpuset" in controllers.read_text().split():
        pytest.skip("this machine's users have cpusets")
    bundle.config["linux"]["resources"]["cpu"] = {"cpus": "0"}
    runtime.fails("create", "--bundle", bundle.save().path, "users", says="linux.resources.cpu.cpus: ")
    assert show("LoadState") == {"LoadState": "not-found"}


def test_without_the_runtime_directory_the_error_says_so(runtime, bundle):
    runtime.prefix = [*AS_USER, "env", "--unset", "XDG_RUNTIME_DIR"]
    runtime.fails("create", "--bundle", bundle.path, "users", says="XDG_RUNTIME_DIR")
    assert not (runtime.root / "users").exists()


@pytest.fixture
def podman(open_folder):
    """podman as the user who has a bus, on our runtime."""
    if not shutil.which("podman"):
        pytest.skip("no podman on this machine")
    if not (RUN / "bus").exists():
        pytest.skip("podman needs the user's bus: dbus-user-session")
    os.chown(open_folder, USER, USER)
    start = [*AS_USER, f"HOME={open_folder}", "podman", "--cgroup-manager", "systemd", "--runtime", RUNTIME]

    def call(*args, **more) -> str:
        done = subprocess.run([*start, *args], cwd=open_folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **more)
        assert done.returncode == 0 and b"Falling back" not in done.stderr, done
        return done.stdout.decode()
    yield call
    call("rm", "--force", "--all", "--time", "0")


def test_podman_of_an_ordinary_user(podman, open_folder):
    root = Bundle(open_folder / "bundle").root
    archive = subprocess.run(["tar", "--owner=0", "--group=0", "-C", root, "-c", "."], check=True, stdout=subprocess.PIPE).stdout
    podman("import", "-", "box", input=archive)
    shown = podman("run", "--rm", "--network", "none", "--memory", "64m", "localhost/box", "sh", "-c", "id -u; cat /sys/fs/cgroup/memory.max")
    assert shown.split() == ["0", str(64 << 20)]
    name = podman("run", "--detach", "--network", "none", "localhost/box", "sleep", "1000").strip()
    pid = int(podman("inspect", "--format", "{{.State.Pid}}", name))
    group = cgroups.paths(pid)[""]
    assert str(group).endswith(f"/{MANAGER}/user.slice/libpod-{name}.scope")
    assert podman("exec", name, "echo", "inside") == "inside\n"
    podman("pause", name)
    assert (group / "cgroup.events").read_text().split()[-2:] == ["frozen", "1"]
    podman("unpause", name)
    podman("rm", "--force", "--time", "0", name)
    assert not group.exists()
