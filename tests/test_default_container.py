"""The container that a plain `run` makes is Docker's, in every detail that a program inside can see.

The expected facts stand in data/default-container.json. When $DOCKER_HOST_PEER names a real Docker,
the same inspection runs there too, and the two must agree to the letter.
"""
import json
import os
import re
from pathlib import Path

import pytest
from support import engines, images
from support.clients import Client, find_docker
from support.engines import BOX
from support.http import Api

DATA = Path(__file__).parent / "data"
SCRIPT = (DATA / "inspect-container.sh").read_text()
EXPECTED = json.loads((DATA / "default-container.json").read_text())


def sections(text: str) -> dict:
    found = {}
    for part in text.split("## ")[1:]:
        name, _, body = part.partition("\n")
        found[name] = body.splitlines()
    return found


def mounts(lines) -> dict:
    """Mount point → (type, options), the last mount on a point winning; flags sorted, sizes kept."""
    found = {}
    for line in lines:
        left, _, right = line.partition(" - ")
        _, _, _, root, point, options, *propagation = left.split()
        kind, _, super_options = right.split(" ", 2)
        source = "*" if root != "/" and point.startswith("/etc/") else kind
        sizes = [o for o in super_options.split(",") if re.match(r"size=|mode=|gid=|ptmxmode=", o)]
        found[point] = {"type": source, "options": set(options.split(",")), "super": sorted(sizes), "propagation": propagation}
    return found


def facts(text: str, hostname: str, address: str) -> dict:
    """The script's output as comparable values; what differs from container to container is named, not shown."""
    def plain(line):
        return line.replace(hostname, "<hostname>").replace(address, "<address>")
    def pairs(name, separator=r"\s+"):
        return dict(re.split(separator, line, maxsplit=1) for line in raw[name] if re.search(separator, line))
    raw = sections(text)
    process = raw["process"]
    words = process[2].split()
    return {
        "status": {k: v.strip() for k, v in pairs("status", r":\s*").items()},
        "ids": raw["ids"],
        "mounts": mounts(raw["mounts"]),
        "devices": pairs("devices"),
        "sysctls": pairs("sysctls"),
        "environment": {k: plain(v) for k, v in pairs("environment", "=").items()},
        "hosts": [plain(line) for line in raw["hosts"]],
        "hostname": [plain(line) for line in raw["hostname"]],
        "masked": raw["masked"],
        "readonly": dict(line.rsplit(" ", 1) for line in raw["readonly"]),
        "process": {**dict((line.split() + [""])[:2] for line in process[:2]), **dict(zip(words[::2], words[1::2]))},
        "descriptors": raw["descriptors"],
        "root": sorted(raw["root"]),
        "namespaces": raw["namespaces"],
        "limits": raw["limits"],
        "syscalls": dict(line.rsplit(" ", 1) for line in raw["syscalls"]),
    }


def inspected(client: Client, *flags) -> dict:
    name = "inspected"
    client.ok("create", "--name", name, *flags, BOX, "sh", "-c", SCRIPT)
    try:
        done = client.run("start", "-a", name)
        assert done.code == 0, done
        address = re.findall(r"([\d.]+)\t[0-9a-f]{12}$", done.out, re.M)
        hostname = client.inspect(name, "Config.Hostname")
        return facts(done.out, hostname, address[0] if address else "<none>")
    finally:
        client.ok("rm", "-f", name)


@pytest.fixture(scope="module")
def default(session_engine):
    client = session_engine.client("docker" if find_docker() else "corten")
    return inspected(client)


@pytest.mark.parametrize("section", ["status", "sysctls", "environment", "process", "syscalls"])
def test_values(default, section):
    wrong = {k: (v, default[section].get(k)) for k, v in EXPECTED[section].items() if default[section].get(k) != v}
    assert not wrong, f"(expected, found): {wrong}"


def test_environment_has_nothing_else(default):
    assert set(default["environment"]) == set(EXPECTED["environment"])


@pytest.mark.parametrize("point", EXPECTED["mounts"])
def test_mounts(default, point):
    kind, *flags = EXPECTED["mounts"][point]
    if point not in default["mounts"]:
        assert default["readonly"].get(point) == "absent" or not os.path.exists(point), f"nothing is mounted on {point}"
        pytest.skip(f"this kernel has no {point}")
    found = default["mounts"][point]
    assert kind in ("*", found["type"]) and set(flags) <= found["options"], found


def test_mount_sizes(default):
    assert "size=65536k" in default["mounts"]["/dev"]["super"] and "mode=755" in default["mounts"]["/dev"]["super"]
    assert "size=65536k" in default["mounts"]["/dev/shm"]["super"]
    assert {"gid=5", "mode=620", "ptmxmode=666"} <= set(default["mounts"]["/dev/pts"]["super"])


def test_nothing_else_is_mounted(default):
    allowed = r"/sys/fs/cgroup(/.*)?|/proc/(acpi|asound|interrupts|kcore|keys|latency_stats|sched_debug|scsi|timer_list|timer_stats)|/sys/(devices/.*|firmware)"
    extra = [p for p in default["mounts"] if p not in EXPECTED["mounts"] and not re.fullmatch(allowed, p)]
    assert not extra


