"""A layer unpacked by us is what GNU tar and umoci make of it, and what it was made from, to the last bit of every file."""
import io
import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from support import images, paths, trees
from support.bundles import need
from support.engines import BOX

pytestmark = pytest.mark.corten_only
# What the engine puts into every container, and so hides of the image.
OURS = ("dev", "proc", "sys", "etc/hosts", "etc/hostname", "etc/resolv.conf", "etc/mtab", ".dockerenv")
CAPABILITY = bytes.fromhex("0100000200200000000000000000000000000000")  # cap_net_raw=ep
SECOND = 10**9


def fill(top: Path):
    """One of everything that a layer can hold, below `top`."""
    def path(name, content=None, mode=0o644, owner=(0, 0), time=1_700_000_000 * SECOND + 123_456_789):
        made = os.fsencode(top) + b"/" + (name if isinstance(name, bytes) else name.encode())
        if content is not None:
            with open(made, "wb") as file:
                file.write(content)
            settle(made, mode, owner, time)
        return made

    def settle(made, mode=None, owner=(0, 0), time=1_700_000_000 * SECOND + 5):
        os.chown(made, *owner, follow_symlinks=False)
        if mode is not None:
            os.chmod(made, mode)
        os.utime(made, ns=(time, time), follow_symlinks=False)

    for mode in (0o000, 0o400, 0o644, 0o755, 0o1644, 0o2755, 0o4755, 0o6711, 0o7777):
        path(f"mode-{mode:o}", b"x", mode)
    for uid, gid in ((1, 2), (1000, 50), (65534, 65534), (2**21 + 3, 2**21 + 5), (2**31 - 1, 2**31 - 2), (2**32 - 2, 2**32 - 3)):
        path(f"owner-{uid}", b"x", 0o6755, (uid, gid))
    for name, time in (("epoch", 0), ("1ns", 1), ("before-1970", -1_000_000_000 * SECOND + 500_000_000),
                       ("all-digits", 1_234_567_890_987_654_321),
                       ("after-2038", 2**33 * SECOND + 1), ("2446", 15_032_385_535 * SECOND + 999_999_999)):
        path(f"time-{name}", b"x", time=time)
    for size in (0, 1, 511, 512, 513, 10240, 1 << 20):
        path(f"size-{size}", os.urandom(size))
    for name, target in (("dangling", "/no/where"), ("up", "../" * 200 + "etc"), ("long", "x" * 4095)):
        os.symlink(target, path(f"link-{name}")), settle(path(f"link-{name}"), owner=(7, 8))
    path("hard-1", b"shared", 0o4711, (3, 4)), os.link(path("hard-1"), path("hard-2")), os.mkdir(path("deep"))
    os.link(path("hard-1"), path("deep/hard-3")), os.symlink("hard-1", path("hard-link-of-a-link")), settle(path("hard-link-of-a-link"))
    os.link(path("hard-link-of-a-link"), path("hard-link-of-a-link-2"), follow_symlinks=False)
    os.mkfifo(path("pipe")), settle(path("pipe"), 0o622, (5, 6))
    for name, kind, device in (("null", 0o020000, (1, 3)), ("block", 0o060000, (7, 200)), ("large", 0o020000, (4095, 1048575))):
        os.mknod(path(f"device-{name}"), kind | 0o600, os.makedev(*device)), settle(path(f"device-{name}"), 0o640, (0, 6))
    for name, value in (("text", b"value"), ("binary", bytes(range(256))), ("zeros", b"\0\0"), ("lines", b"a=b\nc\n"),
                        ("empty", b""), ("large", b"v" * 2000)):
        os.setxattr(path(f"xattr-{name}", b"x"), f"user.{name}", value), settle(path(f"xattr-{name}"))
    os.setxattr(path("capable", b"x", 0o755, (1, 1)), "security.capability", CAPABILITY), settle(path("capable"), 0o755, (0, 0))
    os.setxattr(path("capable"), "security.capability", CAPABILITY)  # a change of owner takes it away
    os.setxattr(path("trusted", b"x"), "trusted.other", b"t"), settle(path("trusted"))
    os.mkdir(path("of-a-folder")), os.setxattr(path("of-a-folder"), "user.folder", b"f"), settle(path("of-a-folder"), 0o3775, (9, 9))
    for name in (b"not-utf-8-\xff\xfe\x80", b"latin-1-\xe9t\xe9", "ünï cödé".encode(), "日本語".encode(),
                 b"new\nline", b"tab\tand\\backslash", b"  spaces  ",
                 b"-dash", b"quote'\"", b"n" * 255, "é".encode() * 127, b"...", b"*?[x]", b".wh", b"wh.", b"\x01\x02\x7f"):
        path(name, b"named")
    with open(path("sparse"), "wb") as file:
        file.write(b"begin"), file.seek(3 << 20), file.write(b"middle"), file.truncate(8 << 20)
    with open(path("only-a-hole"), "wb") as file:
        file.truncate(4 << 20)
    settle(path("sparse")), settle(path("only-a-hole"))
    for folder, mode in (("sticky", 0o1777), ("set-gid", 0o2755), ("closed", 0o000), ("empty", 0o755)):
        os.mkdir(path(folder)), settle(path(folder), mode, (0, 50))
    path("deep/in", b"inside"), settle(path("deep"), 0o711, (1, 2), 999 * SECOND + 1)


