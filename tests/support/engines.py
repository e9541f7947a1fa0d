"""The engine under test: a `cortend` of our own, or a Docker that somebody else started.

The same tests run against both; that a test passes on a real Docker is the proof that the test is
right, and that it passes on ours is the proof that we are. CORTEN_TEST_ENGINE chooses:

  corten         (default) starts `cortend` from the build tree
  docker-oracle  talks to the Docker at $DOCKER_HOST_PEER; when that lives in a network namespace of
                 its own, $DOCKER_PEER_NETNS names it and the whole test run enters it
"""
import contextlib
import ctypes
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from . import paths
from .clients import Client, find_docker
from .http import Api
from .wait import eventually

KIND = os.environ.get("CORTEN_TEST_ENGINE", "corten")
BOX = "busybox"


def enter_netns(name: str):
    """Moves this process, and so every command it starts, into a named network namespace."""
    with open(f"/run/netns/{name}") as handle:
        if ctypes.CDLL(None, use_errno=True).setns(handle.fileno(), 0x40000000) != 0:
            raise OSError(ctypes.get_errno(), f"setns {name}")


class Engine:
    """A daemon that answers on a socket, and the clients that talk to it."""
    kind = "docker"

    def __init__(self, socket_path, work: Path):
        self.socket, self.work = str(socket_path), work
        self.host = f"unix://{self.socket}"
        self.api = Api(self.socket)
        self.seen = set()

    @property
    def is_corten(self) -> bool:
        return self.kind == "corten"

    def client(self, name: str) -> Client:
        program = find_docker() if name == "docker" else str(paths.BIN / "corten")
        return Client(name, program, self.host, self.work / f"config-{name}")

    def folder(self, prefix="share-") -> Path:
        """A new directory that the daemon sees at the same path: a source for bind mounts."""
        return Path(tempfile.mkdtemp(prefix=prefix, dir=self.work))

    def containers(self) -> list:
        return self.api.get("/containers/json?all=1").json()

    def remember(self):
        """Notes the ids of all containers there are or were, so that a leak can be told from a stranger's things."""
        self.seen.update(c["Id"] for c in self.containers())
        past = self.api.get(f"/events?since=0&until={time.time() + 0.01:.3f}").body.splitlines()
        self.seen.update(e["Actor"]["ID"] for e in map(json.loads, past) if e["Type"] == "container" and e["Actor"]["ID"])

    def clean(self, keep_images=()):
        """Removes whatever a test left in the engine."""
        self.remember()
        for container in self.containers():
            gone = self.api.delete(f"/containers/{container['Id']}?force=1&v=1", timeout=60)
            assert gone.status in (204, 404, 409), f"cannot remove {container['Names']}: {gone!r}"
        eventually(lambda: not self.containers(), "removal of the last container", 20)
        for volume in self.api.get("/volumes").json()["Volumes"] or []:
            self.remove(f"/volumes/{volume['Name']}?force=1")
        for network in self.api.get("/networks").json():
            if network["Name"] not in ("bridge", "host", "none"):
                self.remove(f"/networks/{network['Id']}")
        for picture in self.api.get("/images/json").json():
            for tag in picture["RepoTags"] or [picture["Id"]]:
                if tag not in keep_images and picture["Id"] not in keep_images:
                    self.remove(f"/images/{tag}?force=1")

    def remove(self, url):
        """What is gone already, with something else perhaps, is fine."""
        gone = self.api.delete(url, timeout=60)
        assert gone.status in (200, 204, 404), f"cannot remove {url}: {gone!r}"

    def host_pid(self, container: str) -> int:
        return self.api.get(f"/containers/{container}/json").json()["State"]["Pid"]

    def owns(self, finding: str) -> bool:
        return False

    def logs(self) -> str:
        return ""

    def stop(self):
        raise NotImplementedError


