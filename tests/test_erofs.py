"""A daemon that keeps layers as EROFS images: its containers see what those of the other driver see, and nothing is lost."""
import os
import subprocess
import tarfile
from pathlib import Path

import pytest
from support import engines, images
from support.own_daemon import corten, docker, with_driver  # noqa: F401
from support.wait import eventually

pytestmark = pytest.mark.corten_only


@pytest.fixture(scope="module")
def daemon(box_reference):
    with with_driver("erofs", box_reference) as own:
        yield own


def layer_images(daemon) -> list:
    return [p for p in (daemon.data / "erofs").glob("*/image") if p.parent.parent.name == "erofs"]


@pytest.fixture
def odd_image(registry):
    """What tars bring: links, whiteouts, an opaque directory, a file twice, names that are no text, holes."""
    low = images.tar([
        *images.busybox_entries(), images.directory("d"), images.text("d/old", "old"), images.text("d/gone", "gone"), images.directory("clear"),
        images.text("clear/hidden", "hidden"), images.text("twice", "first"), images.text("twice", "second"),
        images.hardlink("linked", "twice"), images.symlink("through", "d"), images.text("through/new", "new"),
        images.Entry("caf\udce9", data=b"latin"), images.Entry("suid", data=b"x", mode=0o4755, uid=70_000, xattrs={"user.note": "kept"})])
    high = images.tar([images.whiteout("d/gone"), images.directory("clear"), images.opaque("clear"), images.text("clear/shown", "shown"),
                       *[images.Entry(f"many/{n}", data=bytes([n % 256]) * (n * 37 % 9000)) for n in range(500)]])
    return images.image([low, high], compression="none"), registry.push("odd", "1", images.image([low, high], compression="none"))


def test_info_names_the_driver(daemon, docker):
    assert daemon.api.get("/info").json()["Driver"] == "erofs"
    assert docker.ok("info", "--format", "{{.Driver}}") == "erofs"


def test_no_file_of_a_layer_is_on_the_host(daemon, docker):
    docker.ok("run", "--rm", engines.BOX, "true")
    assert layer_images(daemon)
    assert not list((daemon.data / "erofs").glob("*/diff/bin")), "unpacked"


TREE = "find / -xdev -path /proc -prune -o -path /sys -prune -o -path /dev -prune -o -type f -print0 | sort -z | xargs -0 sha256sum; " \
       "find / -xdev \\( -path /proc -o -path /sys -o -path /dev -o -path /etc/hosts -o -path /etc/hostname -o -path /etc/resolv.conf \\) " \
       "-prune -o -printf '%p %y %m %U %G %l %n %T@ ' \\( -type d -printf '\\n' -o -printf '%s\\n' \\) | sort"


def test_debian_looks_as_with_the_other_driver(daemon, docker, engine, debian, debian_reference):
    engines.pull(daemon, debian_reference)
    run = ["run", "--rm", "--network", "none", "-h", "same", debian_reference, "bash", "-c"]
    ours, theirs = docker.ok(*run, TREE), engine.client("docker").ok(*run, TREE)
    assert len(ours.splitlines()) > 3000

    def steady(text):  # what a container's own start makes is of now
        return [line for line in text.splitlines() if not any(f" {p} " in f" {line}" for p in ("/", "/etc", "/.dockerenv", "/etc/mtab"))
                and not line.endswith(("/etc/hosts", "/etc/hostname", "/etc/resolv.conf"))]
    assert steady(ours) == steady(theirs)


def test_all_files_have_one_device(docker):
    devices = docker.ok("run", "--rm", engines.BOX, "sh", "-c", "touch /new; stat -c %d / /bin /bin/busybox /new /etc | sort -u")
    assert len(devices.splitlines()) == 1


def test_odd_layers_in_a_container(docker, odd_image):
    _, reference = odd_image
    docker.ok("pull", reference)
    seen = docker.ok("run", "--rm", reference, "sh", "-c",
                     "ls clear d; cat twice linked d/new; echo; stat -c '%h %s' twice; stat -c '%a %u' suid; ls / | grep -c ^caf; ls many | wc -l")
    assert seen.split() == ["clear:", "shown", "d:", "new", "old", "secondsecondnew", "2", "6", "4755", "70000", "1", "500"]


