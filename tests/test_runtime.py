"""corten-runtime on its own: runc's commands, options, outputs and exit codes."""
import json
import os
import subprocess
from pathlib import Path

import pytest

from support.bundles import RUNTIME, Bundle, Runtime
from support.wait import eventually

pytestmark = pytest.mark.corten_only


@pytest.fixture
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("corten-t-rt")
    made.chmod(0o755)
    yield made


@pytest.fixture
def runtime(folder):
    ours = Runtime(RUNTIME, folder / "state")
    yield ours
    ours.clean()


@pytest.fixture
def bundle(folder):
    return Bundle(folder / "bundle")


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
