"""Registries that reset, stall, lie and attack: a clear error, a living daemon, and nothing half kept."""
import json
import os
import re
import subprocess
import tarfile
import threading
import time
import zlib
from pathlib import Path

import pytest
from support import disks, engines, images
from support import registry as registries
from support.engines import BOX
from support.registry import FaultyRegistry
from support.wait import eventually


@pytest.fixture
def picture(box_tar):
    """An image with a layer of its own, so that nothing of it is there before the pull."""
    unique = images.tar([images.text("unique", str(time.monotonic_ns())), images.text("filler", "x" * 300000)])
    return images.image([box_tar, unique])


def refused(client, engine, reference, says, timeout=90):
    """The pull fails with a reason, leaves no image, and the daemon lives."""
    done = client.fails("pull", reference, code=1, says=says, timeout=timeout)
    assert engine.api.alive()
    assert client.ok("images", "-q", reference.rpartition(":")[0]) == ""
    return done


LAYER = "/blobs/"


def blob(picture, n=-1):
    return picture.layers[n].digest.split(":")[1]


@pytest.mark.parametrize("fault, says", [
    (registries.ends_early, "(?i)unexpected EOF|short|truncated|ended|size|closed|incomplete|digest"),
    (registries.flips_a_byte, "(?i)digest|verif|checksum|does not match|filesystem layer"),
    (registries.sends_too_much, "(?i)digest|verif|size|length|does not match|filesystem layer|more"),
    (registries.status(500), "(?i)500|internal|not well|error"),
    (registries.status(404), "(?i)not found|unknown|404|not well"),
    (registries.status(403), "(?i)denied|forbidden|403|not well"),
], ids=["truncated", "wrong digest", "too long", "500", "404", "403"])
def test_bad_layer_and_then_a_good_one(docker, engine, faulty, picture, fault, says):
    reference = faulty.put("broken", "1", picture)
    faulty.faults[blob(picture)] = fault
    refused(docker, engine, reference, says)
    faulty.faults.clear()
    docker.ok("pull", reference)
    assert docker.ok("run", "--rm", reference, "sh", "-c", "wc -c < /filler") == "300000"


@pytest.mark.parametrize("fault", [registries.resets, registries.ends_early, registries.status(503)], ids=["reset", "early end", "503"])
def test_a_hiccup_is_retried(docker, engine, faulty, picture, fault):
    if not engine.is_corten and fault not in (registries.resets, registries.ends_early):
        pytest.skip("the peer does not retry a status")
    reference = faulty.put("hiccup", "1", picture)
    faulty.faults[blob(picture)] = registries.first(1, fault)
    docker.ok("pull", reference, timeout=120)
    assert docker.ok("run", "--rm", reference, "echo", "whole") == "whole"


@pytest.mark.corten_only
def test_a_broken_download_is_resumed(docker, engine, faulty, box_tar):
    """After a reset the rest is asked for, not the whole."""
    big = images.image([box_tar, images.tar([images.Entry("random", data=os.urandom(8 << 20))])], compression="none")
    reference = faulty.put("resumed", "1", big)
    faulty.faults[blob(big)] = registries.first(1, registries.ends_early)
    docker.ok("pull", reference, timeout=120)
    ranges = [headers.get("Range") for _, path, headers in faulty.requests if blob(big) in path and headers.get("Range")]
    assert ranges and ranges[0].startswith("bytes="), "the download began again from nothing"


def test_stalled_download_does_not_stop_others(docker, engine, faulty, registry, box_tar, picture):
    gate = threading.Event()
    reference = faulty.put("stalled", "1", picture)
    faulty.faults[blob(picture)] = registries.stalls(gate)
    stuck = docker.popen("pull", reference)
    try:
        eventually(lambda: any(blob(picture) in path for _, path, _ in faulty.requests), "the stalled download")
        other = registry.push("meanwhile", "1", images.image([box_tar, images.tar([images.text("m", str(time.monotonic_ns()))])]))
        docker.ok("pull", other, timeout=30)
        begun = time.monotonic()
        assert docker.ok("run", "--rm", BOX, "echo", "runs") == "runs"
        docker.ok("ps")
        assert time.monotonic() - begun < 10
    finally:
        stuck.kill()
        stuck.wait(10)
        faulty.faults.clear()
        gate.set()
    docker.ok("pull", reference, timeout=60)


