"""Small disks of a test's own."""
import contextlib
import re
import shutil
import subprocess

import pytest

MAKERS = {"ext4": ["mkfs.ext4", "-q"], "xfs": ["mkfs.xfs", "-q"]}
# What a kernel, or a machine without loop devices, says to a mount that is right. Anything else is a fault of ours.
CANNOT = re.compile(r"unknown filesystem type|failed to setup loop device|no such device|not supported|"
                    r"wrong fs type, bad option|operation not permitted|permission denied", re.IGNORECASE)
HINTS = {"ext4": "project quotas of ext4 need CONFIG_QFMT_V2", "xfs": "project quotas of xfs need CONFIG_XFS_QUOTA"}


@contextlib.contextmanager
def mounted(folder, megabytes: int, features="", options="", kind="ext4"):
    """A file system in a file, mounted below `folder`; the test is skipped where the machine cannot have such a one."""
    image, point, maker = folder / "disk", folder / "mnt", MAKERS[kind]
    if not shutil.which(maker[0]):
        pytest.skip(f"no {maker[0]} here")
    with open(image, "wb") as file:
        file.truncate(megabytes << 20)
    point.mkdir()
    subprocess.run([*maker, *(["-O", features] if features else []), str(image)], check=True)
    done = subprocess.run(["mount", "-o", ",".join(filter(None, ["loop", options])), str(image), str(point)], stderr=subprocess.PIPE, text=True)
    if done.returncode:
        said = done.stderr.strip()
        assert CANNOT.search(said), said
        pytest.skip(f"no such loop mount here{f' ({HINTS[kind]})' if 'quota' in options else ''}: {said}")
    try:
        yield point
    finally:
        subprocess.run(["umount", "-l", str(point)], check=True)
