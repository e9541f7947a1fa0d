"""corten-runtime as an ordinary user: what it can do with that user's rights, and that it can do no more."""
import json
import os
import re
import signal
import subprocess
from pathlib import Path

import pytest

from support import cgroups
from support.bundles import RUNTIME, Bundle, Runtime, hiding_unified, message, need, users_bundle
from support.wait import eventually

pytestmark = pytest.mark.corten_only

USER = 61234  # nobody's on this machine
AS_USER = ["setpriv", "--reuid", str(USER), "--regid", str(USER), "--clear-groups"]


@pytest.fixture
def home(open_folder):
    """The user's folder."""
    return open_folder


@pytest.fixture
def runtime(home):
    (home / "run").mkdir()
    ours = Runtime(RUNTIME, home / "run" / "corten-runtime", AS_USER)
    os.chown(home / "run", USER, USER)
    yield ours
    ours.clean()


@pytest.fixture
def bundle(home, runtime):
    return users_bundle(runtime, home / "bundle", USER)


def start(runtime, name, bundle):
    """A running container, with the one warning that it has no group."""
    runtime.made.add(name)
    done = runtime.run("create", "--bundle", bundle.path, name)
    assert done.code == 0 and re.fullmatch(r'time=\S+ level=warning msg="make cgroup \S+: Permission denied, ignoring"\n', done.err), done
    runtime.ok("start", name)


def nothing_left(runtime, name) -> bool:
    groups = [path for path in Path("/sys/fs/cgroup").glob(f"*/{name}")]
    return not groups and not (runtime.root.exists() and [n for n in os.listdir(runtime.root) if n != ".seccomp"])


def test_life_of_a_users_container(runtime, bundle):
    start(runtime, "users", bundle.save("sleep", "1000"))
    state = runtime.state("users")
    assert state["status"] == "running" and state["owner"] == str(USER)
    assert os.stat(f"/proc/{state['pid']}").st_uid == USER
    assert runtime.ok("list", "-q").split() == ["users"]
    assert runtime.ok("exec", "users", "id", "-u").strip() == "0"
    assert runtime.ok("exec", "--cwd", "/tmp", "users", "sh", "-c", "readlink /proc/self/ns/pid; echo $$").splitlines()[0] == \
        os.readlink(f"/proc/{state['pid']}/ns/pid")
    runtime.fails("exec", "users", "sh", "-c", "exit 7", code=7)
    runtime.ok("kill", "users", "KILL")
    eventually(lambda: runtime.state("users")["status"] == "stopped", "the end")
    runtime.ok("delete", "users")
    assert nothing_left(runtime, "users")


def test_state_is_below_the_users_runtime_directory(runtime, bundle, home):
    prefix = [*AS_USER, "env", f"XDG_RUNTIME_DIR={home}/run", str(RUNTIME)]
    bundle.save("sleep", "1000")
    with open(home / "said", "w+") as said:
        code = subprocess.call([*prefix, "create", "--bundle", bundle.path, "users"], stdout=said, stderr=said, stdin=subprocess.DEVNULL)
    assert code == 0, (home / "said").read_text()
    assert (home / "run" / "corten-runtime" / "users" / "state.json").exists()
    subprocess.run([*prefix, "delete", "--force", "users"], check=True)


@pytest.mark.parametrize("command", ["ps", "pause", "resume", "update --memory 64m", "events --stats", "kill --all"])
def test_without_a_group_what_needs_one_says_so(runtime, bundle, command):
    start(runtime, "groupless", bundle.save("sleep", "1000"))
    done = runtime.run(*command.split(), "groupless")
    assert done.code == 1 and "container has no cgroup" in message(done)
    assert runtime.state("groupless")["status"] == "running"


def test_limits_without_the_right_to_a_group_are_a_warning(runtime, bundle):
    bundle.config["linux"]["resources"] = {"memory": {"limit": 64 << 20}}
    done = runtime.run("run", "--bundle", bundle.save("echo", "runs").path, "limited")
    assert done.code == 0 and done.out == "runs\n"
    assert re.search('level=warning msg="linux.resources: limits need a cgroup .*, ignoring"', done.err), done
    assert nothing_left(runtime, "limited")


def test_group_that_was_asked_for_and_may_not_be_made_is_an_error(runtime, bundle):
    bundle.config["linux"]["cgroupsPath"] = "/corten-t-not-the-users"
    done = runtime.run("create", "--bundle", bundle.save("true").path, "grouped")
    assert done.code == 1 and "Permission denied" in message(done)
    assert nothing_left(runtime, "corten-t-not-the-users")


def test_group_of_another_with_the_containers_name_is_left_alone(runtime, bundle):
    name = f"corten-t-others-{os.getpid()}"
    tops = set(cgroups.mounts().values())
    for top in tops:
        (top / name).mkdir()
    try:
        done = runtime.run("run", "--bundle", bundle.save("echo", "runs").path, name)
        assert done.code == 0 and done.out == "runs\n" and re.search(r"take over cgroup \S+: Permission denied, ignoring", message(done))
        assert all((top / name).exists() for top in tops)
    finally:
        for top in tops:
            (top / name).rmdir()