def test_two_clients_pull_the_same_image(docker, engine, faulty, picture):
    reference = faulty.put("shared", "1", picture)
    processes = [docker.popen("pull", reference) for _ in range(4)]
    assert [p.wait(60) for p in processes] == [0] * 4
    if engine.is_corten:
        asked = sum(blob(picture) in path for command, path, _ in faulty.requests if command == "GET")
        assert asked == 1, f"one layer was downloaded {asked} times"


# --- manifests -----------------------------------------------------------------------------------

MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"


@pytest.mark.parametrize("body, kind", [
    (b"", MANIFEST), (b"{", MANIFEST), (b"[]", MANIFEST), (b"{}", MANIFEST), (b"<html>", "text/html"), (b'{"schemaVersion": 1}', MANIFEST),
    (b'{"schemaVersion": 2, "layers": [{"digest": "../../etc/passwd", "size": 1}], "config": {"digest": "sha256:x", "size": 1}}', MANIFEST),
    (b'{"schemaVersion": 2, "config": {"digest": "sha256:' + b"0" * 64 + b'", "size": -5}, "layers": []}', MANIFEST),
    (b'{"schemaVersion": 2, "manifests": []}', "application/vnd.oci.image.index.v1+json"),
    (b"[" * 200000, MANIFEST), (b'{"schemaVersion": 2' + b" " * 100_000_000 + b"}", MANIFEST),
], ids=["empty", "cut", "list", "no fields", "html", "schema 1", "path as digest", "bad size", "empty index", "deep", "100 MB"])
def test_bad_manifest(docker, engine, faulty, body, kind):
    faulty.faults["/manifests/"] = registries.says(body, kind)
    refused(docker, engine, f"{faulty.address}/manifest:1", "(?i)error|invalid|manifest|unsupported|digest|unexpected|no match")


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.corten_only
def test_schema_1_is_refused_with_a_sentence(docker, engine, faulty, signed):
    kind = "application/vnd.docker.distribution.manifest.v1+" + ("prettyjws" if signed else "json")
    body = {"schemaVersion": 1, "name": "old", "tag": "1", "architecture": "amd64", "fsLayers": [{"blobSum": "sha256:" + "0" * 64}],
            "history": [{"v1Compatibility": "{}"}], **({"signatures": []} if signed else {})}
    faulty.faults["/manifests/"] = registries.says(json.dumps(body).encode(), kind)
    refused(docker, engine, f"{faulty.address}/old:1", "(?i)schema ?(version)? ?1")


@pytest.mark.parametrize("fault", [registries.resets, registries.ends_early], ids=["reset", "early end"])
@pytest.mark.parametrize("what", ["the index", "the manifest", "the configuration"])
@pytest.mark.corten_only
def test_documents_that_are_cut_are_asked_for_again(docker, engine, faulty, picture, fault, what):
    reference = faulty.put("cut", "1", images.index([picture]))
    part = {"the index": "/manifests/1$", "the manifest": picture.digest, "the configuration": picture.id}[what]
    faulty.faults[part] = registries.first(1, fault)
    docker.ok("pull", reference)
    assert sum(re.search(part, path) is not None for _, path, _ in faulty.requests) == 2


def test_manifest_with_another_digest_than_asked(docker, engine, faulty, picture, box_tar):
    faulty.put("swapped", "1", picture)
    other = images.image([box_tar], env=["OTHER=1"])
    faulty.faults[f"/manifests/{picture.digest}"] = registries.says(other.manifest.data, other.manifest.media_type)
    docker.fails("pull", f"{faulty.address}/swapped@{picture.digest}", code=1, says="(?i)digest|verif|match|unexpected")


