"""/corten/system/df: every block that du finds below the data root has an owner, and is counted once."""
import os
import random
import shutil
import subprocess

import pytest
from support import images
from support import registry as registries
from support.engines import BOX
from support.own_daemon import DRIVERS, with_driver
from support.wait import eventually

pytestmark = pytest.mark.corten_only


@pytest.fixture(scope="module", params=DRIVERS)
def daemon(request, box_reference):
    with with_driver(request.param, box_reference) as own:
        yield own


def blocks_below(folder) -> int:
    """What goes while du looks makes it fail, and is no fault: -1."""
    done = subprocess.run(["du", "-sx", "--block-size=1", str(folder)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    return int(done.stdout.split()[0]) if done.returncode == 0 else -1


def owned(daemon) -> dict:
    """Kind → name → bytes, once they add up to what du finds."""
    def same():
        told = daemon.api.get("/corten/system/df").json()
        assert told["Bytes"] == sum(o["Bytes"] for o in told["Owners"]) == blocks_below(daemon.data)
        return told["Owners"]
    kinds = {}
    for owner in eventually(same, "the same bytes on the disk", 20, pause=0.2):
        kinds.setdefault(owner["Kind"], {})[owner["Name"]] = owner["Bytes"]
    return kinds


def test_every_block_that_du_finds_has_an_owner(daemon, faulty, box_tar):
    docker, dice = daemon.client("docker"), random.Random(5)
    before = owned(daemon)
    layer = images.tar([images.Entry("big", data=dice.randbytes(3_000_000)), images.hardlink("again", "big"), images.symlink("link", "big"),
                        *[images.text(f"small{n}", "x") for n in range(50)]])
    reference = faulty.put("owned", "1", images.image([box_tar, layer]))
    docker.ok("pull", reference)
    docker.ok("run", "--name", "writes", "--network", "none", "-v", "holds:/v", reference, "sh", "-c",
              "head -c 2000000 /dev/zero > /f; head -c 1000000 /dev/zero > /v/f; seq 20000")
    docker.ok("volume", "create", "-d", "local", "-o", "type=tmpfs", "-o", "device=tmpfs", "elsewhere")
    docker.ok("run", "-d", "--name", "mounts", "--network", "none", "-v", "elsewhere:/v", BOX, "sh", "-c", "head -c 9000000 /dev/zero > /v/f; sleep 600")
    found = owned(daemon)
    assert "stranger" not in found and "unfinished" not in found
    ids = {name: docker.inspect(name, "Id") for name in ("writes", "mounts")}
    assert 3_000_000 < sum(found["layer"].values()) - sum(before["layer"].values()) < 3_500_000
    assert 2_000_000 < found["writable layer"][ids["writes"]] < 2_200_000
    assert 1_000_000 < found["volume"]["holds"] < 1_100_000 and found["volume"]["elsewhere"] < 100_000
    assert found["container"][ids["writes"]] > 100_000, "its log is not counted"
    assert found["writable layer"].keys() == found["container"].keys() == set(ids.values())
    docker.ok("rm", "-f", *ids)
    docker.ok("volume", "rm", "holds", "elsewhere")
    docker.ok("rmi", reference)
    eventually(lambda: owned(daemon)["layer"].keys() == before["layer"].keys(), "removal of the layer")
    left = owned(daemon)
    assert not {"writable layer", "volume", "container", "stranger"} & left.keys()


def test_the_command_shows_owners_that_add_up_to_what_du_finds(daemon):
    corten = daemon.client("corten")
    found = owned(daemon)
    sums = {kind: sum(names.values()) for kind, names in found.items()}

    def rows(*flags):
        lines = corten.ok("system", "df", "--on-disk", "--format", "{{.Owner}}\t{{.Name}}\t{{.Bytes}}", *flags).splitlines()
        return [(owner, name, int(size)) for owner, name, size in (line.split("\t") for line in lines)]

    *kinds, whole = rows()
    assert {owner: size for owner, _, size in kinds} == sums and whole == ("all", str(daemon.data), blocks_below(daemon.data))
    assert [size for *_, size in kinds] == sorted(sums.values(), reverse=True)
    *each, whole = rows("-v")
    assert {(owner, name): size for owner, name, size in each} == {(k, n): s for k, names in found.items() for n, s in names.items()}
    assert whole[2] == sum(size for *_, size in each)
    shown = corten.ok("system", "df", "--on-disk").splitlines()
    assert shown[0].split() == ["OWNER", "COUNT", "SIZE"] and shown[-1].split()[:2] == ["all", str(len(each))]


def test_what_is_kept_of_a_download_and_what_nobody_made_has_a_name(daemon, faulty, box_tar):
    docker = daemon.client("docker")
    layer = images.tar([images.Entry("big", data=os.urandom(3_000_000))])
    picture = images.image([box_tar, layer], compression="none")
    faulty.faults[picture.layers[1].digest] = registries.ends_early
    docker.fails("pull", faulty.put("cut", "1", picture), timeout=120)
    kept = owned(daemon)["download"]
    assert [name.startswith(picture.layers[1].digest.removeprefix("sha256:")) for name in kept] == [True]
    docker.ok("image", "prune", "-f")
    assert "download" not in owned(daemon)
    for stranger in (daemon.data / "what", next(daemon.data.glob("*/trash")).parent / "what"):
        stranger.mkdir()
        (stranger / "file").write_bytes(b"x" * 100_000)
        assert owned(daemon)["stranger"]["what"] > 100_000
        shutil.rmtree(stranger)
