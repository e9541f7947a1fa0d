"""OCI bundles and the runtimes that run them: ours, and Debian's runc and crun beside it."""
import contextlib
import copy
import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from . import paths
from .clients import Done
from .wait import SLOWNESS

RUNTIME = paths.BIN / "corten-runtime"
APPLETS = ("cat", "chmod", "echo", "env", "grep", "hostname", "id", "kill", "ln", "ls", "mkdir", "mount", "mv", "ps", "readlink", "rm",
           "sh", "sleep", "stat", "stty", "touch", "true", "tty", "umount")
CAPABILITIES = ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"]
CONFIG = {
    "ociVersion": "1.0.2",
    "process": {"user": {"uid": 0, "gid": 0}, "args": ["true"], "env": ["PATH=/bin", "TERM=xterm"], "cwd": "/",
                "capabilities": {k: CAPABILITIES for k in ("bounding", "effective", "permitted")},
                "rlimits": [{"type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024}], "noNewPrivileges": True},
    "root": {"path": "rootfs"},
    "hostname": "box",
    "mounts": [
        {"destination": "/proc", "type": "proc", "source": "proc"},
        {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "strictatime", "mode=755", "size=65536k"]},
        {"destination": "/dev/pts", "type": "devpts", "source": "devpts",
         "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]},
        {"destination": "/dev/shm", "type": "tmpfs", "source": "shm", "options": ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]},
        {"destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue", "options": ["nosuid", "noexec", "nodev"]},
        {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["nosuid", "noexec", "nodev", "ro"]},
        {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": ["nosuid", "noexec", "nodev", "relatime", "ro"]}],
    "linux": {
        "namespaces": [{"type": t} for t in ("pid", "network", "ipc", "uts", "mount")],
        "resources": {"devices": [{"allow": False, "access": "rwm"}]},
        "maskedPaths": ["/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/timer_list", "/sys/firmware"],
        "readonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"]}}


class Bundle:
    """A folder with a busybox root and a configuration; `config` is written by save()."""

    def __init__(self, folder: Path, *args):
        self.path, self.root = folder, folder / "rootfs"
        for name in ("bin", "etc", "tmp", "root", "dev", "proc", "sys"):
            (self.root / name).mkdir(parents=True, exist_ok=True)
        if not Path("/bin/busybox").exists():
            pytest.skip("no busybox-static on this machine")
        shutil.copy("/bin/busybox", self.root / "bin" / "busybox")
        for name in APPLETS:
            (self.root / "bin" / name).symlink_to("busybox")
        (self.root / "etc" / "passwd").write_text("root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000::/home/user:/bin/sh\n")
        self.config = copy.deepcopy(CONFIG)
        self.save(*args)

    def save(self, *args):
        if args:
            self.config["process"]["args"] = list(args)
        (self.path / "config.json").write_text(json.dumps(self.config))
        return self

    def shell(self, script):
        return self.save("sh", "-c", script)

    def mount(self, destination, source, kind="bind", options=("bind",)):
        self.config["mounts"].append({"destination": destination, "type": kind, "source": str(source), "options": list(options)})


class Runtime:
    """A program with runc's command line and a state directory of its own."""

    def __init__(self, program, root: Path, prefix=()):
        self.program, self.root, self.prefix, self.made = str(program), root, list(prefix), set()

    def argv(self, *args) -> list:
        return [*self.prefix, self.program, "--root", str(self.root), *map(str, args)]

    def run(self, *args, timeout=30, **more) -> Done:
        more.setdefault("stdin", subprocess.DEVNULL)
        # Files and not pipes: what `create` leaves running keeps its standard output open.
        with open(self.root.parent / "out", "w+b") as out, open(self.root.parent / "err", "w+b") as err:
            done = subprocess.run(self.argv(*args), stdout=out, stderr=err, timeout=timeout * SLOWNESS, **more)
            out.seek(0), err.seek(0)
            return Done((Path(self.program).name, *map(str, args)), done.returncode, out.read(), err.read())

    def ok(self, *args, **more) -> str:
        done = self.run(*args, **more)
        assert done.code == 0, repr(done)
        return done.out

    def fails(self, *args, says="", code=1, **more) -> Done:
        done = self.run(*args, **more)
        assert done.code == code and says in done.err, f"wanted {code} and {says!r}: {done!r}"
        return done

    def create(self, name, bundle: Bundle, *options):
        self.made.add(name)
        return self.ok("create", "--bundle", bundle.path, *options, name)

    def start(self, name, bundle: Bundle, *options):
        self.create(name, bundle, *options)
        self.ok("start", name)

    def output(self, name, bundle: Bundle, *options, code=0) -> str:
        """What a container prints on its standard output; it must end with `code`."""
        done = self.run("run", *options, "--bundle", bundle.path, name)
        assert done.code == code, repr(done)
        return done.out

    def state(self, name) -> dict:
        return json.loads(self.ok("state", name))

    def clean(self):
        for name in os.listdir(self.root) if self.root.exists() else []:
            if not name.startswith("."):
                self.run("delete", "--force", name)


def in_user_namespace(bundle):
    """The bundle's container gets one whose root is user 100000 of the host, and its files are that user's."""
    bundle.config["linux"]["namespaces"].append({"type": "user"})
    bundle.config["linux"].update({f"{kind}Mappings": [{"containerID": 0, "hostID": 100000, "size": 65536}] for kind in ("uid", "gid")})
    subprocess.run(["chown", "-R", "100000:100000", str(bundle.root)], check=True)


def users_bundle(runtime: Runtime, folder: Path, user: int) -> Bundle:
    """An ordinary user's, with the configuration that `spec --rootless` writes, but for the terminal."""
    made = Bundle(folder)
    (made.path / "config.json").unlink()
    for path in (made.path, *made.path.rglob("*")):
        os.lchown(path, user, user)
    runtime.ok("spec", "--rootless", "--bundle", made.path)
    made.config = json.loads((made.path / "config.json").read_text())
    made.config["process"]["terminal"], made.config["root"]["readonly"] = False, False
    return made


@contextlib.contextmanager
def descriptor_socket(path: Path):
    """A unix socket that a runtime sends a descriptor to: a function that gives what came, (its name, the descriptor)."""
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        server.settimeout(10 * SLOWNESS)

        def received() -> tuple:
            peer, _ = server.accept()
            with peer:
                name, fds, _, _ = socket.recv_fds(peer, 4096, 1)
                return name.decode(), fds[0]
        yield received
    path.unlink()


def hiding_unified() -> list:
    """A command's prefix: a mount namespace without the unified half of a hybrid hierarchy, which crun and podman take for v2."""
    script = 'mount --make-rprivate /; if mountpoint -q /sys/fs/cgroup/unified; then umount /sys/fs/cgroup/unified; fi; exec "$@"'
    return ["unshare", "-m", "bash", "-c", script, "hiding"]


def need(name: str) -> str:
    program = shutil.which(name)
    if not program:
        pytest.skip(f"no {name} on this machine: packaging/test.sh --peers installs it")
    return program


def complaint_of_criu() -> str:
    """Why CRIU cannot work on this machine, "" where it can."""
    if not shutil.which("criu"):
        return "no criu on this machine: packaging/debian-packages has it for packaging/vm.sh"
    done = subprocess.run(["criu", "check"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    said = done.stdout.strip().splitlines() or [f"exit status {done.returncode}"]
    return "" if done.returncode == 0 else f"criu check: {said[-1]}"


def script_command(argv) -> list:
    """The command in a terminal that is made for it."""
    return [sys.executable, "-c", "import pty, sys, os; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))", *map(str, argv)]


def message(done) -> str:
    """The complaint of a runtime that failed: one line of its log."""
    lines = done.err.strip().splitlines()
    assert len(lines) == 1, f"not one sentence: {done!r}"
    return lines[0]