@pytest.mark.parametrize("change", ["fewer diff ids", "wrong diff id", "not json", "another architecture"])
def test_bad_config(docker, engine, faulty, box_tar, change):
    tars = [box_tar, images.tar([images.text("c", str(time.monotonic_ns()))])]
    layers = tuple(images.Blob(images.compress(t, "gzip"), images.DOCKER["gzip"]) for t in tars)
    ids = [images.digest_of(t) for t in tars]
    if change == "fewer diff ids":
        if not engine.is_corten:
            pytest.skip("the peer takes such an image")
        bad = images.assemble(layers, ids[:1])
    elif change == "wrong diff id":
        bad = images.assemble(layers, [ids[0], "sha256:" + "1" * 64])
    elif change == "another architecture":
        bad = images.assemble(layers, ids, architecture="s390x")
        reference = faulty.put("foreign", "1", bad)
        done = docker.run("pull", reference)
        assert done.code in (0, 1) and engine.api.alive()
        return
    else:
        conf = images.Blob(b"not json at all", images.DOCKER["config"])
        manifest = json.dumps({"schemaVersion": 2, "mediaType": images.DOCKER["manifest"], "config": conf.descriptor(), "layers": [x.descriptor() for x in layers]})
        bad = images.Image(images.Blob(manifest.encode(), images.DOCKER["manifest"]), conf, layers, {})
    refused(docker, engine, faulty.put("config", "1", bad), "(?i)config|diff|rootfs|layer|invalid|match|length")


def test_endless_manifest_and_endless_blob(docker, engine, faulty, picture):
    if not engine.is_corten:
        pytest.skip("the peer's limits are its own")
    reference = faulty.put("endless", "1", picture)
    faulty.faults[blob(picture)] = registries.endless
    refused(docker, engine, reference, "(?i)size|digest|long|more|verif", timeout=60)
    faulty.faults = {"/manifests/": registries.endless}
    refused(docker, engine, reference, "(?i)size|large|long|limit|manifest", timeout=60)


def test_redirects_that_go_round(docker, engine, faulty, picture):
    reference = faulty.put("round", "1", picture)
    faulty.faults[LAYER] = lambda handler, _b, kind: registries.reply(handler, b"", "text/plain", 307, headers={"Location": handler.path})
    refused(docker, engine, reference, "(?i)redirect")


def test_credentials_are_not_sent_to_another_host(docker, engine, faulty, picture):
    """A redirect of a blob to another address must not carry the registry's password along."""
    other = FaultyRegistry()
    try:
        reference = faulty.put("away", "1", picture)
        other.put("away", "1", picture)
        docker.ok("login", "-u", "u", "-p", "secret", faulty.address)
        faulty.faults[LAYER] = lambda handler, _b, kind: registries.reply(
            handler, b"", "text/plain", 307, headers={"Location": f"http://{other.address}{handler.path}"})
        docker.ok("pull", reference)
        assert other.requests and not any("Authorization" in headers for _, _, headers in other.requests)
    finally:
        other.stop()


# --- layers that attack --------------------------------------------------------------------------

def bomb(size) -> images.Blob:
    """A few kilobytes that inflate to `size` zero bytes of one file."""
    header = tarfile.TarInfo("bomb")
    header.size = size
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    parts = [packer.compress(header.tobuf(tarfile.GNU_FORMAT))]
    parts += [packer.compress(b"\0" * (1 << 20)) for _ in range(size >> 20)]
    return images.Blob(b"".join([*parts, packer.flush()]), images.DOCKER["gzip"])


@pytest.mark.parametrize("garbage", [b"", b"not compressed", b"\x1f\x8b\x08\0\0\0\0\0\0\3" + b"\xff" * 1000, b"\x28\xb5\x2f\xfd" + b"\xff" * 1000, b"\0" * 10240],
                         ids=["empty", "text", "bad gzip", "bad zstd", "zeroes"])
