"""Configurations that make no sense: refused with one sentence that names the field, before anything is left behind."""
import contextlib
import json
import os
import uuid
from pathlib import Path

import pytest

from support import host
from support.bundles import RUNTIME, Bundle, Runtime, message

pytestmark = pytest.mark.corten_only
# Settings are tried with the values that the host has, so that a defect does no harm.
CORE_PATTERN, TTL = (Path(f"/proc/sys/{name}").read_text().strip() for name in ("kernel/core_pattern", "net/ipv4/ip_default_ttl"))


@pytest.fixture
def name() -> str:
    """A container's name that no other run on this host has, for its cgroup has it too."""
    return f"corten-t-{uuid.uuid4().hex[:12]}"


MISSING = object()
OTHER_KIND = {"type": "network", "path": "/proc/self/ns/uts"}
FULL_MAP = [{"containerID": 0, "hostID": 0, "size": 1}]
USER = [{"type": "user"}, {"type": "mount"}, {"type": "pid"}]


def seccomp(action="SCMP_ACT_ERRNO", names=("mount",), args=(), **more):
    rule = {"names": list(names), "action": action, "args": list(args)}
    return {"linux.seccomp": {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule], **more}}


def mount(**entry):
    return {"mounts": [{"destination": "/x", "type": "tmpfs", "source": "tmpfs", **entry}]}


def device(**entry):
    return {"linux.devices": [{"path": "/dev/x", "type": "c", "major": 1, "minor": 3, **entry}]}


