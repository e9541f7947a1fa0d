"""Small disks of a test's own."""
import contextlib
import subprocess

import pytest


@contextlib.contextmanager
def mounted(folder, megabytes: int, features="", options=""):
    """An ext4 in a file, mounted below `folder`; the test is skipped where that cannot be."""
    image, point = folder / "disk", folder / "mnt"
    with open(image, "wb") as file:
        file.truncate(megabytes << 20)
    point.mkdir()
    subprocess.run(["mkfs.ext4", "-q", *(["-O", features] if features else []), str(image)], check=True)
    done = subprocess.run(["mount", "-o", ",".join(filter(None, ["loop", options])), str(image), str(point)], stderr=subprocess.PIPE, text=True)
    if done.returncode:
        hint = " (project quotas of ext4 need CONFIG_QFMT_V2)" if "quota" in options else ""
        pytest.skip(f"no such loop mount here{hint}: {done.stderr.strip()}")
    try:
        yield point
    finally:
        subprocess.run(["umount", "-l", str(point)], check=True)
