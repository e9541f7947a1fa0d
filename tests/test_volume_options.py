"""Volumes that stand for something else, and limits of the space that volumes and containers take."""
import os
import subprocess

import pytest
from support import disks
from support.engines import BOX, Daemon, pull


# --- options of the local driver -------------------------------------------------------------------

def mounted_on(path) -> bool:
    return any(line.split()[4] == str(path) for line in open("/proc/self/mountinfo"))


def test_a_tmpfs_volume_lives_as_long_as_someone_uses_it(cli, engine):
    cli.ok("volume", "create", "-o", "type=tmpfs", "-o", "device=tmpfs", "-o", "o=size=1m,mode=1770,noexec", "fast")
    cli.ok("run", "-d", "--name", "first", "-v", "fast:/data", BOX, "sleep", "600")
    point = cli.json("volume", "inspect", "fast")[0]["Mountpoint"]
    assert "tmpfs /data" in cli.ok("exec", "first", "grep", " /data ", "/proc/mounts")
    cli.ok("exec", "first", "sh", "-c", "echo shared > /data/word")
    cli.ok("run", "-d", "--name", "second", "-v", "fast:/data", BOX, "sleep", "600")
    assert cli.ok("exec", "second", "cat", "/data/word") == "shared"
    assert cli.ok("exec", "second", "stat", "-c", "%a", "/data") == "1770"
    cli.fails("exec", "second", "sh", "-c", "head -c 2000000 /dev/zero > /data/big", says="(?i)no space left|I/O error")
    cli.ok("rm", "-f", "first")
    assert cli.ok("exec", "second", "cat", "/data/word") == "shared"
    cli.ok("rm", "-f", "second")
    assert not mounted_on(point), "nobody uses the volume, and it is mounted"
    cli.fails("run", "--rm", "-v", "fast:/data", BOX, "cat", "/data/word", says="No such file")


def test_a_volume_of_a_host_directory_keeps_it(cli, tmp_path):
    """Removing the volume must never remove what it stood for."""
    folder = tmp_path / "home"
    folder.mkdir()
    (folder / "kept").write_text("host")
    cli.ok("volume", "create", "-o", "type=none", "-o", f"device={folder}", "-o", "o=bind,ro", "home")
    assert cli.json("volume", "inspect", "home")[0]["Options"] == {"type": "none", "device": str(folder), "o": "bind,ro"}
    assert cli.ok("run", "--rm", "-v", "home:/h", BOX, "cat", "/h/kept") == "host"
    cli.fails("run", "--rm", "-v", "home:/h", BOX, "touch", "/h/new", says="(?i)read-only")
    cli.ok("create", "--name", "stopped", "-v", "home:/h", BOX)
    cli.ok("cp", "stopped:/h/kept", str(tmp_path / "copy"))
    assert (tmp_path / "copy").read_text() == "host"
    cli.ok("rm", "stopped")
    cli.ok("volume", "rm", "home")
    assert (folder / "kept").read_text() == "host"


def test_options_with_mount_make_the_volume(cli):
    cli.ok("run", "--rm", "--mount", "type=volume,src=made,dst=/d,volume-label=a=b,volume-opt=type=tmpfs,volume-opt=device=tmpfs", BOX,
           "grep", "tmpfs /d ", "/proc/mounts")
    made = cli.json("volume", "inspect", "made")[0]
    assert made["Options"] == {"type": "tmpfs", "device": "tmpfs"} and made["Labels"] == {"a": "b"}


@pytest.mark.parametrize("options, says", [
    (["colour=red"], "invalid option"), (["type=tmpfs"], 'missing required option: "device"'),
    (["device=tmpfs"], 'missing required option: "type"'), (["size=lots"], "size"), (["o=bind"], "missing required option"),
])
def test_bad_options_make_no_volume(cli, options, says):
    cli.fails("volume", "create", *[word for option in options for word in ("-o", option)], "bad", code=1, says=says)
    cli.fails("volume", "inspect", "bad", code=1)


def test_a_device_that_cannot_be_mounted_fails_the_start_and_names_it(cli):
    cli.ok("volume", "create", "-o", "type=ext4", "-o", "device=/nonexistent", "broken")
    cli.ok("create", "--name", "broken-c", "-v", "broken:/d", BOX)
    done = cli.fails("start", "broken-c", says="failed to mount local volume")
    assert "/nonexistent" in done.err
    assert cli.ok("ps", "-aq", "--filter", "status=created", "--filter", "name=broken-c")


@pytest.mark.corten_only
def test_a_mounted_volume_outlives_the_daemon_and_is_let_go_by_the_next(tmp_path, box_reference):
    daemon = Daemon("volumes", work=tmp_path).start()
    try:
        pull(daemon, box_reference, BOX)
        docker = daemon.client("docker")
        docker.ok("volume", "create", "-o", "type=tmpfs", "-o", "device=tmpfs", "fast")
        point = docker.json("volume", "inspect", "fast")[0]["Mountpoint"]
        docker.ok("run", "-d", "--name", "user", "-v", "fast:/data", BOX, "sh", "-c", "echo kept > /data/word; sleep 600")
        daemon.restart("kill")
        assert docker.ok("exec", "user", "cat", "/data/word") == "kept"
        docker.ok("rm", "-f", "user")
        assert not mounted_on(point)
        subprocess.run(["mount", "-t", "tmpfs", "left-by-a-crash", point], check=True)
        daemon.restart("kill")
        assert not mounted_on(point), "a mount that nobody uses stays"
    finally:
        daemon.stop()


