"""The daemon's memory while layers are unpacked. Of very many empty files, which cost an attacker next to nothing, it is what each
driver holds of a name; what compressed layers look back on they do not have all at once."""
import os
import random
import subprocess
import tarfile
import time
from pathlib import Path

import pytest
from support import images
from support.own_daemon import DRIVERS, corten, docker, with_driver  # noqa: F401
from support.wait import eventually

pytestmark = pytest.mark.corten_only
FILES = int(os.environ.get("CORTEN_FILES", "200000"))
PER_DIRECTORY = 1000
# Bytes of the daemon's memory for each name: an EROFS image's directories are written last.
HELD = {"overlay": 0, "erofs": 400}
PIPE = 64 << 20  # of a whole pull


@pytest.fixture(scope="module", params=DRIVERS)
def daemon(request, box_reference):
    with with_driver(request.param, box_reference) as own:
        own.driver = request.param
        yield own


def headers():
    """Empty files in directories of a thousand, as pieces of an archive."""
    blank = tarfile.TarInfo("")
    blank.uid = blank.gid = 7
    head = bytearray(blank.tobuf(tarfile.USTAR_FORMAT))
    rest = sum(head) - sum(head[:100]) - sum(head[148:156]) + 8 * ord(" ")
    for first in range(0, FILES, PER_DIRECTORY):
        piece = bytearray()
        for number in range(first, min(first + PER_DIRECTORY, FILES)):
            name = b"many/%d/%d" % (first // PER_DIRECTORY, number)
            head[:100] = name.ljust(100, b"\0")
            head[148:156] = b"%06o\0 " % (rest + sum(name))
            piece += head
        yield bytes(piece)


def peak(daemon) -> int:
    return int(Path(f"/proc/{daemon.process.pid}/status").read_text().partition("VmHWM:")[2].split()[0]) << 10


@pytest.mark.timeout(60 + FILES // 1000)
def test_a_layer_of_very_many_empty_files(daemon, corten, box_tar, record_property):
    before = peak(daemon)
    Path(f"/proc/{daemon.process.pid}/clear_refs").write_text("5")
    begun = time.monotonic()
    bringing = corten.popen("import", "-", "many:1")
    bringing.stdin.write(box_tar.rstrip(b"\0") + b"\0" * (-len(box_tar.rstrip(b"\0")) % 512))
    for piece in headers():
        bringing.stdin.write(piece)
    out, err = bringing.communicate(b"\0" * 1024)
    assert bringing.returncode == 0, err
    took, most = time.monotonic() - begun, peak(daemon)
    record_property("seconds", round(took, 1))
    record_property("peak MiB", most >> 20)
    print(f"{daemon.driver}: {FILES} files in {took:.1f} s, at most {most >> 20} MiB")
    assert most < max(before, PIPE) + FILES * HELD[daemon.driver], f"{most >> 20} MiB"
    assert corten.ok("run", "--rm", "--network", "none", "many:1", "sh", "-c", "find /many -type f | wc -l; stat -c '%u %s' /many/0/7") == f"{FILES}\n7 0"
    corten.ok("rmi", "many:1")
    eventually(lambda: not any(daemon.data.glob(f"{daemon.driver}/trash/*")), "removal of the files", 30 + FILES / 5000)


def test_layers_with_the_largest_windows_are_inflated_one_after_the_other(daemon, docker, faulty):
    """Each of the three would have 32 MiB to look back on, of a pull that has 64 MiB for everything."""
    dice = random.Random(32)
    tars = [images.tar([images.Entry(f"big{n}", data=dice.randbytes(48 << 20))]) for n in range(3)]
    packed = [subprocess.run(["zstd", "-q", "-1", "--long=25", "-c"], input=t, stdout=subprocess.PIPE, check=True).stdout for t in tars]
    picture = images.assemble([images.Blob(p, images.OCI["zstd"]) for p in packed], list(map(images.digest_of, tars)), style="oci")
    reference = faulty.put("windows", "1", picture)
    Path(f"/proc/{daemon.process.pid}/clear_refs").write_text("5")
    before = peak(daemon)
    docker.ok("pull", reference, timeout=120)
    assert peak(daemon) < before + PIPE, f"{before >> 20} MiB before, then {peak(daemon) >> 20} MiB"
    docker.ok("rmi", reference)