def fill_deep(top: Path, levels=30):
    """A path of over 6000 bytes, none of its parts longer than names may be."""
    folder = os.open(top, os.O_RDONLY | os.O_DIRECTORY)
    for level in range(levels):
        name = f"{level:02}-" + "d" * 200
        os.mkdir(name, dir_fd=folder)
        inner = os.open(name, os.O_RDONLY | os.O_DIRECTORY, dir_fd=folder)
        os.close(folder)
        folder = inner
    with open(os.open("at the end", os.O_WRONLY | os.O_CREAT, 0o640, dir_fd=folder), "w") as file:
        file.write("deep")
    os.close(folder)


def gnu_tar(folder: Path, *options, xattrs=True) -> bytes:
    kept = ["--xattrs", "--xattrs-include=*"] if xattrs else []
    return subprocess.run(["tar", "--numeric-owner", *kept, *options, "-C", folder, "-c", "t"], stdout=subprocess.PIPE, check=True).stdout


def gnu_untar(archive: bytes, folder: Path) -> Path:
    folder.mkdir()
    kept = ["--numeric-owner", "--same-owner", "--xattrs", "--xattrs-include=*"]
    subprocess.run(["tar", *kept, "-C", folder, "-xp"], input=archive, check=True)
    return folder


def umoci_unpack(archive: bytes, folder: Path) -> Path:
    images.write_oci_layout(folder / "layout", {"it": images.image([archive], style="oci")})
    subprocess.run([need("umoci"), "raw", "unpack", "--image", f"{folder}/layout:it", folder / "rootfs"], check=True,
                   stderr=subprocess.DEVNULL)
    return folder / "rootfs"


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    made = tmp_path_factory.mktemp("corten-t-unpacked")
    yield made
    subprocess.run(["rm", "-rf", made], check=True)  # Python's own way gives up on long paths


@pytest.fixture(scope="module")
def source(work) -> Path:
    """A folder whose only entry, t, has one of everything in it."""
    (work / "source" / "t").mkdir(parents=True)
    fill(work / "source" / "t")
    return work / "source"


@pytest.fixture(scope="module")
def wanted(source) -> dict:
    return trees.of_folder(source / "t")


@pytest.fixture(scope="module")
def layer(source) -> bytes:
    return gnu_tar(source, "--format=pax")


def root_of(engine, container) -> Path:
    return Path(f"/proc/{engine.host_pid(container)}/root")


@pytest.fixture
def unpacked(docker, engine, registry, box_tar):
    """A function that pulls an image of these layers and starts a container of it; gives its root as the host sees it."""
    def pull(name, *layers, **shape) -> Path:
        reference = registry.push(f"unpacked/{name}", "1", images.image(layers, **shape))
        docker.ok("pull", "-q", reference)
        docker.ok("run", "-d", "--name", name, "--network", "none", reference, "sleep", "600")
        return root_of(engine, name)
    return pull


# --- layers --------------------------------------------------------------------------------------

SPARSE = {"whole": [], "sparse": ["--sparse"],
          "sparse-0.0": ["--sparse", "--sparse-version=0.0"], "sparse-0.1": ["--sparse", "--sparse-version=0.1"]}


@pytest.mark.parametrize("sparse", SPARSE)
def test_everything_a_layer_can_hold(unpacked, source, wanted, box_tar, sparse):
    root = unpacked("everything", box_tar, gnu_tar(source, "--format=pax", *SPARSE[sparse]))
    trees.assert_same(wanted, trees.of_folder(root / "t"))


