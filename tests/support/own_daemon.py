"""Fixtures of modules whose clients talk to a `daemon` of the module's own, which a test may kill; to be imported by name."""
import pytest


@pytest.fixture
def docker(daemon):
    with daemon.kept_alive() as client:
        yield client


@pytest.fixture
def corten(daemon, docker):
    return daemon.client("corten")
