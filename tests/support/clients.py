"""The commands that drive a daemon: the stock `docker`, and our own `corten`."""
import json
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from . import paths
from .wait import SLOWNESS


@dataclass
class Done:
    args: tuple
    code: int
    raw: bytes
    raw_err: bytes

    @property
    def out(self) -> str:
        return self.raw.decode(errors="replace")

    @property
    def err(self) -> str:
        return self.raw_err.decode(errors="replace")

    def __repr__(self):
        return f"{' '.join(self.args)!r} → {self.code}\nout: {self.out[-1500:]}\nerr: {self.err[-1500:]}"


class Client:
    """One command-line client aimed at one daemon."""

    def __init__(self, name: str, program: str, host: str, config: Path):
        self.name, self.program, self.host, self.config = name, program, host, config
        config.mkdir(parents=True, exist_ok=True)

    def environment(self) -> dict:
        kept = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy") and not k.startswith("DOCKER_")}
        return {**kept, "DOCKER_HOST": self.host, "DOCKER_CONFIG": str(self.config), "HOME": str(self.config),
                "TERM": "xterm", "DOCKER_CLI_HINTS": "false", "LC_ALL": "C.UTF-8"}

    def argv(self, *args) -> list:
        return [self.program, *map(str, args)]

    def run(self, *args, input=None, timeout=60) -> Done:
        """Runs the client to its end; `input` is its standard input, which is otherwise empty."""
        timeout *= SLOWNESS
        data = input.encode() if isinstance(input, str) else input
        argv = self.argv(*args)
        feed = {"input": data} if data is not None else {"stdin": subprocess.DEVNULL}
        try:
            done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=timeout,
                                  env=self.environment(), **feed)
        except subprocess.TimeoutExpired as late:
            raise AssertionError(f"{' '.join(argv)} did not end within {timeout} s\n"
                                 f"out: {late.stdout and late.stdout[-1000:]}\nerr: {late.stderr and late.stderr[-1000:]}")
        return Done((self.name, *map(str, args)), done.returncode, done.stdout, done.stderr)

    def ok(self, *args, **more) -> str:
        """Runs the client, which must succeed; returns its output without the last line break."""
        done = self.run(*args, **more)
        assert done.code == 0, repr(done)
        return done.out.rstrip("\n")

    def fails(self, *args, code=None, says=None, **more) -> Done:
        """Runs the client, which must fail; `says` is a regular expression for its complaint."""
        done = self.run(*args, **more)
        assert done.code != 0 if code is None else done.code == code, f"expected {code or 'a failure'}: {done!r}"
        if says:
            assert re.search(says, done.err), f"no {says!r} in {done!r}"
        return done

    def json(self, *args, **more):
        return json.loads(self.ok(*args, **more))

    def inspect(self, name, path=None):
        """`inspect NAME`, or the value at a dotted path in it."""
        value = self.json("inspect", name)[0]
        for part in path.split(".") if path else []:
            value = value[part]
        return value

    def popen(self, *args, **more) -> subprocess.Popen:
        more.setdefault("stdin", subprocess.PIPE)
        return subprocess.Popen(self.argv(*args), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                env=self.environment(), **more)

    def version(self) -> tuple:
        text = subprocess.run([self.program, "--version"], stdout=subprocess.PIPE, text=True).stdout
        found = re.search(r"(\d+)\.(\d+)", text)
        return (int(found[1]), int(found[2])) if found else (0, 0)


def find_docker():
    """The stock client: the first `docker` in the path, or the one that packaging/ unpacked for the tests."""
    unpacked = paths.BUILD / "tools" / "bin" / "docker"
    return os.environ.get("CORTEN_TEST_DOCKER") or shutil.which("docker") or (str(unpacked) if unpacked.exists() else None)
