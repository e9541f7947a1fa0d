"""Downloads that are cut short and go on, and `corten store check`. The store under kill -9 at random moments: test_store_kills.py."""
import contextlib
import json
import os
import threading
import time
from pathlib import Path

import pytest
from support import images
from support import registry as registries
from support.engines import BOX
from support.own_daemon import corten, docker  # noqa: F401
from support.wait import eventually

pytestmark = pytest.mark.corten_only
MIB = 1 << 20


def stalls_after(size, gate):
    """The first `size` bytes, then nothing until the gate opens."""
    def fault(handler, body, kind):
        registries.reply(handler, body[:size], kind, length=len(body))
        handler.wfile.flush()
        gate.wait(60)
        handler.close_connection = True
    return fault


def big_image(box_tar, size=4 * MIB):
    """No layer of it is part of another image."""
    return images.image([images.tar([images.text("first", str(time.monotonic_ns()))]), box_tar, images.tar([images.Entry("random", data=os.urandom(size))])], compression="none")


def layers(daemon) -> int:
    return daemon.api.post("/corten/store/check?quick=1").json()["Layers"]


def kept_bytes(daemon) -> int:
    return sum(f.stat().st_size for f in (daemon.data / "ingest").iterdir())


def ranges(registry, digest) -> list:
    return [headers["Range"] for _, path, headers in registry.requests if digest in path and "Range" in headers]


@contextlib.contextmanager
def stalled_pull(daemon, docker, faulty, box_tar):
    """(reference, digest of the big layer, the client) of a pull that stands still with half of that layer and all of
    the others here; the registry is well again afterwards, and has forgotten what was asked."""
    before = layers(daemon)
    picture = big_image(box_tar)
    layer, gate = picture.layers[-1].digest, threading.Event()
    reference = faulty.put("half", "1", picture)
    faulty.faults[layer] = stalls_after(2 * MIB, gate)
    client = docker.popen("pull", reference)
    eventually(lambda: kept_bytes(daemon) >= 2 * MIB and layers(daemon) == before + 2, "half of the layer")
    yield reference, layer, client
    gate.set()
    faulty.faults.clear()
    faulty.requests.clear()


@pytest.fixture
def half_pulled(daemon, docker, faulty, box_tar):
    """A pull that was killed with its daemon, with half of the big layer here."""
    with stalled_pull(daemon, docker, faulty, box_tar) as (reference, layer, client):
        daemon.kill()
        assert client.wait(20) != 0
    daemon.start()
    return reference, layer


def content(docker, reference) -> str:
    return docker.ok("run", "--rm", reference, "sh", "-c", "wc -c < /random")


def test_download_goes_on_after_kill_9(daemon, docker, faulty, half_pulled):
    reference, layer = half_pulled
    docker.ok("pull", reference)
    asked = ranges(faulty, layer)
    assert len(asked) == 1 and int(asked[0].removeprefix("bytes=").rstrip("-")) >= 2 * MIB
    assert content(docker, reference) == str(4 * MIB)
    assert kept_bytes(daemon) == 0, "what was kept of the download outlives the layer"


def test_download_goes_on_after_its_client_left(daemon, docker, faulty, box_tar):
    with stalled_pull(daemon, docker, faulty, box_tar) as (reference, layer, client):
        client.kill()
        client.wait(10)
    # The pull ends a moment after its last client.
    eventually(lambda: docker.run("pull", reference).code == 0, "the second pull")
    assert ranges(faulty, layer)
    assert content(docker, reference) == str(4 * MIB)


def test_spoilt_download_is_fetched_again(daemon, docker, faulty, half_pulled):
    """After a power cut the kept bytes may be anything: the digest decides, and the pull still ends well."""
    reference, layer = half_pulled
    kept = daemon.data / "ingest" / f"{layer.removeprefix('sha256:')}.partial"
    with open(kept, "r+b") as file:
        file.seek(MIB)
        file.write(b"\0" * 4096)
    docker.ok("pull", reference)
    assert content(docker, reference) == str(4 * MIB)
    assert kept_bytes(daemon) == 0


def test_download_of_a_layer_that_is_here_is_dropped(daemon, docker, faulty, half_pulled):
    """A kill between a layer's place in the store and the removal of its download leaves that."""
    reference, layer = half_pulled
    manifest = json.loads(faulty.content["/v2/half/manifests/1"][0])
    for digest in {each["digest"] for each in manifest["layers"]} - {layer}:
        (daemon.data / "ingest" / f"{digest.removeprefix('sha256:')}.partial").write_bytes(b"whole")
    docker.ok("pull", reference)
    assert content(docker, reference) == str(4 * MIB)
    assert kept_bytes(daemon) == 0


def test_prune_frees_what_failed_pulls_have_kept(daemon, docker, corten, half_pulled):
    assert kept_bytes(daemon) >= 2 * MIB
    before = layers(daemon)
    docker.ok("image", "prune", "-f")
    assert kept_bytes(daemon) == 0
    assert layers(daemon) < before
    corten.ok("store", "check")


# --- check and repair ----------------------------------------------------------------------------

@pytest.fixture
def broken_image(daemon, docker, faulty, box_tar):
    """An image with a byte changed on the disk."""
    reference = faulty.put("broken", "1", big_image(box_tar, 4096))
    docker.ok("pull", reference)
    victim = next(daemon.data.glob("overlay/*/diff/random"))
    victim.write_bytes(os.urandom(4096))
    return reference


def test_check_finds_and_repair_mends(docker, corten, broken_image):
    found = corten.fails("store", "check", code=1)
    assert "layer sha256:" in found.out and "(mended)" not in found.out
    assert corten.run("store", "check", "--quick").code == 0, "the digests were read all the same"
    assert "(mended)" in corten.ok("store", "check", "--repair")
    assert "0 blobs checked" in corten.ok("store", "check")
    docker.fails("image", "inspect", broken_image, says="No such image")
    docker.ok("pull", broken_image)
    assert content(docker, broken_image) == "4096"
    corten.ok("store", "check")


def test_repair_takes_nothing_from_a_container(docker, corten, broken_image):
    docker.ok("create", "--name", "stands", broken_image)
    found = corten.fails("store", "check", "--repair", code=1)
    assert "(mended)" not in found.out
    docker.ok("start", "-a", "stands")
    docker.ok("rm", "stands")
    corten.ok("store", "check", "--repair")


def test_every_directory_has_an_owner_after_a_prune(daemon, docker, corten, faulty, box_tar):
    reference = faulty.put("owned", "1", big_image(box_tar))
    docker.ok("pull", reference)
    docker.ok("run", "--name", "kept", BOX, "true")
    docker.ok("rmi", reference)
    docker.ok("image", "prune", "-f")
    counted = corten.json("store", "check", "--format", "json")

    def directories():
        return {p.name for p in Path(daemon.data / "overlay").iterdir()} - {"trash", "empty"}
    eventually(lambda: len(directories()) == counted["Layers"] + counted["Snapshots"], "removal of what has no owner")