@pytest.fixture
def delegated():
    """The name of a group that belongs to the user, in every hierarchy that a container's group is in."""
    name = f"corten-t-users-{os.getpid()}"
    tops = [path for path in Path("/sys/fs/cgroup").iterdir() if (path / "cgroup.procs").exists() and (path / "tasks").exists()]
    if (Path("/sys/fs/cgroup") / "cgroup.controllers").exists():
        pytest.skip("on cgroup v2 the user would have to be in the delegated group already")
    groups = [top / name for top in tops]
    for group in groups:
        group.mkdir()
        for file in ("cpuset.cpus", "cpuset.mems"):
            if (group / file).exists():
                (group / file).write_text((group.parent / file).read_text())
        os.chown(group, USER, USER)
    yield name
    for group in groups:
        group.rmdir()


def test_delegated_group_gives_limits_and_control(runtime, bundle, delegated):
    bundle.config["linux"]["cgroupsPath"] = f"/{delegated}/box"
    bundle.config["linux"]["resources"] = {"memory": {"limit": 64 << 20}, "pids": {"limit": 30}}
    runtime.made.add("grouped")
    done = runtime.run("create", "--bundle", bundle.save("sleep", "1000").path, "grouped")
    assert done.code == 0 and re.search("level=warning .*linux.resources.devices: .*, ignoring", message(done)), done
    runtime.ok("start", "grouped")
    group = Path("/sys/fs/cgroup/memory") / delegated / "box"
    pid = runtime.state("grouped")["pid"]
    assert (group / "memory.limit_in_bytes").read_text().strip() == str(64 << 20)
    assert json.loads(runtime.ok("ps", "--format", "json", "grouped")) == [pid]
    runtime.ok("update", "--memory", "32m", "grouped")
    assert (group / "memory.limit_in_bytes").read_text().strip() == str(32 << 20)
    assert json.loads(runtime.ok("events", "--stats", "grouped"))["data"]["memory"]["usage"]["limit"] == 32 << 20
    assert runtime.ok("exec", "grouped", "sh", "-c", "grep memory /proc/self/cgroup").strip().endswith(f"/{delegated}/box")
    runtime.ok("pause", "grouped")
    assert runtime.state("grouped")["status"] == "paused"
    runtime.ok("resume", "grouped")
    runtime.ok("delete", "--force", "grouped")
    assert not group.exists() and nothing_left(runtime, f"{delegated}/box")


def test_files_of_the_root_belong_to_the_user(runtime, bundle):
    script = "id -u; cat /proc/self/uid_map; touch /tmp/made; stat -c %u /tmp/made /etc/passwd"
    assert runtime.output("files", bundle.shell(script)).split() == ["0", "0", str(USER), "1", "0", "0"]
    assert (bundle.root / "tmp" / "made").stat().st_uid == USER


def test_host_file_that_the_user_may_not_read_stays_unread(runtime, bundle, home):
    secret, closed = home / "secret", home / "closed"
    secret.write_text("hidden"), secret.chmod(0o600)
    closed.mkdir(), closed.chmod(0o700)
    (closed / "inner").write_text("hidden")
    bundle.mount("/secret", secret)
    done = runtime.run("run", "--bundle", bundle.save("cat", "/secret").path, "reading")
    assert done.code == 1 and "hidden" not in done.out and "Permission denied" in done.err
    bundle.mount("/inner", closed / "inner")
    done = runtime.run("run", "--bundle", bundle.save("cat", "/inner").path, "reading")
    assert done.code == 1 and "hidden" not in done.out and "Permission denied" in done.err
    assert nothing_left(runtime, "reading")


def in_private_etc(home, ranges) -> list:
    """A command's prefix: a mount namespace in which the user has a name and `ranges` of subordinate ids."""
    need("newuidmap")
    for name in ("subuid", "subgid"):
        if not Path("/etc", name).exists():
            pytest.skip(f"no /etc/{name} on this machine to put another over")
        (home / name).write_text("".join(f"corten-t:{first}:{count}\n" for first, count in ranges))
    (home / "passwd").write_text(Path("/etc/passwd").read_text() + f"corten-t:x:{USER}:{USER}::/:/bin/sh\n")
    script = 'mount --make-rprivate / && for f in subuid subgid passwd; do mount --bind "$0/$f" /etc/$f; done && exec "$@"'
    return ["unshare", "-m", "sh", "-c", script, str(home), *AS_USER]


def map_ids(bundle, *mappings):
    for kind in ("uidMappings", "gidMappings"):
        bundle.config["linux"][kind] = [{"containerID": inside, "hostID": outside, "size": size} for inside, outside, size in mappings]


