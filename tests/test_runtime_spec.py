"""Words of the runtime specification, each seen to do in the kernel what it says."""
import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from support import bundles, cgroups
from support.wait import eventually

pytestmark = pytest.mark.corten_only


# --- The process ---------------------------------------------------------------------------------

def test_scheduler_and_priorities(runtime, bundle):
    process = bundle.config["process"]
    process["scheduler"] = {"policy": "SCHED_BATCH", "nice": 5}
    process["ioPriority"] = {"class": "IOPRIO_CLASS_IDLE", "priority": 0}
    runtime.start("slow", bundle.save("sleep", "1000"))
    pid = runtime.state("slow")["pid"]
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    assert (fields[16], fields[38]) == ("5", "3")  # proc(5): nice, policy; 3 is SCHED_BATCH
    assert subprocess.check_output(["ionice", "-p", str(pid)], text=True).strip() == "idle"


@pytest.mark.parametrize("wanted", [True, False])
def test_no_new_privileges(runtime, bundle, wanted):
    """The set-uid bit of a program counts for nothing, for what is started in the container later too."""
    bundle.config["process"]["noNewPrivileges"] = wanted
    look = ("grep", "NoNewPrivs", "/proc/self/status")
    assert runtime.output("privileged", bundle.save(*look)) == f"NoNewPrivs:\t{wanted:d}\n"
    runtime.start("kept", bundle.save("sleep", "1000"))
    assert runtime.ok("exec", "kept", *look) == f"NoNewPrivs:\t{wanted:d}\n"


def test_names(runtime, bundle):
    bundle.config.update(hostname="one", domainname="two.example")
    assert runtime.output("named", bundle.save("cat", "/proc/sys/kernel/hostname", "/proc/sys/kernel/domainname")) == "one\ntwo.example\n"


# --- Mounts --------------------------------------------------------------------------------------

@pytest.fixture
def nested(runtime, folder) -> Path:
    """A folder with a file, and a tmpfs with another below it, where the runtime is started."""
    source = folder / "source"
    (source / "sub").mkdir(parents=True)
    (source / "file").write_text("outer\n")
    script = 'mount -t tmpfs tmpfs "$0/sub" && echo inner > "$0/sub/file" && exec "$@"'
    runtime.prefix = ["unshare", "-m", "--propagation", "private", "sh", "-c", script, str(source)]
    return source


@pytest.mark.parametrize("option, inner", [("ro", "written"), ("rro", "read-only")])
def test_read_only_for_a_mount_or_all_below(runtime, bundle, nested, option, inner):
    bundle.mount("/data", nested, options=["rbind", option])
    script = "for f in /data/file /data/sub/file; do touch $f 2>/dev/null && echo written || echo read-only; done"
    assert runtime.output("recursive", bundle.shell(script)).split() == ["read-only", inner]


@pytest.mark.parametrize("option, inner", [("idmap", "0"), ("ridmap", "1000")])
def test_ids_mapped_for_a_mount_or_all_below(runtime, bundle, nested, option, inner):
    bundle.mount("/data", nested, options=["rbind", option])
    mapping = [{"containerID": 0, "hostID": 1000, "size": 1}]
    bundle.config["mounts"][-1].update(uidMappings=mapping, gidMappings=mapping)
    done = runtime.run("run", "--bundle", bundle.save("stat", "-c", "%u", "/data/file", "/data/sub/file").path, "mapped")
    if "Invalid argument" in done.err:
        pytest.skip("the file system of the test's folder takes no mapped mounts")
    assert done.out.split() == ["1000", inner], done


def test_link_is_copied_and_not_followed(runtime, bundle, folder):
    (folder / "link").symlink_to("/where/it/leads")
    bundle.mount("/etc/link", folder / "link", options=["bind", "copy-symlink"])
    assert runtime.output("linked", bundle.save("readlink", "/etc/link")) == "/where/it/leads\n"


@pytest.mark.parametrize("options, code", [([], 0), (["nosymfollow"], 1)])
def test_links_of_a_mount_are_not_followed(runtime, bundle, options, code):
    bundle.mount("/data", "tmpfs", "tmpfs", options)
    runtime.output("followed", bundle.shell("ln -s /etc/passwd /data/link && cat /data/link >/dev/null 2>&1"), code=code)


def test_overlay_is_mounted(runtime, bundle, folder):
    lower, upper, work = (folder / name for name in ("lower", "upper", "work"))
    for path in (lower, upper, work):
        path.mkdir()
    (lower / "file").write_text("below\n")
    bundle.mount("/merged", "overlay", "overlay", [f"lowerdir={lower}", f"upperdir={upper}", f"workdir={work}"])
    assert runtime.output("overlaid", bundle.shell("cat /merged/file; echo changed > /merged/file")) == "below\n"
    assert (lower / "file").read_text() == "below\n" and (upper / "file").read_text() == "changed\n"