# (the field that is named, what is changed)
INVALID = [
    ("ociVersion", {"ociVersion": "2.0.0"}), ("ociVersion", {"ociVersion": "0.9.0"}), ("ociVersion", {"ociVersion": "latest"}),
    ("ociVersion", {"ociVersion": ""}), ("ociVersion", {"ociVersion": 1}), ("ociVersion", {"ociVersion": "1.99999999999999.0"}),
    ("root.path", {"root": MISSING}), ("root.path", {"root.path": ""}), ("root.path", {"root.path": "nowhere"}),
    ("root.path", {"root.path": "config.json"}), ("root.path", {"root.path": ["rootfs"]}),
    ("process", {"process": MISSING}), ("process.args", {"process.args": []}), ("process.args", {"process.args": [""]}),
    ("process.args", {"process.args": "true"}), ("process.args[1]", {"process.args": ["true", "a\0b"]}),
    ("process.cwd", {"process.cwd": "tmp"}), ("process.cwd", {"process.cwd": ""}), ("process.cwd", {"process.cwd": "../.."}),
    ("process.cwd", {"process.cwd": "/bin/busybox"}),
    ("process.env[0]", {"process.env": ["NOVALUE"]}), ("process.env[0]", {"process.env": ["=x"]}),
    ("process.env[1]", {"process.env": ["A=1", "B=\0"]}),
    ("process.user.uid", {"process.user.uid": -1}), ("process.user.uid", {"process.user.uid": 2**32}),
    ("process.user.uid", {"process.user.uid": 2**32 - 1}), ("process.user.uid", {"process.user.uid": 2**64}),
    ("process.user.uid", {"process.user.uid": "0"}), ("process.user.uid", {"process.user.uid": 0.5}),
    ("process.user.gid", {"process.user.gid": 2**32 + 1000}), ("process.user.gid", {"process.user.gid": 2**32 - 1}),
    ("process.user.additionalGids", {"process.user.additionalGids": [5, 2**32 + 5]}),
    ("process.user.additionalGids", {"process.user.additionalGids": [2**32 - 1]}), ("process.user.umask", {"process.user.umask": 0o10000}),
    ("process.rlimits[0].type", {"process.rlimits": [{"type": "RLIMIT_FOO", "soft": 1, "hard": 1}]}),
    ("process.rlimits[0].soft", {"process.rlimits": [{"type": "RLIMIT_CORE", "soft": 2, "hard": 1}]}),
    ("process.rlimits[1].type", {"process.rlimits": [{"type": "RLIMIT_CORE", "soft": 1, "hard": 1}] * 2}),
    ("process.rlimits[0]", {"process.rlimits": [{"type": "RLIMIT_CORE", "soft": -1, "hard": -1}]}),
    ("process.oomScoreAdj", {"process.oomScoreAdj": 1001}), ("process.oomScoreAdj", {"process.oomScoreAdj": 2**31}),
    ("process.scheduler.policy", {"process.scheduler": {"policy": "SCHED_FAST"}}),
    ("process.scheduler.flags", {"process.scheduler": {"policy": "SCHED_OTHER", "flags": ["SCHED_FLAG_X"]}}),
    ("process.ioPriority.class", {"process.ioPriority": {"class": "X", "priority": 1}}),
    ("process.ioPriority.priority", {"process.ioPriority": {"class": "IOPRIO_CLASS_BE", "priority": 8}}),
    ("process.execCPUAffinity", {"process.execCPUAffinity": {"initial": "0-99999"}}),
    ("process.capabilities.bounding", {"process.capabilities.bounding": "CAP_KILL"}),
    ("hostname", {"hostname": "x" * 65}), ("hostname", {"linux.namespaces": [{"type": "mount"}, {"type": "pid"}]}),
    ("hostname", {"hostname": "a\0b"}), ("domainname", {"domainname": "x" * 65}),
    ("mounts[0].destination", mount(destination="")), ("mounts[0].destination", mount(destination="/a\0b")),
    ("mounts[0]", mount(type="nosuchfs")), ("mounts[0]", mount(type="../tmpfs")), ("mounts[0].type", mount(type="")),
    ("mounts[0]", mount(options=["size=many"])), ("mounts[0].options", mount(options=["idmap"])),
    ("mounts[0]", mount(type="bind", source="/nowhere/at/all")),
    ("mounts[0].options", mount(type="bind", source="/", options=["tmpcopyup"])),
    ("mounts[0]", mount(destination="/bin/busybox")), ("mounts[0]", mount(destination="/bin/busybox/below")),
    ("mounts[0]", mount(uidMappings=FULL_MAP)), ("mounts[0].uidMappings[0].size", mount(uidMappings=[{"size": 0}], gidMappings=FULL_MAP)),
    ("mounts", {"mounts": {"destination": "/x"}}),
    ("hooks.prestart[0].path", {"hooks": {"prestart": [{"path": "bin/true"}]}}),
    ("hooks.poststop[0].timeout", {"hooks": {"poststop": [{"path": "/bin/true", "timeout": 0}]}}),
    ("hooks.createRuntime[0].timeout", {"hooks": {"createRuntime": [{"path": "/bin/true", "timeout": -1}]}}),
    ("createRuntime hook #0", {"hooks": {"createRuntime": [{"path": "/nowhere/at/all"}]}}),
    ("createContainer hook #0", {"hooks": {"createContainer": [{"path": "/bin/false"}]}}),
    ("linux.namespaces[0].type", {"linux.namespaces": [{"type": "net"}], "hostname": ""}),
    ("linux.namespaces[0].type", {"linux.namespaces": [{}], "hostname": ""}),
    ("linux.namespaces[1].type", {"linux.namespaces": [{"type": "mount"}, {"type": "mount"}], "hostname": ""}),
    ("linux.namespaces[0].path", {"linux.namespaces": [{"type": "ipc", "path": "proc/self/ns/ipc"}], "hostname": ""}),
    ("linux.namespaces", {"linux.namespaces": [{"type": "mount"}, {"type": "uts"}, {"type": "ipc", "path": "/nowhere/at/all"}]}),
    ("linux.namespaces", {"linux.namespaces": [{"type": "mount"}, {"type": "uts"}, {"type": "ipc", "path": "/etc/passwd"}]}),
    ("network namespace", {"linux.namespaces": [{"type": "mount"}, {"type": "uts"}, OTHER_KIND]}),
    ("linux.uidMappings", {"linux.uidMappings": FULL_MAP}), ("linux.uidMappings", {"linux.namespaces": USER, "hostname": ""}),
    ("linux.gidMappings", {"linux.namespaces": USER, "hostname": "", "linux.uidMappings": FULL_MAP}),
    *[("linux.uidMappings", {"linux.namespaces": USER, "hostname": "", "linux.gidMappings": FULL_MAP, "linux.uidMappings": bad})
      for bad in (
        [{"containerID": 0, "hostID": 0, "size": 0}], [{"containerID": 0, "hostID": 2**32 - 2, "size": 2}],
        [{"containerID": 2**32, "hostID": 0, "size": 1}], [{"containerID": 0, "hostID": 0, "size": 2**32 + 1}],
        [{"containerID": 0, "hostID": 0, "size": 10}, {"containerID": 5, "hostID": 100, "size": 10}],
        [{"containerID": 0, "hostID": -1, "size": 1}], [{"containerID": n, "hostID": n, "size": 1} for n in range(341)])],
    ("linux.timeOffsets", {"linux.timeOffsets": {"monotonic": {"secs": 1}}}),
    ("linux.timeOffsets", {"linux.timeOffsets": {"realtime": {"secs": 1}}}),
    ("linux.devices[0].path", device(path="dev/x")), ("linux.devices[0].path", device(path="/dev/../../x")),
    ("linux.devices[0].path", device(path="")), ("linux.devices[0].type", device(type="x")),
    ("linux.devices[0].major", device(major=2**32 + 1)), ("linux.devices[0].minor", device(minor=-1)),
    ("linux.devices[0].uid", device(uid=2**32)), ("linux.devices[0].fileMode", device(fileMode=-1)),
    ("linux.sysctl.kernel.core_pattern", {"linux.sysctl": {"kernel.core_pattern": CORE_PATTERN}}),
    ("linux.sysctl.net/../kernel/core_pattern", {"linux.sysctl": {"net/../kernel/core_pattern": CORE_PATTERN}}),
    ("linux.sysctl./proc/sys/kernel/core_pattern", {"linux.sysctl": {"/proc/sys/kernel/core_pattern": CORE_PATTERN}}),
    ("linux.sysctl.kernel.hostname", {"linux.sysctl": {"kernel.hostname": "other"}}),
    ("linux.sysctl.kernel.domainname", {"linux.sysctl": {"kernel.domainname": "other"}, "domainname": "one"}),
    ("linux.sysctl.net.ipv4.no_such", {"linux.sysctl": {"net.ipv4.no_such": "1"}}),
    ("linux.sysctl.net.ipv4.ip_forward", {"linux.sysctl": {"net.ipv4.ip_forward": "many"}}),
    ("linux.sysctl.net.ipv4.ip_default_ttl",
     {"linux.sysctl": {"net.ipv4.ip_default_ttl": TTL}, "linux.namespaces": [{"type": "mount"}, {"type": "uts"}]}),
    ("linux.seccomp.defaultAction", {"linux.seccomp": {"defaultAction": "SCMP_ACT_NONE"}}),
    ("linux.seccomp.syscalls[0].action", seccomp("DENY")), ("linux.seccomp.syscalls[0].names", seccomp(names=[])),
    ("linux.seccomp.syscalls[0].args", seccomp(args=[{"index": 6, "value": 1, "op": "SCMP_CMP_EQ"}])),
    ("linux.seccomp.syscalls[0].args", seccomp(args=[{"index": 0, "value": 1, "op": "SCMP_CMP_X"}])),
    ("linux.seccomp.architectures", seccomp(architectures=["SCMP_ARCH_PDP11"])), ("linux.seccomp.flags", seccomp(flags=["X"])),
    ("linux.seccomp.listenerPath", seccomp("SCMP_ACT_NOTIFY")), ("linux.seccomp.syscalls[0].names[1]", seccomp(names=["mkdir", "mkdri"])),
    ("linux.seccomp: SCMP_ACT_NOTIFY cannot be used for the write syscall", seccomp("SCMP_ACT_NOTIFY", names=["write"])),
    ("linux.maskedPaths[0]", {"linux.maskedPaths": ["proc/kcore"]}), ("linux.maskedPaths[0]", {"linux.maskedPaths": ["/a\0b"]}),
    ("linux.readonlyPaths[0]", {"linux.readonlyPaths": [""]}),
    ("linux.maskedPaths", {"linux.namespaces": [{"type": "uts"}, {"type": "pid"}]}),
    ("linux.rootfsPropagation", {"linux.rootfsPropagation": "public"}),
    ("linux.cgroupsPath", {"linux.cgroupsPath": "/{name}/../../x"}), ("linux.cgroupsPath", {"linux.cgroupsPath": ".."}),
    ("linux.cgroupsPath", {"linux.cgroupsPath": "/{name}\0"}), ("cgroup", {"linux.cgroupsPath": "/"}),
    ("linux.personality.domain", {"linux.personality": {"domain": "BSD"}}),
    ("linux.personality.flags", {"linux.personality": {"domain": "LINUX", "flags": ["X"]}}),
    ("linux.memoryPolicy.mode", {"linux.memoryPolicy": {"mode": "MPOL_NONE"}}),
    ("linux.memoryPolicy.flags", {"linux.memoryPolicy": {"mode": "MPOL_BIND", "nodes": "0", "flags": ["X"]}}),
    ("linux.memoryPolicy.nodes", {"linux.memoryPolicy": {"mode": "MPOL_BIND", "nodes": "0-99"}}),
    ("mounts[0].destination", mount(destination="/proc")), ("mounts[0].destination", mount(destination="/proc/sys")),
    ("linux.intelRdt", {"linux.intelRdt": {}}), ("linux.netDevices", {"linux.netDevices": {"eth0": {}}}),
    ("linux.resources.memory.limit", {"linux.resources.memory": {"limit": -2}}),
    ("linux.resources.memory.limit", {"linux.resources.memory": {"limit": 2**63}}),
    ("linux.resources.memory.limit", {"linux.resources.memory": {"limit": "1g"}}),
    ("linux.resources.memory.swap", {"linux.resources.memory": {"limit": 2**30, "swap": -5}}),
    ("linux.resources.memory.reservation", {"linux.resources.memory": {"reservation": -2}}),
    ("linux.resources.memory.swappiness", {"linux.resources.memory": {"swappiness": 101}}),
    ("linux.resources.memory.swappiness", {"linux.resources.memory": {"swappiness": -1}}),
    ("linux.resources.cpu.shares", {"linux.resources.cpu": {"shares": -1}}),
    ("linux.resources.cpu.period", {"linux.resources.cpu": {"period": -1}}),
    ("linux.resources.cpu.quota", {"linux.resources.cpu": {"quota": -2}}),
    ("linux.resources.cpu.cpus", {"linux.resources.cpu": {"cpus": "0-9999"}}),
    ("linux.resources.cpu.mems", {"linux.resources.cpu": {"mems": "9" * 5000}}),
    ("linux.resources.blockIO.weight", {"linux.resources.blockIO": {"weight": 5}}),
    ("linux.resources.cpu.realtimeRuntime", {"linux.resources.cpu": {"realtimeRuntime": -1}}),
    ("linux.resources.cpu.idle", {"linux.resources.cpu": {"idle": 7}}),
    ("linux.resources.rdma", {"linux.resources.rdma": {"a b": {"hcaHandles": 1}}}),
    ("linux.resources.hugepageLimits", {"linux.resources.hugepageLimits": [{"pageSize": "../../x", "limit": 1}]}),
    ("linux.resources.devices[0].type", {"linux.resources.devices": [{"allow": True, "type": "x", "access": "r"}]}),
    ("linux.resources.devices[0].access", {"linux.resources.devices": [{"allow": True, "type": "c", "access": "rwx"}]}),
    ("linux.resources.devices[0].major",
     {"linux.resources.devices": [{"allow": True, "type": "c", "major": 2**32 + 1, "minor": 8, "access": "rw"}]}),
    ("linux.resources.unified", {"linux.resources.unified": {"../memory.max": "1"}}),
    ("linux.resources.unified", {"linux.resources.unified": {"a/b": "1"}}),
    ("linux.resources.pids.limit", {"linux.resources.pids": {"limit": 2**63}}),
]


