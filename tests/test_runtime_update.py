"""corten-runtime update: what it changes, what it leaves alone, and what it refuses."""
import json
import os
from pathlib import Path

import pytest

from support import cgroups
from support.bundles import message

pytestmark = pytest.mark.corten_only
ALL_DEVICES = {"devices": [{"allow": True, "access": "rwm"}]}


@pytest.fixture
def limited(runtime, bundle):
    """A running container."""
    for names in bundle.config["process"]["capabilities"].values():
        names += ["CAP_MKNOD"] if "CAP_MKNOD" not in names else []
    bundle.config["linux"]["resources"].update(pids={"limit": 50}, memory={"limit": 64 << 20})
    runtime.start("limited", bundle.save("sleep", "1000"))
    return runtime


def update(runtime, folder, resources, name="limited"):
    (folder / "resources.json").write_text(json.dumps(resources))
    return runtime.run("update", "--resources", folder / "resources.json", name)


def remembered(runtime) -> dict:
    return json.loads((runtime.root / "limited" / "config.json").read_text())["linux"]["resources"]


def test_devices_are_left_alone(limited, folder):
    """As with runc: a new limit does not open the host's disks."""
    limited.ok("exec", "limited", "busybox", "mknod", "/tmp/kmsg", "c", "1", "11")
    use_kmsg = ("exec", "limited", "sh", "-c", ": > /tmp/kmsg")
    limited.fails(*use_kmsg, says="Operation not permitted")
    done = update(limited, folder, {**ALL_DEVICES, "pids": {"limit": 40}})
    assert done.code == 0, done
    pid = limited.state("limited")["pid"]
    assert cgroups.read(pid, "pids", "pids.max") == "40"
    devices = cgroups.paths(pid).get("devices")
    if devices:
        assert "a *:* rwm" not in (devices / "devices.list").read_text().splitlines()
    limited.fails(*use_kmsg, says="Operation not permitted")
    assert remembered(limited).get("devices") == [{"allow": False, "access": "rwm"}]


@pytest.mark.parametrize("field, resources", [
    ("linux.resources.unified", {"unified": {"../limited2/pids.max": "1"}}),
    ("linux.resources.memory.limit", {"memory": {"limit": -2}}),
    ("linux.resources.rdma", {"rdma": {"a b": {"hcaHandles": 1}}})])
def test_limits_that_make_no_sense_are_refused(limited, folder, field, resources):
    done = update(limited, folder, {"pids": {"limit": 10}, **resources})
    assert done.code == 1 and field in message(done)
    assert cgroups.read(limited.state("limited")["pid"], "pids", "pids.max") == "50"


def test_container_that_was_idle_gets_its_share_back(limited):
    pid, share = limited.state("limited")["pid"], "cpu.weight" if cgroups.is_v2() else "cpu.shares"
    cgroups.read(pid, "cpu", "cpu.idle")
    limited.ok("update", "--cpu-share", "2048", "limited")
    before = cgroups.read(pid, "cpu", share)
    limited.ok("update", "--cpu-idle", "1", "limited")
    assert cgroups.read(pid, "cpu", "cpu.idle") == "1"
    limited.ok("update", "--cpu-idle", "0", "limited")
    assert cgroups.read(pid, "cpu", "cpu.idle") == "0" and cgroups.read(pid, "cpu", share) == before != "100"


def test_what_is_changed_is_remembered(limited, folder):
    """Only what is given: the rest holds on."""
    assert update(limited, folder, {"memory": {"reservation": 32 << 20}, "pids": {"limit": 30}, "cpu": {"cpus": "0"}}).code == 0
    found = remembered(limited)
    assert found["memory"] == {"limit": 64 << 20, "reservation": 32 << 20} and found["pids"] == {"limit": 30} and found["cpu"] == {"cpus": "0"}


def test_throttles_of_other_disks_are_remembered_too(limited, folder):
    disks = [disk for disk in Path("/sys/block").iterdir() if (disk / "queue").exists()][:2]
    if len(disks) < 2 or not ("blkio" in cgroups.mounts() or cgroups.is_v2()):
        pytest.skip("not two disks, or no controller for them")
    one, other = ({"major": int(major), "minor": int(minor), "rate": 1 << 20}
                  for major, minor in ((disk / "dev").read_text().split(":") for disk in disks))
    for entry in (one, other, {**one, "rate": 2 << 20}):
        done = update(limited, folder, {"blockIO": {"throttleReadBpsDevice": [entry]}})
        if "CONFIG_BLK_DEV_THROTTLING" in done.err:
            pytest.skip("this kernel throttles no disks")
        assert done.code == 0, done
    assert remembered(limited)["blockIO"]["throttleReadBpsDevice"] == [other, {**one, "rate": 2 << 20}]


@pytest.mark.parametrize("option", ["--l3-cache-schema", "--mem-bw-schema"])
def test_classes_of_cache_are_refused_for_what_the_host_has(limited, option):
    why = "are not built" if os.path.exists("/sys/fs/resctrl/info") else "this host has no resctrl"
    limited.fails("update", option, "L3:0=f", "limited", says=f"{option}: ")
    limited.fails("update", option, "L3:0=f", "limited", says=why)
