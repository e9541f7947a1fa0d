"""corten-runtime on its own: runc's commands, options, outputs and exit codes."""
import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from support import cgroups
from support.bundles import RUNTIME, Bundle, Runtime, descriptor_socket, in_user_namespace
from support.wait import eventually

pytestmark = pytest.mark.corten_only


def status(runtime, name):
    return runtime.state(name)["status"]


def test_life_of_a_container(runtime, bundle, folder):
    bundle.save("sleep", "1000")
    runtime.create("one", bundle, "--pid-file", folder / "pid")
    state = runtime.state("one")
    assert state["status"] == "created" and state["pid"] == int((folder / "pid").read_text())
    assert {"ociVersion", "id", "status", "pid", "bundle", "rootfs", "created", "owner"} <= state.keys()
    assert state["bundle"] == str(bundle.path) and state["rootfs"] == str(bundle.root)
    runtime.ok("start", "one")
    assert status(runtime, "one") == "running"
    runtime.fails("start", "one", says="cannot start an already running container")
    runtime.fails("delete", "one", says="not stopped")
    runtime.ok("pause", "one")
    assert status(runtime, "one") == "paused"
    runtime.fails("exec", "one", "true", says="paused", code=255)
    runtime.ok("resume", "one")
    runtime.ok("kill", "one", "KILL")
    eventually(lambda: status(runtime, "one") == "stopped", "the end")
    assert runtime.state("one")["pid"] == 0
    runtime.ok("delete", "one")
    runtime.fails("state", "one", says="container does not exist")
    runtime.ok("delete", "--force", "one")


def test_created_container_waits_however_soon_its_maker_ends(runtime, bundle):
    """The maker's death is the signal that kills a half-made container: it must not reach one that is complete."""
    busy = [subprocess.Popen(["sh", "-c", "while :; do :; done"]) for _ in range(2 * os.cpu_count())]
    try:
        for turn in range(15):
            runtime.start(f"soon{turn}", bundle)
    finally:
        for process in busy:
            process.kill()
            process.wait()


def test_maker_that_dies_half_way_takes_the_container_along(runtime, bundle, folder):
    """Killed while a hook of the creation runs."""
    bundle.config["hooks"] = {"createRuntime": [{"path": "/bin/sh", "args": ["sh", "-c", f"cat > {folder}/seen; sleep 5"]}]}
    bundle.save("sleep", "1000")
    maker = subprocess.Popen(runtime.argv("create", "--bundle", bundle.path, "half"), stdin=subprocess.DEVNULL)
    eventually(lambda: (folder / "seen").exists() and (folder / "seen").read_text(), "the hook")
    pid = json.loads((folder / "seen").read_text())["pid"]
    maker.kill()
    maker.wait()
    eventually(lambda: not Path(f"/proc/{pid}/root/bin").exists(), "the end of the half-made container")
    runtime.ok("delete", "--force", "half")
    assert not (runtime.root / "half").exists()
    runtime.start("half", bundle.save("true") if bundle.config.pop("hooks") else bundle)


# --- what runc's own cases have found ------------------------------------------------------------

def capability_sets(text) -> dict:
    return {key: int(value, 16) for key, value in re.findall(r"Cap(\w+):\s*(\w+)", text)}