# What only the kernel can judge, when the namespaces are there and the hooks of their creation have run, and hooks that fail.
LATE = ("createRuntime hook #0", "createContainer hook #0", "linux.sysctl.net.ipv4.no_such", "linux.sysctl.net.ipv4.ip_forward")
# What is seen only as the mounts are made, of what is there by then.
MOUNTS = ({"process.cwd": "/bin/busybox"}, mount(type="nosuchfs"), mount(type="../tmpfs"), mount(options=["size=many"]),
          mount(type="bind", source="/nowhere/at/all"), mount(destination="/bin/busybox"), mount(destination="/bin/busybox/below"))


def put(config: dict, field: str, value):
    *path, last = field.split(".")
    for part in path:
        config = config[part]
    if value is MISSING:
        del config[last]
    else:
        config[last] = value


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """A runtime and a bundle that all the refusals share, so that the first thing each of them leaves would be seen."""
    folder = tmp_path_factory.mktemp("corten-t-bad")
    folder.chmod(0o755)
    runtime = Runtime(RUNTIME, folder / "state")
    yield runtime, Bundle(folder / "bundle")
    runtime.clean()


def nothing_is_left(runtime, bundle, name):
    assert not [entry for entry in (os.listdir(runtime.root) if runtime.root.exists() else []) if entry != ".seccomp"]
    assert not [path for path in host.cgroups() if name in path]
    assert not [mounted for mounted in host.mounts() if str(bundle.path) in mounted]
    assert not [pid for pid in os.listdir("/proc") if pid.isdigit() and name in command_line(pid)]