@pytest.mark.parametrize("propagation, tag", [("shared", r" shared:\d+ "), ("slave", None), ("private", None), ("unbindable", " unbindable ")])
def test_propagation_of_the_root(runtime, bundle, propagation, tag):
    bundle.config["linux"]["rootfsPropagation"] = propagation
    root = next(line for line in runtime.output("root", bundle.save("cat", "/proc/self/mountinfo")).splitlines() if line.split()[4] == "/")
    optional = " " + " ".join(root.split(" - ")[0].split()[6:]) + " "
    assert re.search(tag, optional) if tag else not re.search("shared|unbindable", optional), root


# --- Seccomp -------------------------------------------------------------------------------------

SIGSYS = 128 + 31
KILL = f"{SIGSYS} "
ACTIONS = {"SCMP_ACT_LOG": "0 made", "SCMP_ACT_TRACE": "1 ", "SCMP_ACT_TRAP": KILL, "SCMP_ACT_KILL": KILL, "SCMP_ACT_KILL_THREAD": KILL,
           "SCMP_ACT_KILL_PROCESS": KILL, "SCMP_ACT_ERRNO": "1 ", "SCMP_ACT_ALLOW": "0 made"}


def filtered(bundle, action, names, **more):
    bundle.config["linux"]["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": names, "action": action, **more}]}


@pytest.mark.parametrize("action", ACTIONS)
def test_action_of_a_filter(runtime, bundle, action):
    filtered(bundle, action, ["mkdir", "mkdirat"])
    shown = runtime.output("acted", bundle.shell("busybox mkdir /tmp/x 2>/dev/null; echo $? $(test -d /tmp/x && echo made)"))
    assert shown == ACTIONS[action].strip() + "\n"


def test_action_without_a_tracer_is_a_call_that_does_not_exist(runtime, bundle):
    filtered(bundle, "SCMP_ACT_TRACE", ["mkdir", "mkdirat"], errnoRet=7)
    assert "Function not implemented" in runtime.output("traced", bundle.shell("busybox mkdir /tmp/x 2>&1; true"))


def supported_flags(runtime) -> list:
    return json.loads(runtime.ok("features"))["linux"]["seccomp"]["supportedFlags"]


@pytest.mark.parametrize("flag", ["SECCOMP_FILTER_FLAG_TSYNC", "SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW"])
def test_flag_of_a_filter(runtime, bundle, flag):
    if flag not in supported_flags(runtime):
        pytest.skip(f"this kernel has no {flag}")
    filtered(bundle, "SCMP_ACT_ERRNO", ["mkdir", "mkdirat"])
    bundle.config["linux"]["seccomp"]["flags"] = [flag]
    shown = runtime.output("flagged", bundle.shell("grep Seccomp: /proc/self/status; busybox mkdir /tmp/x 2>/dev/null || echo refused"))
    assert shown.split() == ["Seccomp:", "2", "refused"]


@pytest.mark.parametrize("mode, code", [("4755", 1), ("6755", 1), ("2755", 0), ("0755", 0)])
def test_argument_under_a_mask(runtime, bundle, mode, code):
    """The filter takes away set-uid modes, whatever the other bits are."""
    compared = {"value": 0o4000, "valueTwo": 0o4000, "op": "SCMP_CMP_MASKED_EQ"}
    bundle.config["linux"]["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
        {"names": names, "action": "SCMP_ACT_ERRNO", "args": [{"index": index, **compared}]}
        for names, index in ((["chmod"], 1), (["fchmodat"], 2))]}
    runtime.output("masked", bundle.shell(f"touch /tmp/x; chmod {mode} /tmp/x 2>/dev/null"), code=code)


# --- Resources -----------------------------------------------------------------------------------

def limited(runtime, bundle, **resources) -> int:
    """The pid of a container with these limits."""
    bundle.config["linux"]["resources"].update(resources)
    done = runtime.run("create", "--bundle", bundle.save("sleep", "1000").path, "limited")
    runtime.made.add("limited")
    if done.code != 0 and re.search("CONFIG_|no such|not supported|Permission denied|Invalid argument", done.err):
        pytest.skip(f"this host does not take it: {done.err.strip()[-200:]}")
    assert done.code == 0, done
    return runtime.state("limited")["pid"]