@pytest.mark.corten_only
def test_what_the_host_mounts_in_a_volume_later_is_seen_inside_but_not_the_other_way(tmp_path, box_reference):
    """Where the host's mounts are shared, as systemd makes them."""
    daemon = Daemon("volumes", work=tmp_path)
    daemon.data.mkdir()
    subprocess.run(["mount", "--bind", daemon.data, daemon.data], check=True)
    try:
        subprocess.run(["mount", "--make-shared", daemon.data], check=True)
        daemon.start()
        pull(daemon, box_reference, BOX)
        docker = daemon.client("docker")
        docker.ok("run", "-d", "--name", "user", "--cap-add", "SYS_ADMIN", "-v", "vol:/data", BOX, "sleep", "600")
        point = daemon.data / "volumes/vol/_data"
        docker.ok("exec", "user", "mkdir", "/data/later", "/data/inside")
        subprocess.run(["mount", "-t", "tmpfs", "later", point / "later"], check=True)
        (point / "later/word").write_text("host")
        assert docker.ok("exec", "user", "cat", "/data/later/word") == "host"
        docker.run("exec", "user", "mount", "-t", "tmpfs", "inside", "/data/inside")
        assert not mounted_on(point / "inside")
        docker.ok("rm", "-f", "user")
        subprocess.run(["umount", point / "later"], check=True)
    finally:
        daemon.stop()
        subprocess.run(["umount", "-l", daemon.data], check=False)


# --- limits of space -----------------------------------------------------------------------------

@pytest.mark.corten_only
@pytest.mark.parametrize("option, says", [("size=lots", "size"), ("size=0", "more than 0"), ("colour=red", "wanted size=BYTES")])
def test_bad_storage_options(engine, option, says):
    engine.client("docker").fails("create", "--storage-opt", option, BOX, code=1, says=says)


@pytest.mark.corten_only
def test_a_container_with_a_size_is_refused_where_the_disk_keeps_no_project_quotas(engine):
    docker = engine.client("docker")
    done = docker.run("create", "--name", "sized", "--storage-opt", "size=2m", BOX)
    if done.code == 0:
        pytest.skip("this disk keeps project quotas")
    assert "project quotas" in done.err
    docker.fails("inspect", "sized", code=1)


@pytest.mark.corten_only
def test_a_size_is_refused_where_the_disk_keeps_no_project_quotas(engine):
    docker = engine.client("docker")
    done = docker.run("volume", "create", "-o", "size=2m", "small")
    if done.code == 0:
        docker.ok("volume", "rm", "small")
        pytest.skip("this disk keeps project quotas")
    assert "project quotas" in done.err and "prjquota" in done.err
    docker.fails("volume", "inspect", "small", code=1)


# The last of the module: its disk and daemon end before the host is looked at.
@pytest.fixture(scope="module", params=["ext4", "xfs"])
def quota_disk(request, tmp_path_factory):
    """A small disk that enforces project quotas; an xfs has 300 MB at least."""
    megabytes, features = (64, "quota,project") if request.param == "ext4" else (320, "")
    folder = tmp_path_factory.mktemp("corten-t-quota")
    with disks.mounted(folder, megabytes, features=features, options="prjquota", kind=request.param) as point:
        yield point


@pytest.fixture(scope="module")
def limited(quota_disk, box_reference):
    daemon = Daemon("quota")
    daemon.data = quota_disk / "data"
    daemon.start()
    pull(daemon, box_reference, BOX)
    yield daemon
    daemon.stop()


@pytest.mark.corten_only
def test_a_volume_takes_no_more_than_its_size(limited, quota_disk):
    docker = limited.client("docker")
    docker.ok("volume", "create", "-o", "size=2m", "small")
    docker.fails("run", "--rm", "-v", "small:/d", BOX, "sh", "-c", "head -c 3000000 /dev/zero > /d/big", says="(?i)quota|no space|I/O error")
    assert os.path.getsize(quota_disk / "data/volumes/small/_data/big") <= 2 << 20
    docker.ok("run", "--rm", "-v", "small:/d", BOX, "sh", "-c", "rm /d/big && head -c 1000000 /dev/zero > /d/fits")
    docker.ok("run", "--rm", BOX, "sh", "-c", "head -c 3000000 /dev/zero > /elsewhere")
    docker.ok("volume", "rm", "small")


@pytest.mark.corten_only
def test_a_container_takes_no_more_than_its_size(limited):
    docker = limited.client("docker")
    write = "head -c 3000000 /dev/zero > /big; head -c 1000 /dev/zero > /other; stat -c %s /big"
    assert int(docker.ok("run", "--rm", "--storage-opt", "size=2m", BOX, "sh", "-c", write + " 2>/dev/null").split()[-1]) < 3000000
    assert int(docker.ok("run", "--rm", BOX, "sh", "-c", write).split()[-1]) == 3000000