def test_start_container_hook_is_the_user_under_the_filter(runtime, bundle):
    """It is a program of the image: what the process may not do, it may not do either."""
    bundle.config["process"]["user"] = {"uid": 1000, "gid": 1000}
    bundle.config["linux"]["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1}]}
    script = "exec >/tmp/seen; cat /proc/self/status; mkdir /tmp/made && echo made"
    bundle.config["hooks"] = {"startContainer": [{"path": "/bin/sh", "args": ["sh", "-c", f"{script}; true"], "env": ["PATH=/bin"]}]}
    (bundle.root / "tmp").chmod(0o777)
    runtime.ok("run", "--bundle", bundle.save("true").path, "hooked")
    seen = (bundle.root / "tmp" / "seen").read_text()
    assert re.search(r"Uid:\s+1000", seen) and "NoNewPrivs:\t1" in seen and "Seccomp:\t2" in seen
    assert capability_sets(seen)["Eff"] == 0 and "made" not in seen


def test_create_container_hook_starts_in_the_root(runtime, bundle):
    bundle.config["hooks"] = {"createContainer": [{"path": "/bin/sh", "args": ["sh", "-c", "touch ./tmp/here"], "env": ["PATH=/bin:/usr/bin"]}]}
    runtime.ok("run", "--bundle", bundle.save("true").path, "hooked")
    assert (bundle.root / "tmp" / "here").exists()


def test_a_failing_hook_of_start_or_delete_is_a_warning_and_the_rest_run(runtime, bundle, folder):
    """config.md: the runtime logs a warning, and the remaining hooks and the lifecycle go on."""
    def after_a_failure(kind):
        return [{"path": "/bin/false"}, {"path": "/bin/sh", "args": ["sh", "-c", f"echo {kind} >> {folder}/ran"]}]
    bundle.config["hooks"] = {kind: after_a_failure(kind) for kind in ("poststart", "poststop")}
    runtime.create("warned", bundle.save("true"))
    started = runtime.run("start", "warned")
    eventually(lambda: runtime.state("warned")["status"] == "stopped", "the end of true")
    deleted = runtime.run("delete", "warned")
    for done, kind in ((started, "poststart"), (deleted, "poststop")):
        assert done.code == 0 and f"level=warning msg=\"error running {kind} hook #0: /bin/false: exit status 1" in done.err, repr(done)
    assert (folder / "ran").read_text() == "poststart\npoststop\n"


def test_start_container_hook_without_environment_has_that_of_the_process(runtime, bundle):
    bundle.config["process"]["env"] = ["PATH=/bin", "COLOUR=green"]
    bundle.config["hooks"] = {"startContainer": [{"path": "/bin/sh", "args": ["sh", "-c", "env > /tmp/seen"]},
                                                 {"path": "/bin/sh", "args": ["sh", "-c", "busybox env > /tmp/own"], "env": ["PATH=/bin"]}]}
    runtime.ok("run", "--bundle", bundle.save("true").path, "hooked")
    seen, own = ((bundle.root / "tmp" / name).read_text() for name in ("seen", "own"))
    assert "COLOUR=green\n" in seen and "HOME=/root\n" in seen
    assert "COLOUR" not in own


@pytest.mark.parametrize("script, says", [("exit 3", "exit status 3"), ("echo no; exit 3", "exit status 3, no"), ("kill -9 $$", "killed")])
def test_the_end_of_a_hook_that_fails_is_told(runtime, bundle, script, says):
    bundle.config["hooks"] = {"createRuntime": [{"path": "/bin/sh", "args": ["sh", "-c", script]}]}
    said = f'error running createRuntime hook #0: /bin/sh: {says}"'
    done = runtime.fails("run", "--bundle", bundle.save("true").path, "hooked", says=said)
    assert done.out == ""


def test_hook_on_the_host_without_environment_has_that_of_the_runtime(runtime, bundle, folder):
    bundle.config["hooks"] = {kind: [{"path": "/bin/sh", "args": ["sh", "-c", f"echo {kind} $COLOUR >> {folder}/seen"], **more}]
                              for kind, more in (("createRuntime", {}), ("createContainer", {}), ("poststart", {"env": ["SHAPE=round"]}),
                                                 ("poststop", {}))}
    runtime.ok("run", "--bundle", bundle.save("true").path, "hooked", env={**os.environ, "COLOUR": "green"})
    assert (folder / "seen").read_text().splitlines() == ["createRuntime green", "createContainer green", "poststart", "poststop green"]


def test_a_variable_that_is_given_twice_has_its_last_value_once(runtime, bundle):
    bundle.config["process"]["env"] += ["COLOUR=green", "SHAPE=round", "COLOUR=", "HOME=", "HOME=/tmp"]
    lines = runtime.output("vars", bundle.save("env")).splitlines()
    assert sorted(lines) == ["COLOUR=", "HOME=/tmp", "PATH=/bin", "SHAPE=round", "TERM=xterm"]


def test_devices_of_a_user_namespace_are_the_hosts_without_set_id_and_execution(runtime, open_folder):
    bundle = Bundle(open_folder / "bundle")
    in_user_namespace(bundle)
    mounts = runtime.output("devices", bundle.save("cat", "/proc/self/mounts")).splitlines()
    options = {fields[1]: fields[3].split(",") for fields in map(str.split, mounts)}
    for node in ("null", "zero", "full", "tty", "random", "urandom"):
        assert {"nosuid", "noexec"} <= set(options[f"/dev/{node}"]) and "nodev" not in options[f"/dev/{node}"]


@pytest.mark.parametrize("user_namespace", [False, True], ids=["", "userns"])
def test_bind_of_a_place_in_the_root_takes_the_mounts_before_it_along(runtime, open_folder, user_namespace):
    bundle = Bundle(open_folder / "bundle")
    if user_namespace:
        in_user_namespace(bundle)
    (open_folder / "given").mkdir()
    (open_folder / "given" / "file").write_text("below")
    bundle.mount("/first", open_folder / "given")
    bundle.mount("/second", bundle.root / "first", options=("rbind",))
    bundle.mount(str(bundle.root / "third"), bundle.root / "second", options=("rbind",))  # runc's other way to say /third
    bundle.save("cat", "/second/file", "/third/file")
    assert runtime.output("order", bundle) == "belowbelow"


@pytest.mark.parametrize("fails", [False, True], ids=["deleted", "not-created"])
def test_without_a_mount_namespace_the_mounts_go_with_the_container(runtime, bundle, folder, fails):
    """What is left would be the host's: who removed the bundle would remove the files behind a bind."""
    (folder / "given").mkdir()
    bundle.config["linux"]["namespaces"].remove({"type": "mount"})
    bundle.config["linux"].update(maskedPaths=[], readonlyPaths=[])
    bundle.config["mounts"] = [{"destination": "/proc", "type": "proc", "source": "proc"}]
    bundle.mount("/given", folder / "given")
    if fails:
        bundle.config["hooks"] = {"createContainer": [{"path": "/bin/false"}]}
    bundle.save("sleep", "1000")
    create, delete = (" ".join(runtime.argv(*words)) for words in (("create", "--bundle", bundle.path, "bare"), ("delete", "-f", "bare")))
    count = f"grep -c ' {bundle.root}' /proc/self/mountinfo"
    # In a mount namespace that stands for the host's.
    script = f"{create} > /dev/null 2>&1 < /dev/null; {count}; {delete}; {count}"
    done = subprocess.run(["unshare", "-m", "--propagation", "private", "sh", "-c", script], stdout=subprocess.PIPE, text=True, timeout=60)
    assert done.stdout.split() == ["0" if fails else "3", "0"]


def test_a_path_that_is_masked_twice_is_masked_once(runtime, bundle):
    (bundle.root / "etc" / "secret").mkdir()
    bundle.config["linux"]["maskedPaths"] += ["/etc/secret", "/etc/secret/", "/etc//secret"]
    mounts = runtime.output("masked", bundle.save("cat", "/proc/self/mounts"))
    assert [line.split()[1] for line in mounts.splitlines()].count("/etc/secret") == 1


@pytest.mark.parametrize("signal", ["HUP", "INT", "QUIT", "TERM"])
def test_signal_ends_a_container_that_was_not_started(runtime, bundle, signal):
    runtime.create("waiting", bundle.save("sleep", "1000"))
    runtime.ok("kill", "waiting", signal)
    eventually(lambda: runtime.state("waiting")["status"] == "stopped", "its end")


def test_exec_runs_under_the_memory_policy_of_the_container(runtime, bundle):
    if not Path("/proc/self/numa_maps").exists():
        pytest.skip("this kernel has no CONFIG_NUMA")
    bundle.config["linux"]["memoryPolicy"] = {"mode": "MPOL_PREFERRED", "nodes": "0", "flags": ["MPOL_F_STATIC_NODES"]}
    runtime.start("numa", bundle.save("sleep", "1000"))
    assert "prefer=static:0" in runtime.ok("exec", "numa", "cat", "/proc/self/numa_maps")


def test_exec_enters_groups_below_the_containers(runtime, bundle):
    runtime.start("groups", bundle.save("sleep", "1000"))
    found = cgroups.paths(runtime.state("groups")["pid"])
    if cgroups.is_v2():
        pytest.skip("cgroup v2 has one hierarchy for all controllers")
    for controller in ("memory", "pids"):
        (found[controller] / "sub").mkdir()
    output = runtime.ok("exec", "--cgroup", "memory:sub", "--cgroup", "pids:/sub", "groups", "cat", "/proc/self/cgroup")
    assert {line.split(":")[1] for line in output.splitlines() if line.endswith("/sub")} == {"memory", "pids"}
    for asked, says in ((["sub"], "/sub/cgroup.procs: no such file"), (["what:sub"], "unknown controller what"),
                        (["sub", "pids:sub"], "needs its controllers")):
        runtime.fails("exec", *[word for entry in asked for word in ("--cgroup", entry)], "groups", "true", says=says, code=255)


def test_list_says_when_the_root_it_was_given_is_not_there(runtime, folder):
    runtime.fails("list", says=f"--root: {folder}/state does not exist")


def test_help_of_a_command_that_does_not_exist_is_an_error(runtime):
    for words in (("foo",), ("foo", "-h")):
        runtime.fails(*words, says="'foo': there is no such command")
    assert "checkpoint" in runtime.ok("--help")


def test_without_pivot_no_unmasked_procfs_can_be_had(runtime, bundle):
    """The kernel mounts a new procfs in a user namespace only where another without masks is in view."""
    for names in bundle.config["process"]["capabilities"].values():
        names += ["CAP_SETFCAP"] if "CAP_SETFCAP" not in names else []
    bundle.save("busybox", "unshare", "-Urmpf", "sh", "-c", "busybox mount -t proc none /proc && echo mounted")
    assert "mounted" not in runtime.run("run", "--no-pivot", "--bundle", bundle.path, "moved").out


@pytest.mark.parametrize("mode", [0o1755, 0o700])
def test_tmpfs_takes_the_mode_of_the_directory_below(runtime, bundle, mode):
    (bundle.root / "place").mkdir()
    (bundle.root / "place").chmod(mode)
    bundle.mount("/place", "tmpfs", "tmpfs", [])
    bundle.mount("/other", "tmpfs", "tmpfs", ["mode=711"])
    (bundle.root / "other").mkdir()
    assert runtime.output("moded", bundle.save("stat", "-c", "%a", "/place", "/other")).split() == [f"{mode:o}", "711"]


def test_dev_may_be_read_only(runtime, bundle):
    next(m for m in bundle.config["mounts"] if m["destination"] == "/dev")["options"].append("ro")
    shown = runtime.output("rodev", bundle.shell("touch /dev/x 2>&1 | grep -o 'Read-only.*'; echo x >/dev/null && test -c /dev/pts/ptmx && echo usable"))
    assert shown.splitlines() == ["Read-only file system", "usable"]


def test_bind_source_that_an_earlier_mount_brings(runtime, bundle, folder):
    (folder / "outer").mkdir()
    (folder / "outer" / "file").write_text("found\n")
    (folder / "place").mkdir()
    bundle.mount("/place", folder / "outer")
    bundle.mount("/file", bundle.root / "place" / "file")
    (bundle.root / "place").mkdir()
    assert runtime.output("late", bundle.save("cat", "/file")) == "found\n"


def test_empty_cpusets_of_parents_are_filled(runtime, bundle):
    """Whoever made the parent groups may have left them without processors."""
    layout = Path("/sys/fs/cgroup/cpuset")
    if not (layout / "cpuset.cpus").exists():
        pytest.skip("no cpuset hierarchy of cgroup v1")
    parent = layout / f"corten-t-pod-{os.getpid()}"
    (parent / "inner").mkdir(parents=True)
    try:
        assert (parent / "cpuset.cpus").read_text().strip() == ""
        bundle.config["linux"]["cgroupsPath"] = f"/{parent.name}/inner/box"
        assert runtime.output("pod", bundle.save("echo", "runs")) == "runs\n"
    finally:
        for path in Path("/sys/fs/cgroup").glob(f"*/{parent.name}"):
            for inner in (path / "inner" / "box", path / "inner", path):
                if inner.exists():
                    inner.rmdir()


def mapped(bundle, base):
    bundle.config["linux"]["namespaces"].append({"type": "user"})
    for kind in ("uidMappings", "gidMappings"):
        bundle.config["linux"][kind] = [{"containerID": 0, "hostID": base, "size": 1000}]


def test_new_namespaces_in_the_user_namespace_of_another(runtime, open_folder):
    """They belong to it, or root in there could neither bring up its network nor mount."""
    bundle, other = Bundle(open_folder / "one"), Bundle(open_folder / "other")
    mapped(bundle, 100000)
    runtime.start("first", bundle.save("sleep", "1000"))
    pid = runtime.state("first")["pid"]
    other.config["linux"]["namespaces"].append({"type": "user", "path": f"/proc/{pid}/ns/user"})
    script = "readlink /proc/self/ns/user; busybox ip link show lo | grep -o LOOPBACK,UP; cat /proc/self/uid_map; hostname"
    owner, network, ids, name = runtime.output("second", other.shell(script)).splitlines()
    assert owner == os.readlink(f"/proc/{pid}/ns/user") and network == "LOOPBACK,UP"
    assert ids.split() == ["0", "100000", "1000"] and name == "box"


def test_clocks_are_shifted_in_a_user_namespace(runtime, open_folder):
    if not Path("/proc/self/ns/time").exists():
        pytest.skip("this kernel has no time namespaces")
    bundle = Bundle(open_folder / "bundle")
    mapped(bundle, 100000)
    bundle.config["linux"]["namespaces"].append({"type": "time"})
    bundle.config["linux"]["timeOffsets"] = {"boottime": {"secs": 1000000}, "monotonic": {"secs": 7}}
    uptime = float(Path("/proc/uptime").read_text().split()[0])
    assert float(runtime.output("shifted", bundle.save("cat", "/proc/uptime")).split()[0]) >= uptime + 1000000


@pytest.fixture(params=["shared", "private"])
def mount_namespace(request):
    """The process that holds one, whose mounts propagate or not."""
    holder = subprocess.Popen(["unshare", "-m", "--propagation", request.param, "sleep", "1000"])
    eventually(lambda: os.readlink(f"/proc/{holder.pid}/exe").endswith("sleep"), "the namespace")
    yield holder.pid
    holder.kill()
    holder.wait()


def join_mounts(bundle, pid):
    next(n for n in bundle.config["linux"]["namespaces"] if n["type"] == "mount")["path"] = f"/proc/{pid}/ns/mnt"


def test_root_that_is_no_mount_in_a_mount_namespace_of_another(runtime, bundle, mount_namespace):
    join_mounts(bundle, mount_namespace)
    name, first, *_ = runtime.output("joined", bundle.shell("readlink /proc/self/ns/mnt; echo /*")).splitlines()
    assert name == os.readlink(f"/proc/{mount_namespace}/ns/mnt") and first == "/bin /dev /etc /proc /root /sys /tmp"
    assert str(bundle.path) not in Path("/proc/self/mountinfo").read_text()


def test_failure_in_a_mount_namespace_of_another_leaves_no_mounts(runtime, bundle, mount_namespace):
    def there():
        return sorted(line.split()[4] for line in Path(f"/proc/{mount_namespace}/mountinfo").read_text().splitlines())
    before = there()
    join_mounts(bundle, mount_namespace)
    bundle.config["hooks"] = {"createContainer": [{"path": "/bin/false"}]}
    runtime.fails("run", "--bundle", bundle.save("true").path, "joined", says="createContainer")
    assert there() == before


def test_bind_mount_with_mapped_ids_in_a_user_namespace(runtime, open_folder):
    bundle, shared = Bundle(open_folder / "bundle"), open_folder / "shared"
    shared.mkdir()
    (bundle.root / "shared").mkdir()
    (shared / "file").write_text("x")
    mapped(bundle, 100000)
    bundle.config["mounts"].append({"destination": "/shared", "type": "bind", "source": str(shared), "options": ["bind", "idmap"]})
    done = runtime.run("run", "--bundle", bundle.save("stat", "-c", "%u", "/shared/file").path, "mapped")
    if "Invalid argument" in done.err and "mapping" not in done.err:
        pytest.skip("the file system of the test's folder takes no mapped mounts")
    assert done.out == "0\n", done


def test_exec_keeps_the_personality(runtime, bundle):
    bundle.config["linux"]["personality"] = {"domain": "LINUX32"}
    runtime.start("old", bundle.save("sleep", "1000"))
    assert runtime.ok("exec", "old", "busybox", "uname", "-m").strip() in ("i686", "armv8l")


def test_processors_of_the_caller_are_not_the_containers(runtime, bundle):
    if os.cpu_count() < 2:
        pytest.skip("one processor")
    runtime.prefix = ["taskset", "-c", "0"]
    allowed = re.compile(r"Cpus_allowed_list:\s*(\S+)")
    assert allowed.search(runtime.output("free", bundle.save("cat", "/proc/self/status")))[1] != "0"
    runtime.start("free2", bundle.save("sleep", "1000"))
    assert allowed.search(runtime.ok("exec", "free2", "cat", "/proc/self/status"))[1] != "0"


def test_lines_of_a_foreground_terminal_end_as_the_program_ended_them(runtime, bundle):
    bundle.config["process"]["terminal"] = True
    assert runtime.output("lines", bundle.save("echo", "hi")) == "hi\n"


def test_events_tell_that_memory_ran_out(runtime, bundle, folder):
    bundle.config["linux"]["resources"]["memory"] = {"limit": 16 << 20, "swap": 16 << 20}
    runtime.start("hungry", bundle.save("sleep", "1000"))
    with open(folder / "events", "wb") as out:
        watcher = subprocess.Popen(runtime.argv("events", "hungry"), stdin=subprocess.DEVNULL, stdout=out)
    try:
        eventually(lambda: re.search("eventfd|inotify", " ".join(os.readlink(f) for f in Path(f"/proc/{watcher.pid}/fd").iterdir())), "the watch")
        runtime.run("exec", "hungry", "sh", "-c", "x=a; while true; do x=$x$x$x; done")
        eventually(lambda: '"oom"' in (folder / "events").read_text(), "the event")
    finally:
        watcher.kill()
        watcher.wait()


def test_limits_that_the_kernel_has_not_are_told(runtime, bundle):
    bundle.config["linux"]["resources"]["memory"] = {"kernel": 1 << 30}
    done = runtime.run("run", "--bundle", bundle.save("true").path, "kmem")
    assert done.code == 0 and "linux.resources.memory.kernel: the kernel has dropped it, ignoring" in done.err, done
    if cgroups.is_v2():
        bundle.config["linux"]["resources"]["memory"] = {"kernelTCP": 1 << 30}
        assert "memory.kernelTCP: cgroup v2 has no such limit, ignoring" in runtime.run("run", "--bundle", bundle.save().path, "kmem").err
        for section, limits, field in (("memory", {"swappiness": 10}, "swappiness"), ("blockIO", {"leafWeight": 100}, "leafWeight")):
            bundle.config["linux"]["resources"].update(memory={}, blockIO={})
            bundle.config["linux"]["resources"][section] = limits
            runtime.fails("run", "--bundle", bundle.save().path, "kmem", says=field)


@pytest.fixture
def pidfd_socket(folder):
    """(path for --pidfd-socket, function that gives what came: its kind and the process's id)."""
    path = folder / "pidfd.sock"
    with descriptor_socket(path) as received:
        def process():
            kind, fd = received()
            try:
                info = Path(f"/proc/self/fdinfo/{fd}").read_text()
                return kind, int(re.search(r"(?m)^Pid:\s+(-?\d+)", info)[1])
            finally:
                os.close(fd)
        yield path, process


def test_pidfd_socket_gets_the_process(runtime, bundle, pidfd_socket):
    path, received = pidfd_socket
    runtime.create("sent", bundle.save("sleep", "600"), "--pidfd-socket", path)
    assert received() == ("standard", runtime.state("sent")["pid"])
    runtime.ok("start", "sent")
    runtime.ok("exec", "-d", "--pidfd-socket", path, "sent", "sleep", "600")
    kind, pid = received()
    assert kind == "setns" and pid > 0


def test_pidfd_socket_that_is_not_there_leaves_nothing(runtime, bundle, folder):
    runtime.fails("create", "--pidfd-socket", folder / "nosuch", "--bundle", bundle.save("sleep", "600").path, "unsent", says="--pidfd-socket")
    runtime.fails("state", "unsent", says="does not exist")


def test_debug_log_tells_the_steps(runtime, bundle, folder):
    log = folder / "debug.log"
    runtime.ok("--debug", "--log", log, "--log-format", "json", "run", "--bundle", bundle.save("true").path, "told")
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert {line["level"] for line in lines} == {"debug"}
    assert any("container told: process" in line["msg"] for line in lines) and any("clone took" in line["msg"] for line in lines)
    log.unlink()


def allowed_processors(text) -> str:
    return re.search(r"Cpus_allowed_list:\s*(\S+)", text)[1]


@pytest.mark.parametrize("wanted, seen", [({"final": "1"}, "1"), ({"initial": "1"}, "1"), ({"initial": "1", "final": "0"}, "0"), ({}, None)],
                         ids=["final", "initial", "both", "none"])
def test_processors_are_chosen_for_what_is_executed(runtime, bundle, wanted, seen):
    """config.md: execCPUAffinity is of exec, the container's first process has them all."""
    if os.cpu_count() < 2:
        pytest.skip("one processor")
    runtime.prefix = ["taskset", "-c", "0"]
    bundle.config["process"]["execCPUAffinity"] = wanted
    runtime.start("chosen", bundle.save("sleep", "1000"))
    first = allowed_processors(Path(f"/proc/{runtime.state('chosen')['pid']}/status").read_text())
    assert "," in first or "-" in first
    found = allowed_processors(runtime.ok("exec", "chosen", "cat", "/proc/self/status"))
    assert found == (seen or first)


@pytest.mark.parametrize("options, joins", [((), True), (("--no-new-keyring",), False)], ids=["own", "callers"])
def test_exec_has_a_session_keyring_as_the_container_has(runtime, bundle, options, joins):
    if not Path("/proc/keys").exists():
        pytest.skip("this kernel shows no keys")
    bundle.config["linux"]["maskedPaths"] = []
    name = f"keys-{'own' if joins else 'callers'}-{os.getpid()}"
    runtime.start(name, bundle.save("sleep", "1000"), *options)
    assert (f"_ses.{name}" in runtime.ok("exec", name, "cat", "/proc/keys")) == joins


@pytest.mark.parametrize("record", ["", '{"ociVersion": "1.2', "[]"], ids=["empty", "cut", "list"])
def test_a_container_whose_record_is_damaged_can_be_deleted(runtime, bundle, record):
    runtime.start("damaged", bundle.save("sleep", "1000"))
    pid, groups = runtime.state("damaged")["pid"], cgroups.paths(runtime.state("damaged")["pid"])
    (runtime.root / "damaged" / "state.json").write_text(record)
    runtime.fails("delete", "damaged", says="state.json")
    runtime.ok("delete", "--force", "damaged")
    assert not Path(f"/proc/{pid}/root/bin").exists()
    assert not any(path.exists() for path in groups.values() if path.name == "damaged") and not (runtime.root / "damaged").exists()


def test_a_container_is_kept_when_it_cannot_be_told_what_it_has(runtime, bundle):
    runtime.start("damaged", bundle.save("sleep", "1000"))
    pid, kept = runtime.state("damaged")["pid"], {}
    for name in ("state.json", "traces.json"):
        file = runtime.root / "damaged" / name
        kept[file] = file.read_text()
        file.write_text("{")
    runtime.fails("delete", "--force", "damaged", says="traces.json")
    assert Path(f"/proc/{pid}").exists() and (runtime.root / "damaged").exists()
    for file, text in kept.items():
        file.write_text(text)


def test_hook_may_have_all_the_time_there_is(runtime, bundle):
    """The kernel counts milliseconds in 32 bits: more of them must not become none."""
    for timeout in (2**32 // 1000 + 1, 2**62):
        bundle.config["hooks"] = {"createRuntime": [{"path": "/bin/sh", "args": ["sh", "-c", "sleep 1"], "timeout": timeout}]}
        runtime.ok("run", "--bundle", bundle.save("true").path, "patient")


def test_program_is_sealed_where_memory_is_not_executable_unless_asked_for(open_folder):
    """An ordinary user cannot mount it read-only: it runs from a copy in memory."""
    switch = Path("/proc/sys/vm/memfd_noexec")
    if not switch.exists():
        pytest.skip("this kernel lets all memory files be executed")
    script = 'echo 1 > /proc/sys/vm/memfd_noexec && exec setpriv --reuid 61234 --regid 61234 --clear-groups "$@"'
    runtime = Runtime(RUNTIME, open_folder / "state", ["unshare", "--pid", "--fork", "--mount-proc", "sh", "-c", script, "user"])
    runtime.fails("exec", "nobody", "true", says="container does not exist", code=255)


def test_options_of_any_file_system_are_told_by_the_kernel(runtime, bundle, folder):
    """Mounted by descriptor, as tmpfs is: the place of the mount is not looked up a second time."""
    for name in ("lower", "upper", "work"):
        (folder / name).mkdir()
    (folder / "lower" / "file").write_text("below\n")
    options = [f"lowerdir={folder}/lower", f"upperdir={folder}/upper", f"workdir={folder}/work"]
    bundle.mount("/over", "overlay", "overlay", [*options, "nosuid", "ro"])
    shown = runtime.output("over", bundle.shell("cat /over/file; grep ' /over ' /proc/self/mounts; touch /over/new 2>&1 | grep -o 'Read-only.*'"))
    assert shown.startswith("below\n") and shown.endswith("Read-only file system\n")
    assert {"ro", "nosuid"} <= set(shown.splitlines()[1].split()[3].split(","))
    bundle.config["mounts"][-1]["options"] = [*options, "no_such_option"]
    runtime.fails("run", "--bundle", bundle.save("true").path, "over", says="no_such_option")


def test_options_that_only_a_page_can_hold_are_mounted_too(runtime, bundle, folder):
    """fsconfig(2) takes 255 bytes for a value; an overlay of many layers has more."""
    layers = [folder / f"layer-with-a-long-name-{n}-{'x' * 40}" for n in range(8)]
    for layer in layers:
        layer.mkdir()
        (layer / layer.name).write_text("")
    bundle.mount("/over", "overlay", "overlay", [f"lowerdir={':'.join(map(str, layers))}", "nodev"])
    shown = runtime.output("over", bundle.shell("ls /over | grep -c layer; grep ' /over ' /proc/self/mounts"))
    assert shown.startswith("8\n") and "nodev" in shown.split(" /over ")[1]