def command_line(pid) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_text(errors="replace")
    return ""


@pytest.mark.parametrize("field,change", INVALID, ids=[f"{i}-{field}" for i, (field, _) in enumerate(INVALID)])
def test_configuration_that_makes_no_sense_is_refused_with_the_fields_name(plain, name, field, change):
    runtime, bundle = plain
    intact = json.loads(json.dumps(bundle.config))
    marker, before = bundle.path / "hooked", sorted(bundle.root.rglob("*"))
    marker.unlink(missing_ok=True)
    bundle.config["hooks"] = {"createRuntime": [{"path": "/bin/sh", "args": ["sh", "-c", f"touch {marker}"]}]}
    try:
        for key, value in change.items():
            put(bundle.config, key, value.replace("{name}", name) if isinstance(value, str) else value)
        bundle.save()
        done = runtime.run("run", "--bundle", bundle.path, name)
    finally:
        bundle.config = intact
    assert done.code == 1 and field in message(done) and done.out == "", repr(done)
    nothing_is_left(runtime, bundle, name)
    if field not in LATE and change not in MOUNTS:
        assert not marker.exists() and sorted(bundle.root.rglob("*")) == before


TEXTS = {"nothing": "", "cut": '{"ociVersion": "1.0.2", "process": {', "a list": "[]", "a word": '"config"', "null": "null",
         "trailing": '{"ociVersion": "1.0.2"} {}', "not UTF-8": '{"ociVersion": "\udcff"}', "deep": "[" * 200_000}


@pytest.mark.parametrize("text", TEXTS)
def test_text_that_is_no_configuration_is_refused(plain, name, text):
    """A hundred thousand brackets are an error too and no overflow of the stack."""
    runtime, bundle = plain
    (bundle.path / "config.json").write_bytes(TEXTS[text].encode(errors="surrogateescape"))
    done = runtime.run("run", "--bundle", bundle.path, name)
    assert done.code == 1 and len(message(done)) < 500, repr(done)
    nothing_is_left(runtime, bundle, name)