def test_layer_of_rubbish(docker, engine, faulty, box_tar, garbage):
    good = images.Blob(images.compress(box_tar, "gzip"), images.DOCKER["gzip"])
    bad = images.assemble((good, images.Blob(garbage, images.DOCKER["gzip"])), [images.digest_of(box_tar), "sha256:" + "2" * 64])
    refused(docker, engine, faulty.put("rubbish", "1", bad), "(?i)layer|tar|gzip|EOF|diff|match|invalid|digest|archive|header|corrupt")


def test_truncated_tar_inside_a_whole_gzip(docker, engine, faulty, box_tar):
    cut = images.tar([images.text("file", "y" * 100000)])[:50000]
    bad = images.image([box_tar, cut])
    refused(docker, engine, faulty.put("cut", "1", bad), "(?i)EOF|truncated|tar|layer|archive")


@pytest.mark.corten_only
def test_bomb_is_stopped_by_the_diff_id(docker, engine, faulty, box_tar):
    """A gigabyte of zeroes in a megabyte: the unpacked size may go no further than the disk, and is given back."""
    good = images.Blob(images.compress(box_tar, "gzip"), images.DOCKER["gzip"])
    bad = images.assemble((good, bomb(1 << 30)), [images.digest_of(box_tar), "sha256:" + "3" * 64])
    before = disk_use(engine)
    refused(docker, engine, faulty.put("bomb", "1", bad), "(?i)diff|match|digest|layer|large|EOF|archive", timeout=120)
    eventually(lambda: disk_use(engine) < before + (64 << 20), "the bomb's space", 20)


@pytest.fixture(scope="module")
def limited(box_reference):
    """A daemon whose layers may have 8 MiB and 1,000 entries."""
    daemon = engines.Daemon("limited", extra=["--max-layer-size", "8m", "--max-layer-entries", "1000"]).start()
    try:
        engines.pull(daemon, box_reference, BOX)  # what is within the limits comes as ever
        yield daemon
    finally:
        daemon.stop()


BOMBS = {
    "size": (lambda: images.tar([images.Entry("zeroes", data=bytes(64 << 20))]), "8388608"),
    "entries": (lambda: images.tar(images.Entry(f"empty-{n}") for n in range(2000)), "more than 1000 entries"),
}
bombs = pytest.mark.parametrize("kind", BOMBS)
packings = pytest.mark.parametrize("compression", ["gzip", "zstd"])


def stays_small(daemon, ask, says):
    """What `ask` sends is refused with a reason, and nothing of it is kept."""
    before = disk_use(daemon)
    answer = ask()
    assert says in answer.body.decode(), answer
    assert daemon.api.alive()
    eventually(lambda: disk_use(daemon) < before + (1 << 20), "the bomb's space", 20)


@pytest.mark.corten_only
@bombs
@packings
def test_cve_2017_14992_pull(limited, faulty, box_tar, kind, compression):
    make, says = BOMBS[kind]
    faulty.put("bomb", "1", images.image([box_tar, make()], compression=compression, style="oci"))
    stays_small(limited, lambda: limited.api.post(f"/images/create?fromImage={faulty.address}/bomb&tag=1"), says)


@pytest.mark.corten_only
@bombs
@packings
@pytest.mark.parametrize("packed", ["layer", "archive"])
def test_cve_2017_14992_load(limited, box_tar, kind, compression, packed):
    """Also where it is not the layer that is packed, but the archive around it."""
    make, says = BOMBS[kind]
    tars = [box_tar, make()]
    picture = images.image(tars)
    if packed == "layer":
        archive = images.docker_archive("bomb:1", picture, [images.compress(t, compression) for t in tars])
    else:
        archive = images.compress(images.docker_archive("bomb:1", picture, tars), compression)
    stays_small(limited, lambda: limited.api.post("/images/load", archive), says)


@pytest.mark.corten_only
@bombs
@packings
@pytest.mark.parametrize("url", ["/images/create?fromSrc=-&repo=bomb", "/corten/volumes/bomb/archive"], ids=["import", "volume"])
def test_cve_2017_14992_import(limited, kind, compression, url):
    make, says = BOMBS[kind]
    stays_small(limited, lambda: limited.api.post(url, images.compress(make(), compression)), says)


