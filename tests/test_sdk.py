"""The Docker SDK for Python, a client that was not written with us in mind."""
import io
import tarfile
import threading
from concurrent import futures

import pytest
from support.engines import BOX
from support.wait import eventually

docker_sdk = pytest.importorskip("docker", reason="Debian's python3-docker is not installed")


@pytest.fixture
def sdk(engine):
    client = docker_sdk.DockerClient(base_url=engine.host, version="auto")
    yield client
    client.close()


def test_ping_version_info(sdk):
    assert sdk.ping() is True
    assert sdk.version()["Os"] == "linux" and sdk.info()["NCPU"] > 0


@pytest.mark.parametrize("version", ["1.24", "1.30", "1.40", "1.41"])
def test_old_api_versions(engine, version):
    client = docker_sdk.DockerClient(base_url=engine.host, version=version)
    assert client.containers.run(BOX, "echo old", remove=True) == b"old\n"
    client.close()


def test_run(sdk):
    assert sdk.containers.run(BOX, ["echo", "hello"], remove=True) == b"hello\n"
    with pytest.raises(docker_sdk.errors.ContainerError) as failed:
        sdk.containers.run(BOX, "sh -c 'echo bad >&2; exit 3'", remove=True)
    assert failed.value.exit_status == 3 and b"bad" in failed.value.stderr


def test_exec_loses_no_output(engine, sdk):
    """Its client reads the answer's head through a buffer, and the rest from the bare socket."""
    box = sdk.containers.run(BOX, ["sleep", "600"], detach=True)

    def ask(_):
        return docker_sdk.DockerClient(base_url=engine.host).containers.get(box.id).exec_run(["sh", "-c", "echo out; echo err >&2"], demux=True)
    with futures.ThreadPoolExecutor(8) as pool:
        for code, streams in pool.map(ask, range(80)):
            assert (code, streams) == (0, (b"out\n", b"err\n"))


def test_life_cycle(sdk):
    container = sdk.containers.run(BOX, "sleep 600", detach=True, name="py", labels={"a": "b"}, environment={"X": "1"})
    assert sdk.containers.list(filters={"label": "a=b"})[0].id == container.id
    assert container.exec_run("sh -c 'echo $X; exit 4'") == (4, b"1\n")
    demuxed = container.exec_run("sh -c 'echo o; echo e >&2'", demux=True).output
    assert demuxed == (b"o\n", b"e\n")
    container.pause()
    container.reload()
    assert container.status == "paused"
    container.unpause()
    container.rename("py2")
    assert "sleep" in str(container.top())
    container.stop(timeout=0)
    assert container.wait()["StatusCode"] == 137
    container.remove()
    with pytest.raises(docker_sdk.errors.NotFound):
        sdk.containers.get("py2")


def test_logs_stream(sdk):
    container = sdk.containers.run(BOX, "sh -c 'for i in 1 2 3; do echo $i; sleep 0.1; done'", detach=True)
    assert b"".join(container.logs(stream=True, follow=True)) == b"1\n2\n3\n"
    assert container.logs(tail=1) == b"3\n"


def test_attach_socket(sdk):
    container = sdk.containers.create(BOX, "cat", stdin_open=True)
    wire = container.attach_socket(params={"stdin": 1, "stdout": 1, "stream": 1})
    container.start()
    wire._sock.sendall(b"through\n")
    wire._sock.shutdown(1)
    got = b""
    while part := wire._sock.recv(100):
        got += part
    assert got == b"\x01\0\0\0\0\0\0\x08through\n"


def test_archives(sdk):
    container = sdk.containers.create(BOX, "cat /in")
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        info = tarfile.TarInfo("in")
        info.size = 5
        archive.addfile(info, io.BytesIO(b"12345"))
    assert container.put_archive("/", made.getvalue())
    parts, stat = container.get_archive("/in")
    assert stat["name"] == "in" and stat["size"] == 5
    with tarfile.open(fileobj=io.BytesIO(b"".join(parts))) as archive:
        assert archive.extractfile("in").read() == b"12345"


def test_stats_and_events(sdk):
    events = sdk.events(decode=True, filters={"type": "container"})
    seen = []
    reader = threading.Thread(target=lambda: seen.extend(e["Action"] for e in events if not seen or seen[-1] != "start"), daemon=True)
    reader.start()
    container = sdk.containers.run(BOX, "sleep 600", detach=True)
    eventually(lambda: seen or sdk.containers.run(BOX, "true", detach=True) is None, "an event", 20, pause=0.5)
    assert container.stats(stream=False)["pids_stats"]["current"] >= 1
    events.close()


def test_images(sdk, box_reference):
    repo, _, tag = box_reference.rpartition(":")
    image = sdk.images.pull(repo, tag=tag)
    assert image.tag("py/tagged", "x") and "py/tagged:x" in sdk.images.get("py/tagged:x").tags
    sdk.images.remove("py/tagged:x")
    assert any(BOX + ":latest" in i.tags for i in sdk.images.list())
    with pytest.raises(docker_sdk.errors.ImageNotFound):
        sdk.images.get("nosuch")
    assert image.history()[0]["Id"]


def test_volumes_and_networks(sdk):
    volume = sdk.volumes.create("pyvol", labels={"x": "y"})
    assert sdk.containers.run(BOX, "sh -c 'echo v > /v/f; cat /v/f'", volumes={"pyvol": {"bind": "/v", "mode": "rw"}}, remove=True) == b"v\n"
    volume.remove()
    assert {n.name for n in sdk.networks.list()} >= {"bridge", "host", "none"}


def test_resources(sdk):
    container = sdk.containers.run(BOX, "sleep 600", detach=True, mem_limit="32m", cpu_quota=20000, pids_limit=9, ports={"80/tcp": None})
    container.reload()
    config = container.attrs["HostConfig"]
    assert (config["Memory"], config["CpuQuota"], config["PidsLimit"]) == (32 << 20, 20000, 9)
    assert int(container.ports["80/tcp"][0]["HostPort"]) > 1023
