"""corten-runtime --systemd-cgroup: the container's group is a scope that systemd makes."""
import json
import os
import subprocess
from pathlib import Path

import pytest

from support import cgroups
from support.bundles import Runtime
from support.wait import eventually

pytestmark = pytest.mark.corten_only
SLICE = f"corten-t{os.getpid()}.slice"
PLACE = f"corten.slice/{SLICE}"
V2 = cgroups.is_v2()
WHY_NOT = "" if Path("/run/systemd/system").exists() else "no systemd runs here: packaging/vm.sh has a machine where it does"
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
        forget_slices()


def forget_slices():
    """On v1 systemd takes its slices out of the hierarchies that it knows; those above a container stay in the others."""
    for top in set(cgroups.mounts().values()):
        for at in sorted((top / "corten.slice").glob("**/"), reverse=True):
            at.rmdir()


def left_of(unit) -> list:
    return [at for top in set(cgroups.mounts().values()) for at in top.glob(f"**/{unit}")]


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
    wanted = {"ActiveState": "active", "Slice": SLICE, "Delegate": "yes", "DefaultDependencies": "no", "TasksMax": "30",
              "CPUQuotaPerSecUSec": "500ms", "Transient": "yes", "Description": "corten-runtime container one"}
    if V2:
        wanted.update(MemoryMax=str(64 << 20), MemoryLow=str(32 << 20), CPUWeight="174")
    else:
        wanted.update(MemoryLimit=str(64 << 20), CPUShares="2048")
    assert show("test-one.scope", *wanted) == wanted
    pid = systemd.state("one")["pid"]
    groups = cgroups.paths(pid)
    assert {cgroups.mounts()[controller] for controller in groups} == set(cgroups.mounts().values())
    for controller, group in groups.items():
        assert group == cgroups.mounts()[controller] / PLACE / "test-one.scope"
        assert (group / "cgroup.procs").read_text().split() == [str(pid)]
    if V2:  # also those that systemd does not know
        assert (groups[""] / "cgroup.controllers").read_text().split() == cgroups.on_v2()
    values = {"memory.max": str(64 << 20), "cpu.max": "50000 100000", "cpu.weight": "174"} if V2 else {
        "memory.limit_in_bytes": str(64 << 20), "memory.soft_limit_in_bytes": str(32 << 20), "cpu.cfs_quota_us": "50000",
        "cpu.shares": "2048"}
    values.update({"pids.max": "30", "cpuset.cpus": "0"})
    assert {name: (groups["" if V2 else name.split(".")[0]] / name).read_text().strip() for name in values} == values
    systemd.ok("delete", "--force", "one")
    assert show("test-one.scope", "LoadState", "ActiveState") == {"LoadState": "not-found", "ActiveState": "inactive"}
    assert left_of("test-one.scope") == []


@runs
@pytest.mark.skipif(V2, reason="on v2 the weight is for files alone")
def test_weight_of_block_devices_is_the_scopes(systemd, bundle):
    subprocess.run(["modprobe", "bfq"], check=False)
    if not (cgroups.mounts()["blkio"] / "system.slice" / "blkio.bfq.weight").exists():
        pytest.skip("this kernel has no scheduler that knows weights")
    limited(bundle, "weighty", blockIO={"weight": 300})
    systemd.start("weighty", bundle)
    assert show("test-weighty.scope", "BlockIOWeight") == {"BlockIOWeight": "300"}
    assert cgroups.read(systemd.state("weighty")["pid"], "blkio", "blkio.bfq.weight") == "300"


@runs
def test_limits_survive_that_systemd_loads_its_units_anew(systemd, bundle):
    limited(bundle, "two", memory={"limit": 64 << 20})
    systemd.start("two", bundle)
    systemd.ok("update", "--memory", 32 << 20, "--pids-limit", 20, "two")
    subprocess.run(["systemctl", "daemon-reload"], check=True)
    memory = "MemoryMax" if V2 else "MemoryLimit"
    assert show("test-two.scope", memory, "TasksMax") == {memory: str(32 << 20), "TasksMax": "20"}
    assert cgroups.read(systemd.state("two")["pid"], "memory", "memory.limit_in_bytes") == str(32 << 20)


