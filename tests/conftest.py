"""Fixtures of the integration suite; what they are made of is in support/."""
import os
import shutil
import sys
import tempfile
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from support import bundles, engines, host, images, paths, registry as registries  # noqa: E402
from support.clients import find_docker  # noqa: E402
from support.wait import eventually  # noqa: E402

if engines.KIND == "docker-oracle" and os.environ.get("DOCKER_PEER_NETNS"):
    engines.enter_netns(os.environ["DOCKER_PEER_NETNS"])


def pytest_configure(config):
    config.addinivalue_line("markers", "corten_only: something that only our engine has")
    config.addinivalue_line("markers", "client(major): needs a docker command at least this new")


def pytest_collection_modifyitems(items):
    docker = find_docker()
    version = engines.Client("docker", docker, "", Path(tempfile.gettempdir()) / "corten-t-probe").version() if docker else (0, 0)
    has_corten = (paths.BIN / "corten").exists()
    for item in items:
        if engines.KIND != "corten" and item.get_closest_marker("corten_only"):
            item.add_marker(pytest.mark.skip(reason="only our engine has this"))
        parameters = getattr(item, "callspec", None)
        client = parameters.params.get("cli") if parameters else None
        if client == "corten" and not has_corten:
            item.add_marker(pytest.mark.skip(reason=f"no corten command in {paths.BIN}"))
        if not docker and (client == "docker" or "docker" in item.fixturenames):
            item.add_marker(pytest.mark.skip(reason="no docker command on this machine"))
        needs = item.get_closest_marker("client")
        if needs and version[0] < needs.args[0] and (client == "docker" or "docker" in item.fixturenames):
            item.add_marker(pytest.mark.skip(reason=f"the docker command here is {version[0]}, this needs {needs.args[0]}"))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """A failed test shows the end of the daemon's log."""
    report = (yield).get_result()
    if report.failed:
        for name in ("engine", "daemon"):
            running = item.funcargs.get(name) if hasattr(item, "funcargs") else None
            if isinstance(running, engines.Daemon) and running.logs():
                report.sections.append((f"log of {name}", running.logs()[-3000:]))


@pytest.fixture(scope="session")
def registry():
    """A real registry that holds the images every test may use."""
    real = registries.RealRegistry()
    yield real
    real.stop()


@pytest.fixture
def faulty():
    """A registry that does wrong on request."""
    bad = registries.FaultyRegistry()
    yield bad
    bad.stop()


@pytest.fixture(scope="session")
def box_tar() -> bytes:
    return images.tar(images.busybox_entries())


@pytest.fixture(scope="session")
def box_reference(registry, box_tar) -> str:
    return registry.push("busybox", "latest", images.image([box_tar]))


@pytest.fixture(scope="session")
def debian_reference(registry) -> str:
    return registry.push("debian", "bookworm", images.image([images.debian_tar(paths.CACHE)], cmd=("bash",)))


@pytest.fixture
def debian(engine, debian_reference, base_images) -> str:
    """Debian, pulled when a test first asks for it and then kept."""
    engines.pull(engine, debian_reference)
    found = engine.api.get(f"/images/{debian_reference}/json").json()
    base_images.update([debian_reference, found["Id"]])
    return debian_reference


@pytest.fixture(scope="session")
def session_engine(box_reference):
    running = engines.start()
    try:
        running.clean()
        engines.pull(running, box_reference, engines.BOX)
        yield running
    finally:
        running.stop()


@pytest.fixture(scope="session")
def base_images(session_engine) -> set:
    kept = set()
    for picture in session_engine.api.get("/images/json").json():
        kept.update(picture["RepoTags"] or [])
        kept.add(picture["Id"])
    return kept


@pytest.fixture
def engine(session_engine, base_images):
    """The engine under test, with the busybox image and nothing else in it, before and after."""
    if isinstance(session_engine, engines.Daemon) and session_engine.process.poll() is not None:
        code = session_engine.process.returncode
        session_engine.start()
        pytest.fail(f"cortend had died with {code} in the test before this one")
    yield session_engine
    session_engine.clean(base_images)


@pytest.fixture
def docker(engine):
    return engine.client("docker")


@pytest.fixture(params=["docker", "corten"])
def cli(request, engine):
    """The stock command and ours in turn: what a test says holds for both."""
    return engine.client(request.param)


@pytest.fixture
def corten(engine):
    if not (paths.BIN / "corten").exists():
        pytest.skip(f"no corten command in {paths.BIN}")
    return engine.client("corten")


@pytest.fixture(scope="module")
def daemon(box_reference):
    """A daemon for one module's tests that do bad things to it."""
    own = engines.Daemon("own").start()
    try:
        engines.pull(own, box_reference, engines.BOX)
        yield own
    finally:
        own.stop()


# --- corten-runtime by itself --------------------------------------------------------------------

@pytest.fixture
def folder(tmp_path_factory):
    """Where a runtime's state and its bundles are."""
    made = tmp_path_factory.mktemp("corten-t-runtime")
    made.chmod(0o755)
    return made


@pytest.fixture
def open_folder():
    """One that the root of a user namespace, nobody on the host, can reach."""
    made = Path(tempfile.mkdtemp(prefix="corten-t-open-", dir="/tmp"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made)


@pytest.fixture
def runtime(folder):
    ours = bundles.Runtime(bundles.RUNTIME, folder / "state")
    yield ours
    ours.clean()


@pytest.fixture
def bundle(folder):
    return bundles.Bundle(folder / "bundle")


@pytest.fixture(scope="module", autouse=True)
def nothing_left_behind(request, session_engine):
    """After every module, and after what its own fixtures undo, the host has to look as it did before it."""
    before = host.state()

    def clean():
        found = host.left_behind(before, host.state(), session_engine.seen)
        found = [f for f in found if not session_engine.owns(f)]
        assert not found, "left on the host:\n" + "\n".join(found)
        return True
    # Not after a yield: a fixture is undone before those that the last test did not ask for.
    request.node.addfinalizer(lambda: eventually(clean, "a clean host", 10, pause=0.2))
