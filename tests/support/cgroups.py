"""A process's cgroup files, wherever this machine keeps them: v1, v2 or both."""
from pathlib import Path

import pytest

V2_NAMES = {  # v1 file → (v2 file, how to read it)
    "memory.limit_in_bytes": "memory.max",
    "pids.max": "pids.max",
    "cpuset.cpus": "cpuset.cpus",
    "cpuset.mems": "cpuset.mems",
}


def mounts() -> dict:
    """Controller name → mount point; the unified hierarchy has the name ""."""
    found = {}
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        left, _, right = line.partition(" - ")
        kind, _, options = right.split(" ", 2)
        if kind == "cgroup2":
            found[""] = Path(left.split()[4])
        elif kind == "cgroup":
            for option in options.split(","):
                found[option] = Path(left.split()[4])
    return found


def is_v2() -> bool:
    return set(mounts()) == {""}


def on_v2() -> list:
    """The controllers that the unified hierarchy has."""
    return (mounts()[""] / "cgroup.controllers").read_text().split() if "" in mounts() else []


def paths(pid: int) -> dict:
    """Controller → directory of a process on the host, for every hierarchy."""
    where, found = mounts(), {}
    for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        for controller in controllers.split(","):
            if controller in where:
                found[controller] = where[controller] / path.lstrip("/")
    return found


def read(pid: int, controller: str, name: str) -> str:
    """A control file's content; the test is skipped where the kernel has no such file."""
    if is_v2():
        folder, name = paths(pid)[""], V2_NAMES.get(name, name)
    else:
        if controller not in paths(pid):
            pytest.skip(f"no {controller} controller here")
        folder = paths(pid)[controller]
    if not (folder / name).exists():
        pytest.skip(f"this kernel has no {name}")
    return (folder / name).read_text().strip()