@runs
@pytest.mark.skipif(not V2, reason="on v1 systemd leaves these files alone")
@pytest.mark.parametrize("resources, files, shown", [
    ({"cpu": {"cpus": "0", "mems": "0"}}, {"cpuset.cpus": "0", "cpuset.mems": "0"}, {"AllowedCPUs": "0", "AllowedMemoryNodes": "0"}),
    ({"cpu": {"shares": 2048, "idle": 1}}, {"cpu.idle": "1"}, {"CPUWeight": "idle"}),
    ({"blockIO": {"weight": 300}}, {"io.bfq.weight": "default 300"}, {"IOWeight": "2300"}),
    ({"unified": {"memory.high": "48M", "cpu.max": "25000 100000", "cpuset.cpus": "0", "io.weight": "default 200"}},
     {"memory.high": str(48 << 20), "cpu.max": "25000 100000", "cpuset.cpus": "0", "io.weight": "default 200"},
     {"MemoryHigh": str(48 << 20), "CPUQuotaPerSecUSec": "250ms", "AllowedCPUs": "0", "IOWeight": "200"})])
def test_limits_of_files_survive_that_systemd_writes_what_it_knows(systemd, bundle, resources, files, shown):
    """Without having been told of them it would put its defaults there."""
    subprocess.run(["modprobe", "bfq"], check=False)
    limited(bundle, "files", **resources)
    done = systemd.run("create", "--bundle", bundle.path, "files")
    systemd.made.add("files")
    if done.code != 0 and "CONFIG_BLK_CGROUP_IOCOST" in done.err:
        pytest.skip("this kernel has no scheduler that knows weights")
    assert done.code == 0, done
    group = cgroups.paths(systemd.state("files")["pid"])[""]

    def check():
        assert {name: (group / name).read_text().strip() for name in files} == files
        assert show("test-files.scope", *shown) == shown
    check()
    subprocess.run(["systemctl", "daemon-reload"], check=True)
    subprocess.run(["systemctl", "set-property", "--runtime", "test-files.scope", "TasksMax=25", "MemoryLow=1M", "CPUQuotaPeriodSec=100ms"],
                   check=True)
    check()


@runs
def test_devices_stay_denied_when_systemd_loads_its_units_anew(systemd, bundle):
    """On v1 systemd writes the rules that it knows of into the same file, with the next change of a limit at the latest."""
    bundle.config["process"]["capabilities"] = {k: ["CAP_MKNOD"] for k in ("bounding", "effective", "permitted")}
    bundle.config["linux"]["resources"]["devices"] = [{"allow": False, "access": "rwm"},
                                                      {"allow": True, "type": "c", "major": 10, "minor": 229, "access": "r"}]
    os.mknod(bundle.root / "tmp" / "mem", 0o20666, os.makedev(1, 1))
    limited(bundle, "dev")
    systemd.start("dev", bundle)

    def check():
        assert "Operation not permitted" in systemd.run("exec", "dev", "sh", "-c", ": < /tmp/mem").err
        systemd.ok("exec", "dev", "sh", "-c", "echo > /dev/null && : < /dev/zero")
        if not V2:
            rules = cgroups.read(systemd.state("dev")["pid"], "devices", "devices.list").splitlines()
            assert "c 10:229 r" in rules and not any(rule.startswith("a ") for rule in rules), rules
    check()
    subprocess.run(["systemctl", "daemon-reload"], check=True)
    systemd.ok("update", "--pids-limit", 20, "dev")
    subprocess.run(["systemctl", "set-property", "--runtime", "test-dev.scope", "TasksMax=25"], check=True)
    check()