def test_no_mount_is_shared_with_the_host(default):
    shared = {p: m["propagation"] for p, m in default["mounts"].items() if any("shared" in x or "master" in x for x in m["propagation"])}
    assert not shared


def test_devices(default):
    expected = dict(EXPECTED["devices"])
    if "/proc/kcore absent" in default["masked"]:
        del expected["core"]
    assert default["devices"] == expected


def test_signals_are_as_after_a_boot(session_engine):
    status = session_engine.client("docker").ok("run", "--rm", BOX, "cat", "/proc/self/status")
    assert re.findall(r"Sig(?:Blk|Ign|Cgt):\s+(\w+)", status) == ["0" * 16] * 3


def test_hosts_and_hostname(default):
    assert default["hosts"] == EXPECTED["hosts"] and default["hostname"] == ["<hostname>"]


def test_masked_paths(default):
    wrong = [line for line in default["masked"] if not re.fullmatch(r"\S+ (dir 0|file 0|absent)", line)]
    assert not wrong and len(default["masked"]) == 12


def test_read_only_paths(default):
    wrong = {k: v for k, v in default["readonly"].items() if v not in (EXPECTED["readonly"][k], "absent")}
    assert not wrong


def test_no_descriptor_leaks_in(default):
    extra = set(default["descriptors"]) - set(EXPECTED["descriptors"])
    # The shell that runs the script may hold the script itself.
    assert extra <= {"10"}, extra


def test_dockerenv_marks_the_root(default):
    assert ".dockerenv" in default["root"]


# --- against a real Docker -----------------------------------------------------------------------

@pytest.fixture(scope="module")
def peer(box_tar, tmp_path_factory):
    host = os.environ.get("DOCKER_HOST_PEER")
    if not host or engines.KIND == "docker-oracle":
        pytest.skip("DOCKER_HOST_PEER names no Docker to compare with")
    client = Client("docker", find_docker(), host, tmp_path_factory.mktemp("peer"))
    archive = images.docker_archive(f"{BOX}:latest", images.image([box_tar]), [box_tar])
    loaded = Api(host.removeprefix("unix://")).post("/images/load", archive, headers={"Content-Type": "application/x-tar"}, timeout=120)
    assert loaded.status == 200, loaded
    return client


# Ours are masked by the host's own null device and an empty tmpfs that nobody can write to.
MASKED = re.compile(r"/proc/(acpi|asound|interrupts|kcore|keys|latency_stats|sched_debug|scsi|timer_list|timer_stats)"
                    r"|/sys/(firmware|devices/virtual/powercap)")


def comparable(found: dict, flags) -> dict:
    """What must be the same in both: without what belongs to one container or to the host's moment."""
    own = {"network": "hosts hostname", "pid": "status process descriptors environment limits"}
    for flag, sections in own.items():
        if flags[:2] == [f"--{flag}", "host"]:
            found.update(dict.fromkeys(sections.split(), None))
    if flags[:2] == ["--network", "host"]:
        found["sysctls"] = None
        found["mounts"].pop("/etc/hosts", None)  # a host may have none
    else:
        found["sysctls"].pop("kernel/hostname")
    found["mounts"] = {point: mount for point, mount in found["mounts"].items() if not MASKED.fullmatch(point)}
    for mount in found["mounts"].values():
        mount["options"] = sorted(mount["options"])
        # A slave of a mount that is shared, and private where the host's is: each has its own host.
        mount["propagation"] = [word for word in mount["propagation"] if not word.startswith("master:")]
    # Between read-only hierarchies nothing may be made either; runc 1.3 leaves that writable.
    if "--privileged" not in flags:
        found["mounts"].get("/sys/fs/cgroup", {}).pop("options", None)
    found["hosts"] = found["hosts"] and [re.sub(r"^\d+\.\d+\.\d+\.\d+\t(?!localhost)", "<address>\t", line) for line in found["hosts"]]
    return found


@pytest.mark.parametrize("flags", [
    [], ["--privileged"], ["--network", "none"], ["--network", "host"], ["--read-only"], ["-u", "alice"], ["--cap-drop", "ALL", "--cap-add", "NET_ADMIN"],
    ["--security-opt", "no-new-privileges"], ["--security-opt", "seccomp=unconfined"], ["--security-opt", "systempaths=unconfined"],
    ["--init"], ["-h", "host.example.org"], ["--ipc", "host"], ["--tmpfs", "/x"], ["--shm-size", "1m"], ["--ulimit", "nofile=100:200"],
    ["--pid", "host"], ["--uts", "host"], ["-w", "/tmp"], ["-v", "/vol"], ["--device", "/dev/loop-control"],
], ids=lambda flags: " ".join(flags) or "default")
def test_same_as_a_real_docker(session_engine, peer, flags):
    ours, theirs = (comparable(inspected(client, *flags), flags) for client in (session_engine.client("docker"), peer))
    different = {}
    for section in ours:
        if ours[section] != theirs[section]:
            different[section] = difference(ours[section], theirs[section])
    assert not different, json.dumps(different, indent=1, default=str)


def difference(ours, theirs):
    if isinstance(ours, dict) and isinstance(theirs, dict):
        return {k: {"ours": ours.get(k), "docker's": theirs.get(k)} for k in {*ours, *theirs} if ours.get(k) != theirs.get(k)}
    return {"ours": ours, "docker's": theirs}