def test_processor_time_in_bursts(runtime, bundle):
    pid = limited(runtime, bundle, cpu={"quota": 50000, "period": 100000, "burst": 20000})
    assert cgroups.read(pid, "cpu", "cpu.max.burst" if cgroups.is_v2() else "cpu.cfs_burst_us") == "20000"


def test_processor_time_that_nobody_else_wants(runtime, bundle):
    assert cgroups.read(limited(runtime, bundle, cpu={"idle": 1}), "cpu", "cpu.idle") == "1"


def test_processor_time_in_real_time(runtime, bundle):
    if not any(path.exists() for path in Path("/sys/fs/cgroup").glob("cpu*/cpu.rt_runtime_us")):
        pytest.skip("this kernel has no CONFIG_RT_GROUP_SCHED, or cgroup v2")
    pid = limited(runtime, bundle, cpu={"realtimePeriod": 1000000, "realtimeRuntime": 1000})
    assert cgroups.read(pid, "cpu", "cpu.rt_runtime_us") == "1000"


def test_unified_limits(runtime, bundle):
    if not cgroups.is_v2():
        pytest.skip("linux.resources.unified is for cgroup v2")
    pid = limited(runtime, bundle, unified={"memory.high": "104857600"})
    assert (cgroups.paths(pid)[""] / "memory.high").read_text() == "104857600\n"


def test_class_and_priorities_of_the_network(runtime, bundle):
    if not {"net_cls", "net_prio"} <= cgroups.mounts().keys():
        pytest.skip("no net_cls and net_prio controllers here")
    pid = limited(runtime, bundle, network={"classID": 0x100001, "priorities": [{"name": "lo", "priority": 3}]})
    assert cgroups.read(pid, "net_cls", "net_cls.classid") == str(0x100001)
    assert "lo 3" in cgroups.read(pid, "net_prio", "net_prio.ifpriomap").splitlines()


def test_devices_of_rdma(runtime, bundle):
    devices = [path.name for path in Path("/sys/class/infiniband").glob("*")]
    if not devices or "rdma" not in cgroups.mounts() and not cgroups.is_v2():
        pytest.skip("no RDMA device, or no rdma controller here")
    pid = limited(runtime, bundle, rdma={devices[0]: {"hcaHandles": 3, "hcaObjects": 100}})
    assert f"{devices[0]} hca_handle=3 hca_object=100" in cgroups.read(pid, "rdma", "rdma.max")


def test_huge_pages(runtime, bundle):
    pages = [path.name for path in Path("/sys/kernel/mm/hugepages").glob("hugepages-2048kB")]
    of_v1 = "hugetlb" in cgroups.mounts()
    if not pages or not of_v1 and "hugetlb" not in cgroups.on_v2():
        pytest.skip("no huge pages of 2 MB, or no hugetlb controller here")
    pid = limited(runtime, bundle, hugepageLimits=[{"pageSize": "2MB", "limit": 4194304}])
    place, name = (cgroups.paths(pid)["hugetlb"], "limit_in_bytes") if of_v1 else (cgroups.paths(pid)[""], "max")
    assert (place / f"hugetlb.2MB.{name}").read_text() == "4194304\n"
    assert json.loads(runtime.ok("events", "--stats", "limited"))["data"]["hugetlb"].keys() >= {"2MB"}


@pytest.mark.parametrize("namespace", [False, True])
def test_a_mount_of_v2_beside_v1_shows_the_containers_own_group(runtime, bundle, namespace):
    """And not all of the host's, which a writable mount would give away."""
    if cgroups.is_v2() or "" not in cgroups.mounts():
        pytest.skip("not a hybrid machine")
    bundle.mount("/own", "cgroup", "cgroup2", ["nosuid", "nodev", "noexec"])
    if namespace:
        bundle.config["linux"]["namespaces"].append({"type": "cgroup"})
    done = runtime.run("create", "--bundle", bundle.save("sleep", "1000").path, "own")
    runtime.made.add("own")
    assert done.code == 0, done
    runtime.ok("start", "own")
    assert runtime.ok("exec", "own", "cat", "/own/cgroup.procs").splitlines()[0] == "1"
    place = cgroups.paths(runtime.state("own")["pid"])[""]
    assert place != cgroups.mounts()[""]
    runtime.ok("exec", "own", "mkdir", "/own/sub")
    assert (place / "sub").is_dir()
    runtime.ok("delete", "--force", "own")
    assert not place.exists()


