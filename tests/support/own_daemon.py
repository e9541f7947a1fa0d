"""Daemons of a module's own, which a test may kill, and the fixtures of those modules, to be imported by name."""
import contextlib
import shutil

import pytest

from . import engines

DRIVERS = ("overlay", "erofs")


@contextlib.contextmanager
def with_driver(driver, box_reference, data=None):
    """A daemon that keeps its layers that way, with the busybox image; the test is skipped where the kernel cannot."""
    own = engines.Daemon(driver, extra=["--storage-driver", driver])
    own.data = data or own.data
    try:
        own.start()
    except RuntimeError as refused:
        if "needs Linux 6.15" not in str(refused):
            raise
        shutil.rmtree(own.work)
        pytest.skip("this kernel cannot put EROFS images under overlayfs")
    try:
        engines.pull(own, box_reference, engines.BOX)
        yield own
    finally:
        own.stop()


@pytest.fixture
def docker(daemon):
    with daemon.kept_alive() as client:
        yield client


@pytest.fixture
def corten(daemon, docker):
    return daemon.client("corten")