def test_range_of_ids_comes_from_newuidmap(runtime, bundle, home):
    runtime.prefix = in_private_etc(home, [(700000, 1000)])
    map_ids(bundle, (0, USER, 1), (1, 700000, 999))
    bundle.config["process"]["user"] = {"uid": 5, "gid": 5}
    bundle.save("sleep", "1000")
    start(runtime, "ranged", bundle)
    pid = runtime.state("ranged")["pid"]
    assert os.stat(f"/proc/{pid}").st_uid == 700004
    script = "cat /proc/self/uid_map; touch /tmp/roots; busybox chown 7 /tmp/roots"
    shown = runtime.ok("exec", "--user", "0", "--cap", "CAP_CHOWN", "ranged", "sh", "-c", script)
    assert shown.split() == ["0", str(USER), "1", "1", "700000", "999"]
    assert (bundle.root / "tmp" / "roots").stat().st_uid == 700006
    assert runtime.ok("exec", "ranged", "id", "-u").strip() == "5"
    os.chown(bundle.root / "tmp" / "roots", USER, USER)


@pytest.mark.parametrize("mappings", [((0, USER, 1), (1, 800000, 10)), ((0, 0, 1),), ((0, USER, 2),), ((0, 700000, 2000),)])
def test_ids_that_are_not_the_users_are_refused(runtime, bundle, home, mappings):
    runtime.prefix = in_private_etc(home, [(700000, 1000)])
    map_ids(bundle, *mappings)
    done = runtime.run("run", "--bundle", bundle.save("echo", "runs").path, "refused")
    lines = [line for line in done.err.splitlines() if "level=" in line]
    assert done.code == 1 and "runs" not in done.out and "linux.uidMappings" in lines[-1], done
    assert nothing_left(runtime, "refused")


def test_clocks_of_a_users_container_are_shifted(runtime, bundle):
    if not Path("/proc/self/ns/time").exists():
        pytest.skip("this kernel has no time namespaces")
    bundle.config["linux"]["namespaces"].append({"type": "time"})
    bundle.config["linux"]["timeOffsets"] = {"boottime": {"secs": 1000000}, "monotonic": {"secs": 7}}
    uptime = float(Path("/proc/uptime").read_text().split()[0])
    assert float(runtime.output("shifted", bundle.save("cat", "/proc/uptime")).split()[0]) >= uptime + 1000000


def test_score_for_lack_of_memory_may_be_raised_and_not_lowered(runtime, bundle):
    own = int(Path("/proc/self/oom_score_adj").read_text())
    bundle.config["process"]["oomScoreAdj"] = 500
    assert runtime.output("scored", bundle.save("cat", "/proc/self/oom_score_adj")) == "500\n"
    bundle.config["process"]["oomScoreAdj"] = own - 1
    done = runtime.run("run", "--bundle", bundle.save("true").path, "lowered")
    assert done.code == 1 and "process.oomScoreAdj" in done.err
    assert nothing_left(runtime, "lowered")


# --- podman of an ordinary user -------------------------------------------------------------------

@pytest.fixture
def podman(home):
    """Its command: the user's own namespace of ids, no image but a folder, no network but loopback."""
    run, podman = home / "run", need("podman")
    run.mkdir()
    prefix = in_private_etc(home, [(700000, 65536)])
    os.chown(home, USER, USER), os.chown(run, USER, USER)
    path = f"{os.environ['PATH']}:/usr/sbin:/sbin"
    environment = ["env", "-i", f"PATH={path}", f"HOME={home}", f"XDG_RUNTIME_DIR={run}", "CORTEN_TEST_RUN=rootless"]
    options = ["--runtime", str(RUNTIME), "--cgroup-manager", "cgroupfs", "--storage-driver", "vfs", "--events-backend", "file"]

    def call(*args):
        argv = [*hiding_unified(), *prefix, *environment, podman, *options, *map(str, args)]
        with open(home / "out", "w+") as out, open(home / "err", "w+") as err:
            code = subprocess.call(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=err, timeout=50, cwd=home)
            out.seek(0), err.seek(0)
            assert code == 0, f"{args}: {err.read()}"
            return out.read()
    yield call
    call("rm", "--all", "--force", "--time", "0")
    for file in run.rglob("pause.pid"):
        pause = int(file.read_text())
        os.kill(pause, signal.SIGKILL)
        eventually(lambda: not Path(f"/proc/{pause}/ns/user").exists(), "the end of podman's pause process")


LIMITS = ("--network", "none", "--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1000:1000")


def test_podman_of_an_ordinary_user(podman, home, bundle_root):
    assert podman("run", "--rm", *LIMITS, "--rootfs", bundle_root, "sh", "-c", "id -u; cat /proc/self/uid_map").split() == \
        ["0", "0", str(USER), "1", "1", "700000", "65536"]
    podman("run", "--detach", "--name", "stays", *LIMITS, "--rootfs", bundle_root, "sleep", "1000")
    assert podman("exec", "--user", "1000", "stays", "id", "-u").strip() == "1000"
    pid = int(podman("inspect", "--format", "{{.State.Pid}}", "stays"))
    assert os.stat(f"/proc/{pid}").st_uid == USER
    podman("stop", "--time", "0", "stays")
    assert podman("inspect", "--format", "{{.State.Status}} {{.State.ExitCode}}", "stays").split() == ["exited", "137"]


@pytest.fixture
def bundle_root(home):
    root = Bundle(home / "bundle").root
    for path in (root, *root.rglob("*")):
        os.lchown(path, USER, USER)
    return root