@pytest.mark.parametrize("user", ["root of a user namespace", "user without one"])
@pytest.mark.parametrize("case", ["writable", "read-only", "without a cgroup namespace"])
def test_a_group_of_v2_is_delegated_to_the_containers_user(runtime, open_folder, user, case):
    """It may make groups below its own and move its processes there, but not lift its limits."""
    if "" not in cgroups.mounts():
        pytest.skip("no cgroup v2 here")
    bundle = bundles.Bundle(open_folder / "bundle")
    (bundle.root / "own").mkdir()
    section = bundle.config["linux"]
    bundle.config["mounts"] = [m for m in bundle.config["mounts"] if m["type"] != "cgroup"]
    bundle.mount("/own", "cgroup", "cgroup2", ["ro" if case == "read-only" else "rw", "nosuid", "nodev", "noexec"])
    if user == "user without one":
        bundle.config["process"]["user"] = {"uid": 4321, "gid": 4321}
        owner = 4321
    else:
        section["namespaces"].append({"type": "user"})
        section["uidMappings"] = section["gidMappings"] = [{"containerID": 0, "hostID": 200000, "size": 65536}]
        owner = 200000
    if case != "without a cgroup namespace":
        section["namespaces"].append({"type": "cgroup"})
    runtime.made.add("given")
    done = runtime.run("create", "--bundle", bundle.save("sleep", "1000").path, "given")
    assert done.code == 0, done
    place = cgroups.paths(runtime.state("given")["pid"])[""]
    owned = {name for name in ("", "cgroup.procs", "cgroup.threads", "cgroup.subtree_control", "cgroup.max.depth")
             if (place / name).stat().st_uid == owner}
    runtime.ok("start", "given")
    if case != "writable":
        assert not owned
        return
    assert owned == {"", "cgroup.procs", "cgroup.threads", "cgroup.subtree_control"}
    runtime.ok("exec", "given", "sh", "-c", "mkdir /own/sub && echo 1 > /own/sub/cgroup.procs")
    assert (place / "sub" / "cgroup.procs").read_text().split() == [str(runtime.state("given")["pid"])]
    controllers = (place / "cgroup.controllers").read_text().split()
    if controllers:  # then the kernel lets nobody into a group that hands one down
        runtime.ok("exec", "given", "sh", "-c", f"echo $$ > /own/sub/cgroup.procs && echo +{controllers[0]} > /own/cgroup.subtree_control")
        shown = runtime.ok("exec", "given", "cat", "/proc/self/cgroup")
        assert "0::/sub\n" in shown + "\n", shown
        if cgroups.is_v2():  # where it was asked for by name it is that or nothing
            runtime.fails("exec", "--cgroup", "/", "given", "true", says="/cgroup.procs: device or resource busy", code=255)
            assert "0::/sub\n" in runtime.ok("exec", "--cgroup", "sub", "given", "cat", "/proc/self/cgroup")
    runtime.fails("exec", "given", "sh", "-c", "echo 3 > /own/cgroup.max.depth", says="Permission denied")
    runtime.ok("delete", "--force", "given")
    assert not place.exists()


def test_threads_in_a_group_below_are_no_obstacle(runtime, bundle):
    """The kernel lists no processes of such a group."""
    if not cgroups.is_v2():
        pytest.skip("groups of threads are of cgroup v2")
    mount = next(m for m in bundle.config["mounts"] if m["type"] == "cgroup")
    mount["options"].remove("ro")
    bundle.config["linux"]["namespaces"].append({"type": "cgroup"})
    runtime.start("threads", bundle.save("sleep", "1000"))
    group = cgroups.paths(runtime.state("threads")["pid"])[""]
    runtime.ok("exec", "--detach", "threads", "sh", "-c", "cd /sys/fs/cgroup && mkdir foo && echo threaded > foo/cgroup.type && "
               "echo $$ > foo/cgroup.threads && exec sleep 1000")
    eventually(lambda: (group / "foo" / "cgroup.threads").exists() and (group / "foo" / "cgroup.threads").read_text(), "the thread")
    assert len(json.loads(runtime.ok("ps", "--format", "json", "threads"))) == 2
    runtime.ok("delete", "--force", "threads")
    assert not group.exists()


def test_files_of_v2_beside_v1(runtime, bundle):
    if cgroups.is_v2() or "hugetlb" not in cgroups.on_v2():
        pytest.skip("not a hybrid machine with a controller on v2")
    pid = limited(runtime, bundle, unified={"cgroup.max.descendants": "7"})
    assert (cgroups.paths(pid)[""] / "cgroup.max.descendants").read_text() == "7\n"
    bundle.config["linux"]["resources"]["unified"] = {"memory.high": "1048576"}
    runtime.fails("run", "--bundle", bundle.save("true").path, "elsewhere", says="unified.memory.high")


