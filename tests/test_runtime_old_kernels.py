"""Kernels that lack the younger system calls: each answers ENOSYS, and containers are the same."""
import sys

import pytest

from support import engines, old_kernel
from support.bundles import RUNTIME, Runtime
from support.wait import eventually

pytestmark = pytest.mark.corten_only
CALLS = ["mount_setattr", "openat2", "close_range"]
ALL = ",".join(CALLS)


def prefix(calls):
    return (sys.executable, old_kernel.__file__, calls)


@pytest.fixture(params=[*CALLS, ALL])
def old(request, folder):
    runtime = Runtime(RUNTIME, folder / "state", prefix(request.param))
    yield runtime
    runtime.clean()


def test_life_of_a_container(old, bundle, folder):
    (folder / "shown").mkdir()
    bundle.mount("/shown", folder / "shown", options=("rbind", "ro", "nosuid", "noexec"))
    bundle.config["root"]["readonly"] = True
    old.start("old", bundle.shell("sleep 100"))
    mounts = {line.split()[4]: set(line.split()[5].split(",")) for line in old.ok("exec", "old", "cat", "/proc/self/mountinfo").splitlines()}
    assert {"ro", "nosuid", "noexec"} <= mounts["/shown"]
    assert "ro" in mounts["/"] and "ro" in mounts["/proc/sys"] and "ro" in mounts["/proc/timer_list"]
    assert {"nosuid", "noexec"} <= mounts["/dev/pts"]
    assert old.run("exec", "old", "touch", "/shown/x").code != 0
    assert old.run("exec", "old", "sh", "-c", "echo 1 > /proc/sys/kernel/core_pattern").code != 0
    assert set(old.ok("exec", "old", "ls", "/proc/self/fd").split()) == {"0", "1", "2", "3"}  # the last is that of ls
    old.ok("kill", "old", "KILL")
    eventually(lambda: old.ok("list", "-q") == "old\n" and old.run("delete", "old").code == 0, "deleted")


@pytest.mark.parametrize("call", ["mount_setattr", ALL])
def test_read_only_holds_for_what_is_mounted_below(call, bundle, folder):
    runtime = Runtime(RUNTIME, folder / "state", ("unshare", "-m", "sh", "-c", 'mkdir -p "$0/in ner" && mount -t tmpfs t "$0/in ner" && exec "$@"',
                                                  folder / "tree", *prefix(call)))
    bundle.mount("/tree", folder / "tree", options=("rbind", "rro"))
    assert "ead-only" in runtime.run("run", "--bundle", bundle.shell("touch '/tree/in ner/x' 2>&1").path, "rro").out


def test_id_mapped_mount_is_refused_by_name(bundle, folder):
    runtime = Runtime(RUNTIME, folder / "state", prefix("mount_setattr"))
    bundle.mount("/shown", folder, options=("bind",))
    mapping = [{"containerID": 0, "hostID": 1000, "size": 1}]
    bundle.config["mounts"][-1].update(uidMappings=mapping, gidMappings=mapping)
    done = runtime.run("run", "--bundle", bundle.save().path, "mapped")
    assert done.code != 0 and "id-mapped mounts need Linux 5.12" in done.err


def test_links_of_the_image_stay_inside(old, bundle, folder):
    outside = folder / "outside"
    outside.mkdir()
    (bundle.root / "out").symlink_to("../../../.." + str(outside))
    bundle.mount("/out/made", folder, options=("bind",))
    old.output("inside", bundle.save("true"))
    assert list(outside.iterdir()) == [] and (bundle.root / str(outside).lstrip("/") / "made").is_dir()


def test_default_container_of_the_engine(box_reference):
    own = engines.Daemon("old-kernel", prefix=prefix(ALL))
    own.start()
    try:
        engines.pull(own, box_reference, engines.BOX)
        docker = own.client("corten")
        assert docker.ok("run", "--rm", engines.BOX, "sh", "-c", "echo $(id -u); grep -c ' /proc/sys .*ro,' /proc/self/mountinfo") == "0\n1"
        docker.ok("run", "-d", "--name", "old", engines.BOX, "sleep", "100")
        assert docker.ok("exec", "old", "echo", "in") == "in"
        docker.ok("rm", "-f", "old")
    finally:
        own.stop()