@runs
def test_container_that_ends_takes_its_scope_along(systemd, bundle):
    limited(bundle, "three").save("true")
    assert systemd.output("three", bundle) == ""
    assert show("test-three.scope", "LoadState") == {"LoadState": "not-found"}
    assert left_of("test-three.scope") == []


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
    lines = systemd.ok("exec", "four", "cat", "/proc/self/cgroup").splitlines()
    assert lines and all(line.endswith("/test-four.scope") for line in lines)
    systemd.ok("pause", "four")
    assert systemd.state("four")["status"] == "paused"
    systemd.ok("resume", "four")
    systemd.ok("kill", "four", "KILL")
    eventually(lambda: systemd.state("four")["status"] == "stopped", "the end")
    # systemd has taken the scope away, and with it whom to look for.
    systemd.ok("kill", "--all", "four", "KILL")
    assert json.loads(systemd.ok("ps", "--format", "json", "four")) == []
    systemd.ok("delete", "four")


@runs
def test_creation_that_fails_leaves_no_scope(systemd, bundle):
    limited(bundle, "five")
    bundle.mount("/x", "tmpfs", "nosuchfs", ())
    systemd.fails("create", "--bundle", bundle.save().path, "five", says="mounts[")
    assert show("test-five.scope", "LoadState") == {"LoadState": "not-found"}
    assert left_of("test-five.scope") == []


@runs
def test_unit_of_another_is_not_taken(systemd, bundle):
    subprocess.run(["systemd-run", "--scope", f"--slice={SLICE}", "--unit=test-six.scope", "sh", "-c", "sleep 1000 & :"], check=True)
    try:
        limited(bundle, "six")
        systemd.fails("create", "--bundle", bundle.path, "six", says="test-six.scope")
        assert show("test-six.scope", "ActiveState") == {"ActiveState": "active"}
    finally:
        subprocess.run(["systemctl", "stop", "test-six.scope"], check=True)


@runs
def test_annotations_are_properties_of_the_scope(systemd, bundle):
    bundle.config["annotations"] = {"org.systemd.property.RuntimeMaxSec": "3", "org.systemd.property.CollectMode": "'inactive'",
                                    "org.systemd.property.TimeoutStopUSec": "uint64 1500000", "org.systemd.property.SendSIGHUP": "true",
                                    "org.systemd.property.KillSignal": "10", "org.systemd.property.Documentation": "['man:true(1)']"}
    limited(bundle, "noted")
    systemd.start("noted", bundle)
    wanted = {"RuntimeMaxUSec": "3s", "CollectMode": "inactive", "TimeoutStopUSec": "1.500000s", "SendSIGHUP": "yes", "KillSignal": "10",
              "Documentation": '"man:true(1)"'}
    assert show("test-noted.scope", *wanted) == wanted
    eventually(lambda: systemd.state("noted")["status"] == "stopped", "the end that systemd makes")
    assert show("test-noted.scope", "ActiveState") == {"ActiveState": "failed"}
    systemd.ok("delete", "noted")
    assert show("test-noted.scope", "LoadState") == {"LoadState": "not-found"}


@runs
@pytest.mark.parametrize("name, value, says", [("TimeoutStopSec", "'soon'", "annotations.org.systemd.property.TimeoutStopSec: "),
                                               ("No such", "1", "annotations.org.systemd.property.No such: "),
                                               ("Slize", "'x'", "Slize")])
def test_annotations_that_name_no_property_are_refused(systemd, bundle, name, value, says):
    bundle.config["annotations"] = {f"org.systemd.property.{name}": value}
    limited(bundle, "noted")
    systemd.fails("create", "--bundle", bundle.path, "noted", says=says)
    assert show("test-noted.scope", "LoadState") == {"LoadState": "not-found"}