def test_device_rules_are_in_the_file_of_v1(runtime, bundle):
    """In the order of the list, and what every container has after them."""
    if "devices" not in cgroups.mounts():
        pytest.skip("no devices controller of cgroup v1")
    rules = [{"allow": False, "access": "rwm"}, {"allow": True, "type": "c", "major": 10, "minor": 229, "access": "rw"},
             {"allow": True, "type": "b", "major": 8, "access": "r"}]
    listed = cgroups.read(limited(runtime, bundle, devices=rules), "devices", "devices.list").splitlines()
    assert {"c 10:229 rw", "b 8:* r", "c 1:3 rwm", "c 5:2 rwm"} <= set(listed) and "a *:* rwm" not in listed


# --- What the commands tell ----------------------------------------------------------------------

def test_features_name_what_is_understood(runtime):
    told = json.loads(runtime.ok("features"))
    assert told["ociVersionMin"] == "1.0.0" and told["ociVersionMax"].startswith("1.2")
    assert {"rbind", "rro", "idmap", "ridmap", "tmpcopyup", "copy-symlink", "nosymfollow"} <= set(told["mountOptions"])
    assert set(told["hooks"]) == {"prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"}
    section = told["linux"]
    assert {"pid", "network", "mount", "ipc", "uts", "user", "cgroup", "time"} == set(section["namespaces"])
    assert "CAP_CHECKPOINT_RESTORE" in section["capabilities"] and section["cgroup"]["v2"] is True
    seccomp = section["seccomp"]
    assert set(ACTIONS) | {"SCMP_ACT_NOTIFY"} <= set(seccomp["actions"]) and "SCMP_CMP_MASKED_EQ" in seccomp["operators"]
    assert set(seccomp["supportedFlags"]) <= set(seccomp["knownFlags"]) and "SECCOMP_FILTER_FLAG_LOG" in seccomp["supportedFlags"]


def test_list_as_json(runtime, bundle):
    bundle.config["annotations"] = {"org.example.key": "value"}
    runtime.start("listed", bundle.save("sleep", "1000"))
    runtime.create("waiting", bundle)
    rows = {row["id"]: row for row in json.loads(runtime.ok("list", "--format", "json"))}
    assert {name: row["status"] for name, row in rows.items()} == {"listed": "running", "waiting": "created"}
    row = rows["listed"]
    assert row["pid"] == runtime.state("listed")["pid"] and row["bundle"] == str(bundle.path) and row["owner"] == "root"
    assert row["annotations"] == {"org.example.key": "value"} and re.match(r"\d{4}-\d\d-\d\dT", row["created"])
    assert runtime.ok("list", "--quiet").split() == ["listed", "waiting"]


def test_container_that_is_kept(runtime, bundle):
    runtime.output("kept", bundle.shell("exit 3"), "--keep", code=3)
    assert runtime.state("kept")["status"] == "stopped"
    runtime.ok("delete", "kept")


@pytest.mark.parametrize("options, adopted", [((), True), (("--no-subreaper",), False)])
def test_orphans_are_adopted(runtime, bundle, options, adopted):
    """Without a pid namespace of its own a container's orphans become children of the nearest who wants them."""
    bundle.config["linux"]["namespaces"].remove({"type": "pid"})
    bundle.config["linux"].update(maskedPaths=[], readonlyPaths=[])
    bundle.shell("(sleep 1000 & echo $! > /tmp/made; mv /tmp/made /tmp/orphan); exec sleep 1000")
    runner = subprocess.Popen(runtime.argv("run", *options, "--bundle", bundle.path, "parent"), stdin=subprocess.DEVNULL)
    runtime.made.add("parent")
    try:
        eventually((bundle.root / "tmp" / "orphan").exists, "the orphan")
        pid = (bundle.root / "tmp" / "orphan").read_text().strip()

        def parent() -> int:
            return int(re.search(r"PPid:\s*(\d+)", Path(f"/proc/{pid}/status").read_text())[1])
        first = runtime.state("parent")["pid"]
        eventually(lambda: parent() not in (first, 0) and "sleep" in Path(f"/proc/{first}/cmdline").read_text(), "its parent's end")
        assert (parent() == runner.pid) == adopted
    finally:
        runtime.run("delete", "--force", "parent")
        runner.wait(30)


def test_name_that_is_taken(runtime, bundle):
    runtime.create("taken", bundle)
    before = runtime.state("taken")
    for verb in ("create", "run"):
        runtime.fails(verb, "--bundle", bundle.path, "taken", says="container with given ID already exists")
    assert runtime.state("taken") == before
    runtime.ok("start", "taken")
    assert os.listdir(runtime.root) == ["taken"] or set(os.listdir(runtime.root)) == {"taken", ".seccomp"}
