"""Certificates by Debian's openssl, and where engines look for those of a registry."""
import ipaddress
import shutil
import subprocess
from pathlib import Path

import pytest


def need_openssl() -> str:
    return shutil.which("openssl") or pytest.skip("no openssl on this machine")


class Authority:
    """A certificate authority in a folder; `certificate` is what has to be trusted."""

    def __init__(self, folder: Path, name="tests"):
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.certificate, self._key = folder, folder / "ca.crt", folder / "ca.key"
        self._openssl("req", "-x509", *self._new_key(self._key), "-out", self.certificate, "-days", 2, "-subj", f"/CN=authority of {name}",
                      "-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign")

    def issue(self, name: str, *hosts: str, days=1) -> tuple:
        """(certificate, key): for a server at `hosts`, or for a client where none is given; `days` below 0 has expired."""
        certificate, key, request, extension = (self.folder / f"{name}{end}" for end in (".cert", ".key", ".csr", ".ext"))
        extension.write_text(f"subjectAltName={','.join(map(alternative_name, hosts))}\nextendedKeyUsage=serverAuth\n" if hosts
                             else "extendedKeyUsage=clientAuth\n")
        self._openssl("req", *self._new_key(key), "-out", request, "-subj", f"/CN={name}")
        self._openssl("x509", "-req", "-in", request, "-CA", self.certificate, "-CAkey", self._key, "-CAcreateserial",
                      "-out", certificate, "-days", days, "-extfile", extension)
        return certificate, key

    @staticmethod
    def _new_key(path) -> list:
        return ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", path]

    @staticmethod
    def _openssl(*args):
        done = subprocess.run([need_openssl(), *map(str, args)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True)
        assert done.returncode == 0, f"openssl {args}: {done.stdout}"


def alternative_name(host: str) -> str:
    try:
        return f"IP:{ipaddress.ip_address(host)}"
    except ValueError:
        return f"DNS:{host}"


class PrivateEtc:
    """What a command sees in /etc, changed for it alone: `hosts` and each engine's certs.d are the files in `folder`."""
    SCRIPT = """
        mount --make-rprivate /
        own=$(mktemp -d "$1/changes.XXXXXX"); mkdir "$own/upper" "$own/work"
        mount -t overlay overlay -o "lowerdir=/etc,upperdir=$own/upper,workdir=$own/work" /etc
        for engine in docker corten containers; do
            mkdir -p "/etc/$engine/certs.d"; mount --bind "$1/$engine" "/etc/$engine/certs.d"
        done
        mount --bind "$1/hosts" /etc/hosts
        shift; exec "$@"
    """

    def __init__(self, folder: Path):
        self.folder = folder
        for name in ("docker", "corten", "containers"):
            (folder / name).mkdir(parents=True)
        (folder / "hosts").write_text(Path("/etc/hosts").read_text())

    def prefix(self) -> list:
        """Before a command: it becomes the command, under the same process id."""
        return ["unshare", "-m", "sh", "-ec", self.SCRIPT, "etc", str(self.folder)]

    def trust(self, host: str, authority: Path, client=None, engines=("docker", "containers")):
        """certs.d/HOST of these engines: an authority's certificate, and (certificate, key) of the client where there is one."""
        for engine in engines:
            place = self.folder / engine / host
            place.mkdir(exist_ok=True)
            shutil.copy(authority, place / "ca.crt")
            for source, name in zip(client or (), ("client.cert", "client.key")):
                shutil.copy(source, place / name)

    def distrust(self):
        for engine in ("docker", "corten", "containers"):
            for place in (self.folder / engine).iterdir():
                shutil.rmtree(place)
