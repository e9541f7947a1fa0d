"""corten-runtime --systemd-cgroup: the container's group is a scope that systemd makes."""
import os
import subprocess
from pathlib import Path

import pytest

from support import cgroups
from support.bundles import Runtime
from support.wait import eventually

pytestmark = pytest.mark.corten_only
SLICE = f"corten-t{os.getpid()}.slice"
FOLDER = Path("/sys/fs/cgroup/corten.slice") / SLICE

if not Path("/run/systemd/system").exists():
    WHY_NOT = "systemd does not run here: packaging/vm.sh has a machine where it does"
elif not cgroups.is_v2():
    WHY_NOT = "the systemd driver needs cgroup v2"
else:
    WHY_NOT = ""
runs = pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT or "-")


class SystemdRuntime(Runtime):
    def argv(self, *args) -> list:
        return super().argv("--systemd-cgroup", *args)


@pytest.fixture
def systemd(runtime):
    ours = SystemdRuntime(runtime.program, runtime.root)
    yield ours
    ours.clean()
    if not WHY_NOT:
        subprocess.run(["systemctl", "stop", SLICE, "corten.slice"], check=True)


def show(unit, *properties) -> dict:
    names = [f"--property={p}" for p in properties]
    out = subprocess.run(["systemctl", "show", unit, *names], check=True, stdout=subprocess.PIPE, text=True).stdout
    return dict(line.split("=", 1) for line in out.splitlines())


def limited(bundle, name, **resources):
    bundle.config["linux"]["cgroupsPath"] = f"{SLICE}:test:{name}"
    bundle.config["linux"]["resources"].update(resources)
    return bundle.save("sleep", "1000")


@runs
def test_container_is_a_scope_with_its_limits(systemd, bundle):
    limited(bundle, "one", memory={"limit": 64 << 20, "reservation": 32 << 20}, pids={"limit": 30},
            cpu={"shares": 2048, "quota": 50000, "period": 100000, "cpus": "0"})
    systemd.start("one", bundle)
    shown = show("test-one.scope", "ActiveState", "Slice", "Delegate", "DefaultDependencies", "MemoryMax", "MemoryLow", "TasksMax",
                 "CPUQuotaPerSecUSec", "Transient", "Description")
    assert shown == {"ActiveState": "active", "Slice": SLICE, "Delegate": "yes", "DefaultDependencies": "no", "MemoryMax": str(64 << 20),
                     "MemoryLow": str(32 << 20), "TasksMax": "30", "CPUQuotaPerSecUSec": "500ms", "Transient": "yes",
                     "Description": "corten-runtime container one"}
    group = FOLDER / "test-one.scope"
    pid = systemd.state("one")["pid"]
    assert (group / "cgroup.procs").read_text().split() == [str(pid)]
    values = {name: (group / name).read_text().strip() for name in ("memory.max", "pids.max", "cpu.max", "cpuset.cpus", "cpu.weight")}
    assert values == {"memory.max": str(64 << 20), "pids.max": "30", "cpu.max": "50000 100000", "cpuset.cpus": "0", "cpu.weight": "174"}
    systemd.ok("delete", "--force", "one")
    assert show("test-one.scope", "LoadState", "ActiveState") == {"LoadState": "not-found", "ActiveState": "inactive"}
    assert not group.exists()


@runs
def test_limits_survive_that_systemd_loads_its_units_anew(systemd, bundle):
    limited(bundle, "two", memory={"limit": 64 << 20})
    systemd.start("two", bundle)
    systemd.ok("update", "--memory", 32 << 20, "--pids-limit", 20, "two")
    subprocess.run(["systemctl", "daemon-reload"], check=True)
    assert show("test-two.scope", "MemoryMax", "TasksMax") == {"MemoryMax": str(32 << 20), "TasksMax": "20"}
    assert (FOLDER / "test-two.scope" / "memory.max").read_text().strip() == str(32 << 20)


@runs
def test_container_that_ends_takes_its_scope_along(systemd, bundle):
    limited(bundle, "three").save("true")
    assert systemd.output("three", bundle) == ""
    assert show("test-three.scope", "LoadState") == {"LoadState": "not-found"}
    assert not (FOLDER / "test-three.scope").exists()


@runs
def test_many_in_a_row_come_and_go(systemd, bundle):
    """systemd forgets a call that arrives with the end of the greeting: it must never come so."""
    limited(bundle, "row")
    for _ in range(12):
        systemd.create("row", bundle)
        systemd.ok("delete", "--force", "row")


@runs
def test_exec_pause_and_kill_work_in_a_scope(systemd, bundle):
    limited(bundle, "four")
    systemd.start("four", bundle)
    assert systemd.ok("exec", "four", "cat", "/proc/self/cgroup").strip().endswith("/test-four.scope")
    systemd.ok("pause", "four")
    assert systemd.state("four")["status"] == "paused"
    systemd.ok("resume", "four")
    systemd.ok("kill", "four", "KILL")
    eventually(lambda: systemd.state("four")["status"] == "stopped", "the end")
    systemd.ok("delete", "four")


@runs
def test_creation_that_fails_leaves_no_scope(systemd, bundle):
    limited(bundle, "five")
    bundle.mount("/x", "tmpfs", "nosuchfs", ())
    systemd.fails("create", "--bundle", bundle.save().path, "five", says="mounts[")
    assert show("test-five.scope", "LoadState") == {"LoadState": "not-found"}
    assert not (FOLDER / "test-five.scope").exists()


@runs
def test_unit_of_another_is_not_taken(systemd, bundle):
    subprocess.run(["systemd-run", "--scope", f"--slice={SLICE}", "--unit=test-six.scope", "sh", "-c", "sleep 1000 & :"], check=True)
    try:
        limited(bundle, "six")
        systemd.fails("create", "--bundle", bundle.path, "six", says="test-six.scope")
        assert show("test-six.scope", "ActiveState") == {"ActiveState": "active"}
    finally:
        subprocess.run(["systemctl", "stop", "test-six.scope"], check=True)


@pytest.mark.parametrize("path", ["/plain/path", "a:b", "x.slice:y:", "noslice:a:b", "a--b.slice:c:d"])
def test_paths_that_name_no_scope_are_refused(systemd, bundle, path):
    bundle.config["linux"]["cgroupsPath"] = path
    systemd.fails("create", "--bundle", bundle.save("true").path, "bad", says="linux.cgroupsPath")


def test_without_systemd_the_error_says_so(systemd, bundle):
    if not WHY_NOT:
        pytest.skip("systemd runs here")
    systemd.fails("create", "--bundle", limited(bundle, "none").path, "none", says="--systemd-cgroup:")
    assert not (systemd.root / "none").exists()