@pytest.mark.parametrize("sparse", ["whole", "sparse"])
def test_gnu_format(unpacked, source, wanted, box_tar, sparse):
    """It has whole seconds and no extended attributes."""
    root = unpacked("gnu", box_tar, gnu_tar(source, "--format=gnu", *SPARSE[sparse], xattrs=False))
    trees.assert_same(wanted, trees.of_folder(root / "t"), time=lambda time: time // SECOND, xattrs=lambda _: ())


def test_holes_take_no_place(unpacked, source, box_tar):
    """Of what GNU tar marks as holes nothing is written."""
    root = unpacked("holes", box_tar, gnu_tar(source, "--format=pax", "--sparse"))
    for name in ("sparse", "only-a-hole"):
        assert (root / "t" / name).stat().st_blocks <= (source / "t" / name).stat().st_blocks + 16


def test_the_same_as_gnu_tar_and_umoci(unpacked, work, layer, box_tar):
    found = trees.of_folder(unpacked("peers", box_tar, layer) / "t")
    trees.assert_same(trees.of_folder(gnu_untar(layer, work / "by-tar") / "t"), found)
    umoci = trees.of_folder(umoci_unpack(layer, work / "by-umoci") / "t")
    for beyond in ("time-2446", "xattr-empty"):  # what umoci does not know
        del umoci[beyond], found[beyond]
    trees.assert_same(umoci, found)


def test_paths_longer_than_a_path_may_be(unpacked, work, box_tar):
    """Only steps from folder to folder reach them: GNU tar writes such an archive and cannot unpack it."""
    (work / "deep" / "t").mkdir(parents=True)
    fill_deep(work / "deep" / "t")
    root = unpacked("deep", box_tar, gnu_tar(work / "deep", "--format=pax"))
    trees.assert_same(trees.of_folder(work / "deep" / "t"), trees.of_folder(root / "t"))


@pytest.mark.parametrize("peer", [gnu_untar, umoci_unpack], ids=["tar", "umoci"])
def test_debian_is_the_same(unpacked, work, peer):
    archive = images.debian_tar(paths.CACHE)
    found = trees.of_folder(unpacked("debian", archive), OURS)
    wanted = trees.of_folder(peer(archive, work / f"debian-{peer.__name__}"), OURS)
    wanted["etc"] = replace(wanted["etc"], time=found["etc"].time)  # the engine has put files into it
    trees.assert_same(wanted, found)


# --- ways out and in: whole seconds, as Docker writes them, and what belongs to the tree and not to the machine ------------

def seconds(time: int) -> int:
    return time // SECOND


def portable(xattrs: tuple) -> tuple:
    return tuple((name, value) for name, value in xattrs if not name.startswith("trusted."))


WRITTEN = {"time": seconds, "xattrs": portable}


def test_export(cli, unpacked, wanted, layer, box_tar):
    unpacked("exported", box_tar, layer)
    archive = io.BytesIO(cli.run("export", "exported").raw)
    found = {path.removeprefix("t/"): node for path, node in trees.of_tar(archive).items() if path.startswith("t/")}
    trees.assert_same(wanted, renamed(found), **WRITTEN)


def renamed(nodes: dict) -> dict:
    """The other names of files that were listed with a folder before them."""
    return {path: replace(node, names=tuple(n.removeprefix("t/") for n in node.names)) for path, node in nodes.items()}


def test_export_comes_back_by_import(cli, engine, unpacked, wanted, layer, box_tar):
    unpacked("exported", box_tar, layer)
    cli.ok("import", "-c", 'CMD ["sleep", "600"]', "-", "imported:1", input=cli.run("export", "exported").raw)
    cli.ok("run", "-d", "--name", "back", "--network", "none", "imported:1")
    trees.assert_same(wanted, trees.of_folder(root_of(engine, "back") / "t"), **WRITTEN)


def test_copied_out(cli, unpacked, wanted, layer, box_tar):
    unpacked("out", box_tar, layer)
    found = trees.of_tar(io.BytesIO(cli.run("cp", "-a", "out:/t", "-").raw))
    trees.assert_same(wanted, renamed({path.removeprefix("t/"): node for path, node in found.items() if path != "t"}), **WRITTEN)


def test_copied_in_and_committed(cli, engine, wanted, layer):
    cli.ok("create", "--name", "in", BOX)
    cli.ok("cp", "-a", "-", "in:/", input=layer)
    cli.ok("commit", "in", "committed:1")
    cli.ok("run", "-d", "--name", "again", "--network", "none", "committed:1", "sleep", "600")
    trees.assert_same(wanted, trees.of_folder(root_of(engine, "again") / "t"), **WRITTEN)


def test_copied_to_the_host(corten, unpacked, wanted, layer, box_tar, tmp_path):
    unpacked("host", box_tar, layer)
    corten.ok("cp", "-a", "host:/t", tmp_path / "t")
    trees.assert_same(wanted, trees.of_folder(tmp_path / "t"), **WRITTEN)


def test_copied_from_the_host(corten, engine, source, wanted):
    corten.ok("run", "-d", "--name", "from", "--network", "none", BOX, "sleep", "600")
    corten.ok("cp", "-a", source / "t", "from:/")
    trees.assert_same(wanted, trees.of_folder(root_of(engine, "from") / "t"), **WRITTEN)