def test_layers_are_saved_and_pushed_byte_for_byte(docker, registry, odd_image, tmp_path):
    picture, reference = odd_image
    docker.ok("pull", reference)
    docker.ok("save", "-o", tmp_path / "saved.tar", reference)
    with tarfile.open(tmp_path / "saved.tar") as saved:
        kept = {images.digest_of(saved.extractfile(m).read()) for m in saved.getmembers() if m.isfile()}
    assert {layer.digest for layer in picture.layers} <= kept
    target = f"{registry.address}/odd-again:1"
    docker.ok("tag", reference, target)
    docker.ok("push", target)
    docker.ok("rmi", "-f", target, reference)
    docker.ok("pull", target)
    assert docker.inspect(target, "RootFS.Layers") == [layer.digest for layer in picture.layers]


def test_changes_and_commit(docker, corten, odd_image):
    _, reference = odd_image
    docker.ok("pull", reference)
    docker.ok("run", "--name", "changes", reference, "sh", "-c",
              "echo more >> twice && rm linked && mv many few && chmod 600 suid && rm -r clear && mkdir clear && ln d/old d/older")
    assert docker.ok("diff", "changes").splitlines()[:3] == ["C /clear", "D /clear/shown", "C /d"]
    docker.ok("commit", "changes", "committed:1")
    seen = docker.ok("run", "--rm", "committed:1", "sh", "-c", "cat twice; ls linked many clear; ls few | wc -l; stat -c '%a %u' suid; cat d/older")
    assert "secondmore" in seen and seen.split()[-4:] == ["500", "600", "70000", "old"]
    corten.ok("store", "check")


def test_rmi_frees_everything(daemon, docker, odd_image):
    _, reference = odd_image
    before = {p.parent.name for p in layer_images(daemon)}
    docker.ok("pull", reference)
    docker.ok("run", "--rm", reference, "true")
    assert len(layer_images(daemon)) == len(before) + 2
    docker.ok("rmi", reference)
    eventually(lambda: {p.parent.name for p in layer_images(daemon)} == before, "removal of the layers")
    eventually(lambda: not list((daemon.data / "erofs" / "trash").iterdir()), "an empty trash")


def test_containers_live_on_while_the_daemon_is_killed(daemon, docker):
    docker.ok("run", "-d", "--name", "lives", engines.BOX, "sleep", "600")
    daemon.restart()
    assert docker.ok("exec", "lives", "cat", "/proc/1/cmdline").startswith("sleep")
    assert docker.ok("exec", "lives", "sh", "-c", "wc -c < /bin/busybox") == str(Path("/bin/busybox").stat().st_size)
    assert docker.ok("run", "--rm", engines.BOX, "echo", "another") == "another"


def test_check_finds_a_changed_image_and_repair_mends(daemon, docker, corten, registry):
    mark = os.urandom(8192)
    reference = registry.push("spoilt", "1", images.image([images.tar(images.busybox_entries()), images.tar([images.Entry("mark", data=mark)])]))
    docker.ok("pull", reference)
    assert docker.ok("run", "--rm", reference, "sh", "-c", "sha256sum < /mark").split()[0] == images.digest_of(mark)[7:]
    victim = next(p for p in layer_images(daemon) if mark in p.read_bytes())
    with open(victim, "r+b") as file:
        file.seek(victim.read_bytes().index(mark))
        file.write(b"spoilt")
    assert "layer sha256:" in corten.fails("store", "check", code=1).out
    assert "(mended)" in corten.ok("store", "check", "--repair")
    docker.ok("pull", reference)
    corten.ok("store", "check")
    assert docker.ok("run", "--rm", reference, "sh", "-c", "sha256sum < /mark").split()[0] == images.digest_of(mark)[7:]


def test_another_driver_is_refused(daemon, docker):
    """Layers of one driver are of no use to the other; without a choice the daemon goes on with what is there."""
    daemon.terminate()
    extra, daemon.extra = daemon.extra, ["--storage-driver", "overlay"]
    try:
        with pytest.raises(RuntimeError, match="has images and containers of the storage driver erofs"):
            daemon.start()
        daemon.extra = []
        daemon.start()
        assert daemon.api.get("/info").json()["Driver"] == "erofs"
    finally:
        daemon.extra = extra


def test_no_loop_device_or_mount_stays(daemon, docker):
    docker.ok("run", "--rm", engines.BOX, "true")
    assert str(daemon.data) not in Path("/proc/self/mountinfo").read_text()
    assert str(daemon.data) not in subprocess.run(["losetup", "-a"], stdout=subprocess.PIPE, text=True).stdout