@runs
def test_frozen_group_in_the_place_of_the_scope_is_refused(systemd, bundle):
    """In it the container would never begin."""
    limited(bundle, "seven")
    top = cgroups.mounts()["" if V2 else "freezer"]
    group, file, frozen = top / PLACE / "test-seven.scope", *(("cgroup.freeze", "1") if V2 else ("freezer.state", "FROZEN"))
    group.mkdir(parents=True)
    try:
        (group / file).write_text(frozen)
        systemd.fails("create", "--bundle", bundle.path, "seven", says="container's cgroup unexpectedly frozen")
        assert not (systemd.root / "seven").exists()
    finally:
        group.rmdir()


@runs
def test_slices_that_are_not_there_are_made_with_those_above_them(systemd, bundle):
    inner = SLICE.replace(".slice", "-deep-er.slice")
    bundle.config["linux"]["cgroupsPath"] = f"{inner}::plain{os.getpid()}"
    unit = f"plain{os.getpid()}.scope"
    systemd.start("nested", bundle.save("sleep", "1000"))
    assert show(unit, "Slice") == {"Slice": inner}
    middle = SLICE.replace(".slice", "-deep.slice")
    groups = cgroups.paths(systemd.state("nested")["pid"])
    assert {at.parts[-5:] for at in groups.values()} == {("corten.slice", SLICE, middle, inner, unit)}
    systemd.ok("delete", "--force", "nested")
    assert left_of(unit) == []


@runs
def test_empty_slice_is_the_systems(systemd, bundle):
    bundle.config["linux"]["cgroupsPath"] = f":corten-t:{os.getpid()}"
    unit = f"corten-t-{os.getpid()}.scope"
    before = set(left_of("system.slice"))
    systemd.start("usual", bundle.save("sleep", "1000"))
    assert show(unit, "Slice", "ActiveState") == {"Slice": "system.slice", "ActiveState": "active"}
    systemd.ok("delete", "--force", "usual")
    assert left_of(unit) == []
    for at in set(left_of("system.slice")) - before:  # in the hierarchies that systemd does not know
        at.rmdir()


@runs
def test_name_of_a_slice_is_the_group_itself(systemd, bundle):
    """It ends with the container's removal; systemd would keep it."""
    unit = SLICE.replace(".slice", "-own.slice")
    bundle.config["linux"]["cgroupsPath"] = f"{SLICE}:ignored:{unit}"
    bundle.config["linux"]["resources"]["pids"] = {"limit": 30}
    systemd.start("own", bundle.save("sleep", "1000"))
    pid = systemd.state("own")["pid"]
    assert show(unit, "ActiveState", "TasksMax") == {"ActiveState": "active", "TasksMax": "30"}
    assert cgroups.read(pid, "pids", "pids.max") == "30"
    assert all(at.parts[-2:] == (SLICE, unit) for at in cgroups.paths(pid).values())
    systemd.fails("create", "--bundle", bundle.path, "second", says=f"{unit} exists already")
    assert systemd.state("own")["status"] == "running"
    systemd.ok("delete", "--force", "own")
    assert show(unit, "ActiveState") == {"ActiveState": "inactive"}
    assert left_of(unit) == []


@pytest.mark.parametrize("path", ["/plain/path", "a:b", "x.slice:y:", "noslice:a:b", "a--b.slice:c:d", "b.slice:c:a-d.slice", "::-.slice",
                                  "::a--b.slice"])
def test_paths_that_name_no_scope_are_refused(systemd, bundle, path):
    bundle.config["linux"]["cgroupsPath"] = path
    systemd.fails("create", "--bundle", bundle.save("true").path, "bad", says="linux.cgroupsPath")


def test_without_systemd_the_error_says_so(systemd, bundle):
    if not WHY_NOT:
        pytest.skip("systemd runs here")
    systemd.fails("create", "--bundle", limited(bundle, "none").path, "none", says="--systemd-cgroup:")
    assert not (systemd.root / "none").exists()