class Daemon(Engine):
    """A `cortend` with its own roots, socket and bridge, so that any number can run side by side.

    `prefix` is a command that becomes the daemon: one that gives it a mount namespace of its own, say.
    """
    kind = "corten"
    _number = 0

    def __init__(self, name="main", bridge=None, bip=None, extra=(), work=None, environment=None, prefix=()):
        Daemon._number += 1
        work = work or Path(tempfile.mkdtemp(prefix=f"corten-t-{name}-", dir="/tmp"))
        super().__init__(work / "s.sock", work)
        slot = (os.getpid() * 7 + Daemon._number) % 200 + 20
        if slot == 88:  # podman's own bridge has 10.88.0.0/16
            slot = 220
        self.bridge = bridge or f"ctn{os.getpid() % 10000}{Daemon._number % 100:02d}"
        self.bip = bip or f"10.{slot}.{Daemon._number % 250}.1/24"
        self.extra, self.prefix, self.process = list(extra), list(prefix), None
        self.environment = {**os.environ, "CORTEN_TEST_RUN": str(work), **(environment or {})}
        self.data, self.run, self.pidfile, self.log = work / "data", work / "run", work / "pid", work / "log"

    @property
    def gateway(self) -> str:
        return self.bip.split("/")[0]

    def argv(self) -> list:
        return [*self.prefix, str(paths.BIN / "cortend"), "--data-root", str(self.data), "--exec-root", str(self.run), "-H", self.host,
                "--bridge", self.bridge, "--bip", self.bip, "--pidfile", str(self.pidfile), *self.extra]

    def start(self, wait=True):
        assert self.process is None or self.process.poll() is not None, "already running"
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(self.argv(), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            env=self.environment, start_new_session=True)
        if wait:
            self.wait_ready()
        return self

    def wait_ready(self, deadline=30):
        def ready():
            if self.process.poll() is not None:
                raise RuntimeError(f"cortend ended with {self.process.returncode}:\n{self.logs()}")
            return self.api.alive()
        eventually(ready, "an answer from cortend", deadline)

    def owns(self, finding: str) -> bool:
        """Is this one of the things that a running daemon keeps: itself, and what it has made in advance?"""
        return (finding.startswith(f"process: ({self.process.pid},") or finding.endswith(f" on {self.bridge}")
                or "corten-shim --spare" in finding)

    def kill(self):
        """kill -9: what a crash looks like."""
        self._end(signal.SIGKILL)

    def terminate(self):
        self._end(signal.SIGTERM)

    def _end(self, sig):
        if self.process and self.process.poll() is None:
            self.process.send_signal(sig)
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(10)
                raise AssertionError(f"cortend ignored signal {sig} for 30 s:\n{self.logs()}")

    def restart(self, how="kill"):
        getattr(self, how)()
        return self.start()

    @contextlib.contextmanager
    def kept_alive(self):
        """The stock command for a test that may kill the daemon: it runs, with the images there were, before and after."""
        if not self.api.alive():
            self.restart()
        kept = {t for i in self.api.get("/images/json").json() for t in i["RepoTags"]}
        yield self.client("docker")
        if not self.api.alive():
            self.restart()
        self.clean(kept)

    def logs(self) -> str:
        return self.log.read_text(errors="replace")[-6000:] if self.log.exists() else ""

    def remove_network(self):
        """Bridge and rules outlive the daemon, as Docker's do: who made them for a test takes them away."""
        subprocess.run([*self.argv(), "--remove-network"], stderr=subprocess.DEVNULL, check=True)

    def stop(self, forget=True):
        """Ends everything and, with `forget`, deletes the data: nothing of this daemon may be left after it."""
        try:
            if not self.api.alive():
                self.restart()
            self.clean()
        finally:
            self.terminate()
            if forget:
                self.remove_network()
                shutil.rmtree(self.work, ignore_errors=True)


class Oracle(Engine):
    """A Docker that was started by somebody else; nothing on it is ours but what the tests make."""

    def __init__(self, host: str):
        path = host.removeprefix("unix://")
        # Bind sources have to lie where that daemon's own mount namespace shows them.
        super().__init__(path, Path(tempfile.mkdtemp(prefix="share-", dir=os.path.dirname(path))))
        self.bridge = "docker0"
        network = self.api.get("/networks/bridge").json()["IPAM"]["Config"][0]
        self.bip = f"{network.get('Gateway', '172.17.0.1')}/{network['Subnet'].split('/')[1]}"

    gateway = Daemon.gateway

    def stop(self):
        self.clean()
        shutil.rmtree(self.work, ignore_errors=True)


def free_port(host="127.0.0.1") -> int:
    with socket.socket() as probe:
        probe.bind((host, 0))
        return probe.getsockname()[1]


def start(**more) -> Engine:
    if KIND == "docker-oracle":
        return Oracle(os.environ["DOCKER_HOST_PEER"])
    return Daemon(**more).start()


def pull(engine: Engine, reference: str, name=None):
    """Pulls through the API and gives the image a short name."""
    repo, _, tag = reference.rpartition(":")
    done = engine.api.post(f"/images/create?fromImage={repo}&tag={tag}", timeout=300)
    assert done.status == 200, f"pull {reference}: {done!r}"
    for line in done.body.splitlines():
        assert "error" not in json.loads(line), f"pull {reference}: {line!r}"
    if name:
        to, _, version = name.partition(":")
        tagged = engine.api.post(f"/images/{reference}/tag?repo={to}&tag={version or 'latest'}")
        assert tagged.status == 201, f"tag {reference}: {tagged!r}"
