"""Other people's engines, as Debian packages them, in namespaces of their own."""
import json
import os
import signal
import subprocess
from pathlib import Path

from . import cgroups
from .bundles import RUNTIME
from .clients import Client
from .wait import eventually


class Room:
    """Namespaces that last as long as a process of ours: an empty /run and /dev/shm, and nothing but a loopback, or the host's network."""

    def __init__(self, prefix=(), network="own"):
        furnish = 'for d in /run /dev/shm; do mount -t tmpfs -o mode=755 tmpfs "$d"; done; ip link set lo up; echo ready; read -r end'
        command = [*prefix, "unshare", "-m", *(["-n"] if network == "own" else []), "sh", "-ec", furnish]
        self.holder = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self.holder.stdout.readline() == b"ready\n"
        self.enter = ["nsenter", f"--target={self.holder.pid}", "--mount", "--net", "--"]

    def path(self, inside: Path) -> Path:
        return Path(f"/proc/{self.holder.pid}/root{inside}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.holder.stdin.close()
        self.holder.wait()
        self.holder.stdout.close()


class Peer(Client):
    """An engine's command line, run in the engine's room; `options` stand before every verb."""

    def __init__(self, program, folder: Path, room: Room, options, host=""):
        super().__init__(Path(program).name, program, host, folder / "config")
        self.folder, self.room, self.options = folder, room, [str(o) for o in options]

    def argv(self, *args) -> list:
        return [*self.room.enter, self.program, *self.options, *map(str, args)]

    def environment(self) -> dict:
        known = {k: v for k, v in super().environment().items() if not k.startswith("DOCKER_") or self.host}
        return {**known, "CORTEN_TEST_RUN": str(self.folder)}

    def states(self, root: Path, container) -> str:
        """What corten-runtime itself says of a container: the proof that it is the one that runs it."""
        return json.loads(subprocess.check_output([*self.room.enter, RUNTIME, "--root", root, "state", container]))["status"]


def remove_groups(parent: str):
    """Removes what an engine leaves for the next container: the group above all its containers."""
    def gone():
        for top in set(cgroups.mounts().values()):
            for folder, _, _ in os.walk(top / parent, topdown=False):
                assert not (Path(folder) / "cgroup.procs").read_text(), f"processes in {folder}"
                os.rmdir(folder)
        return True
    eventually(gone, f"the end of the groups in {parent}")


class Service:
    """An engine's daemon; `argv` is run in its room until stop()."""

    def __init__(self, client: Peer, argv, ready):
        self.client, self.argv, self.ready = client, [*client.room.enter, *map(str, argv)], ready
        self.start()

    def start(self):
        with open(self.client.folder / "log", "ab") as log:
            self.process = subprocess.Popen(self.argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self.client.environment())

        def answers():
            if self.process.poll() is not None:
                raise RuntimeError(f"{self.argv} ended:\n{(self.client.folder / 'log').read_text()[-2000:]}")
            return self.client.run(*self.ready).code == 0
        try:
            eventually(answers, f"an answer from {self.client.name}'s daemon", 30)
        except Exception:
            self.stop(signal.SIGKILL)
            raise

    def stop(self, sig=signal.SIGTERM):
        self.process.send_signal(sig)
        self.process.wait(30)