def peak(daemon) -> int:
    """Most memory that the daemon has had, in bytes."""
    status = Path(f"/proc/{daemon.process.pid}/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) << 10


@pytest.mark.corten_only
def test_a_pull_takes_little_memory_whatever_its_layers_are(box_reference, faulty, box_tar):
    """All three at a time: much gzip, zstd that looks back as far as it may, and a name for each of many directories."""
    long = "/".join(["d" * 200] * 4)
    noise = os.urandom(1 << 20)
    tars = [
        box_tar,
        images.tar([images.Entry("gzip", data=b"".join(noise[n * 1000:n * 1000 + 2000] * 20 for n in range(1000)))]),
        images.tar([images.Entry("zstd", data=os.urandom(40 << 20) * 2)]),
        images.tar(images.directory(f"{long}/{n}") for n in range(2_000)),
    ]
    packed = subprocess.run(["zstd", "-q", "-1", "--long=25", "-c"], input=tars[2], stdout=subprocess.PIPE, check=True).stdout
    blobs = [images.Blob(images.compress(t, "gzip"), images.OCI["gzip"]) for t in tars]
    blobs[2] = images.Blob(packed, images.OCI["zstd"])
    reference = faulty.put("big", "1", images.assemble(tuple(blobs), [images.digest_of(t) for t in tars], style="oci"))
    daemon = engines.Daemon("memory").start()
    try:
        engines.pull(daemon, box_reference, BOX)
        before = peak(daemon)
        engines.pull(daemon, reference)
        assert peak(daemon) - before < 64 << 20
    finally:
        daemon.stop()


@pytest.mark.corten_only
def test_zstd_that_looks_back_too_far_is_refused_with_a_reason(docker, engine, faulty, box_tar):
    unlike = images.tar([images.Entry("unlike", data=os.urandom(1 << 20))])
    packed = subprocess.run(["zstd", "-q", "-1", "--long=27", "-c"], input=unlike, stdout=subprocess.PIPE, check=True).stdout
    bad = images.assemble((images.Blob(packed, images.OCI["zstd"]),), [images.digest_of(unlike)], style="oci")
    refused(docker, engine, faulty.put("long", "1", bad), "looks back on more than 32 MiB")


def disk_use(engine) -> int:
    return int(subprocess.run(["du", "-sxB1", str(engine.data)], stdout=subprocess.PIPE, text=True).stdout.split()[0])


VICTIM = "/tmp/corten-t-victim"


def attacks():
    def make(*entries):
        return images.tar(entries)
    up = "../" * 12
    yield "absolute", make(images.text(VICTIM, "owned"))
    yield "dots", make(images.text(up + VICTIM[1:], "owned"))
    yield "dots inside", make(images.directory("a"), images.text("a/" + up + VICTIM[1:], "owned"))
    yield "symlink", make(images.symlink("link", "/tmp"), images.text("link/corten-t-victim", "owned"))
    yield "relative symlink", make(images.symlink("link", up + "tmp"), images.text("link/corten-t-victim", "owned"))
    yield "symlink file", make(images.symlink("f", VICTIM), images.text("f", "owned"))
    yield "hard link", make(images.hardlink("hl", "/etc/shadow"), images.text("hl", "owned"))
    yield "hard link dots", make(images.hardlink("hl", up + "etc/shadow"))
    yield "hard link by symlink", make(images.symlink("d", "/etc"), images.hardlink("hl", "d/shadow"))
    yield "whiteout dots", make(images.Entry("a/.wh..."), images.Entry(".wh..wh..opq"))
    yield "whiteout up", make(images.Entry(f"{up}tmp/.wh.corten-t-keep"))
    yield "whiteout slash", make(images.Entry(".wh.."), images.Entry(".wh."))
    yield "parent is a file", make(images.text("p", "file"), images.text("p/child", "x"))
    yield "empty name", make(images.Entry("", tarfile.REGTYPE))
    yield "root itself a symlink", make(images.symlink(".", "/tmp"), images.symlink("/", "/tmp"))
    yield "long path", make(images.text("/".join(["d" * 200] * 30), "x"))
    yield "fifo and devices", make(images.Entry("disk", tarfile.BLKTYPE, device=(254, 0), mode=0o666), images.Entry("fifo", tarfile.FIFOTYPE))


@pytest.mark.parametrize("name, layer", list(attacks()), ids=[n for n, _ in attacks()])
def test_tar_tricks(docker, engine, faulty, box_tar, name, layer):
    """Refused, or kept inside the image; never a byte outside of it."""
    keep = Path("/tmp/corten-t-keep")
    keep.write_text("kept")
    shadow = Path("/etc/shadow").read_bytes()
    links = os.stat("/etc/shadow").st_nlink
    try:
        reference = faulty.put("trick", "1", images.image([box_tar, layer]))
        done = docker.run("pull", reference, timeout=60)
        assert done.code in (0, 1), done
        if done.code == 0:
            ran = docker.run("run", "--rm", reference, "cat", VICTIM, "/hl")
            assert b"root:" not in ran.raw or b"root:x:0" in ran.raw
            docker.run("rmi", "-f", reference)
        else:
            assert docker.ok("images", "-q", reference.rpartition(":")[0]) == ""
        assert not os.path.exists(VICTIM) and keep.read_text() == "kept"
        assert Path("/etc/shadow").read_bytes() == shadow and os.stat("/etc/shadow").st_nlink == links
        assert engine.api.alive()
    finally:
        keep.unlink()
        if os.path.exists(VICTIM):
            os.unlink(VICTIM)


def test_device_in_a_layer_cannot_be_opened(docker, engine, faulty, box_tar):
    layer = images.tar([images.Entry("disk", tarfile.BLKTYPE, device=(254, 0), mode=0o666)])
    reference = faulty.put("device", "1", images.image([box_tar, layer]))
    docker.ok("pull", reference)
    docker.fails("run", "--rm", reference, "head", "-c", "1", "/disk", says="(?i)not permitted|denied|no such device")


# --- disk full -----------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def small_disk(tmp_path_factory):
    with disks.mounted(tmp_path_factory.mktemp("corten-t-disk"), 48) as point:
        yield point


@pytest.mark.corten_only
def test_disk_full(small_disk, box_reference, registry, box_tar):
    """A pull and a container that do not fit say so; what was there works on, and the space comes back."""
    daemon = engines.Daemon("small")
    daemon.data = small_disk / "data"
    daemon.start()
    try:
        engines.pull(daemon, box_reference, BOX)
        client = daemon.client("docker")
        big = images.image([box_tar, images.tar([images.Entry("big", data=os.urandom(60 << 20))])], compression="none")
        reference = registry.push("too-big", "1", big)
        before = os.statvfs(small_disk).f_bavail
        client.fails("pull", reference, code=1, says="(?i)no space left", timeout=90)
        assert client.ok("images", "-q", reference.rpartition(":")[0]) == ""
        assert client.ok("run", "--rm", BOX, "echo", "still works") == "still works"
        daemon.restart()
        eventually(lambda: os.statvfs(small_disk).f_bavail > before - 1000, "the failed pull's space", 30)
        done = client.run("run", "--name", "filler", BOX, "sh", "-c", "head -c 100000000 /dev/zero > /fill")
        assert done.code == 1 and re.search("No space left|I/O error", done.err), done
        for n in range(200):
            full = client.run("create", "--name", f"n{n}", "-l", "x=" + "y" * 60000, BOX)
            if full.code:
                assert full.code == 1 and re.search("(?i)no space left|disk is full", full.err), full
                break
        else:
            pytest.fail("200 containers of 60 kB each were recorded on a full disk")
        assert daemon.api.alive() and daemon.process.poll() is None
        client.ok("rm", "-f", "filler")
        # The files of what was removed are deleted in the background.
        eventually(lambda: client.run("run", "--rm", BOX, "true").code == 0, "space for a container", 30)
        assert client.ok("run", "--rm", BOX, "echo", "works again") == "works again"
    finally:
        daemon.stop()
