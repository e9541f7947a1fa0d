"""Images made by hand: layers from lists of entries, manifests in Docker's and in OCI's format.

Everything is built in memory from the two public formats, so that a test can say exactly which
byte is wrong. `push` speaks the registry's HTTP protocol with plain PUTs; nothing here needs a
container engine or a copying tool.
"""
import gzip
import hashlib
import http.client
import io
import json
import os
import shutil
import subprocess
import tarfile
import urllib.parse
from dataclasses import dataclass, field
from pathlib import Path

DOCKER = {
    "manifest": "application/vnd.docker.distribution.manifest.v2+json",
    "config": "application/vnd.docker.container.image.v1+json",
    "gzip": "application/vnd.docker.image.rootfs.diff.tar.gzip",
    "none": "application/vnd.docker.image.rootfs.diff.tar",
    "index": "application/vnd.docker.distribution.manifest.list.v2+json",
}
OCI = {
    "manifest": "application/vnd.oci.image.manifest.v1+json",
    "config": "application/vnd.oci.image.config.v1+json",
    "gzip": "application/vnd.oci.image.layer.v1.tar+gzip",
    "zstd": "application/vnd.oci.image.layer.v1.tar+zstd",
    "none": "application/vnd.oci.image.layer.v1.tar",
    "index": "application/vnd.oci.image.index.v1+json",
}
FORMATS = {"docker": DOCKER, "oci": OCI}
CREATED = "2024-02-29T12:34:56Z"


def digest_of(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


@dataclass(frozen=True)
class Blob:
    data: bytes
    media_type: str

    @property
    def digest(self) -> str:
        return digest_of(self.data)

    def descriptor(self, **extra) -> dict:
        return {"mediaType": self.media_type, "size": len(self.data), "digest": self.digest, **extra}


@dataclass(frozen=True)
class Image:
    """One platform's image: what a manifest names, and the manifest."""
    manifest: Blob
    config: Blob
    layers: tuple
    platform: dict

    @property
    def id(self) -> str:
        return self.config.digest

    @property
    def digest(self) -> str:
        return self.manifest.digest


@dataclass(frozen=True)
class Index:
    manifest: Blob
    images: tuple

    @property
    def digest(self) -> str:
        return self.manifest.digest


# --- layers ------------------------------------------------------------------------------------

@dataclass
class Entry:
    """One member of a layer. `kind` is a tarfile type constant; `data` is a regular file's content."""
    name: str
    kind: bytes = tarfile.REGTYPE
    data: bytes = b""
    mode: int = 0o644
    uid: int = 0
    gid: int = 0
    link: str = ""
    device: tuple = (0, 0)
    xattrs: dict = field(default_factory=dict)
    mtime: int = 1709210096


def directory(name, mode=0o755, **more):
    return Entry(name, tarfile.DIRTYPE, mode=mode, **more)


def symlink(name, target, **more):
    return Entry(name, tarfile.SYMTYPE, link=target, mode=0o777, **more)


def hardlink(name, target, **more):
    return Entry(name, tarfile.LNKTYPE, link=target, **more)


def text(name, content, mode=0o644, **more):
    return Entry(name, data=content.encode(), mode=mode, **more)


def whiteout(path):
    """Removes `path` of the layers below."""
    folder, name = os.path.split(path)
    return Entry(os.path.join(folder, ".wh." + name))


def opaque(folder):
    """Hides everything that the layers below have in `folder`."""
    return Entry(os.path.join(folder, ".wh..wh..opq"))


def tar(entries) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for e in entries:
            info = tarfile.TarInfo(e.name)
            info.type, info.mode, info.uid, info.gid = e.kind, e.mode, e.uid, e.gid
            info.linkname, info.mtime = e.link, e.mtime
            info.devmajor, info.devminor = e.device
            info.size = len(e.data) if e.kind == tarfile.REGTYPE else 0
            info.pax_headers = {f"SCHILY.xattr.{k}": v for k, v in e.xattrs.items()}
            archive.addfile(info, io.BytesIO(e.data) if info.size else None)
    return out.getvalue()


def compress(data: bytes, how: str) -> bytes:
    if how == "gzip":
        return gzip.compress(data, compresslevel=1, mtime=0)
    if how == "zstd":
        return subprocess.run(["zstd", "-q", "-3", "-c"], input=data, stdout=subprocess.PIPE, check=True).stdout
    return data


# --- images ------------------------------------------------------------------------------------

def config(diff_ids, *, architecture="amd64", variant=None, cmd=("sh",), env=(), history=None, **more) -> dict:
    """An image's configuration; `more` goes into its "config" object (User, Volumes, Labels …)."""
    platform = {"architecture": architecture, "os": "linux"}
    if variant:
        platform["variant"] = variant
    path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    return {
        "created": CREATED, **platform,
        "config": {"Env": [path, *env], "Cmd": list(cmd) if cmd else None, **more},
        "rootfs": {"type": "layers", "diff_ids": list(diff_ids)},
        "history": history or [{"created": CREATED, "created_by": f"layer {n}"} for n, _ in enumerate(diff_ids)],
    }


def image(tars, *, style="docker", compression="gzip", **settings) -> Image:
    """An image of uncompressed layer archives."""
    kinds = FORMATS[style]
    layers = tuple(Blob(compress(t, compression), kinds[compression]) for t in tars)
    return assemble(layers, [digest_of(t) for t in tars], style=style, **settings)


def assemble(layers, diff_ids, *, style="docker", **settings) -> Image:
    """An image of layer blobs as they are, whatever their diff ids claim."""
    kinds = FORMATS[style]
    body = config(diff_ids, **settings)
    conf = Blob(json.dumps(body).encode(), kinds["config"])
    manifest = {
        "schemaVersion": 2, "mediaType": kinds["manifest"],
        "config": conf.descriptor(), "layers": [layer.descriptor() for layer in layers],
    }
    platform = {k: body[k] for k in ("architecture", "os", "variant") if k in body}
    return Image(Blob(json.dumps(manifest, indent=3).encode(), kinds["manifest"]), conf, tuple(layers), platform)


def index(images, style="oci") -> Index:
    kinds = FORMATS[style]
    body = {
        "schemaVersion": 2, "mediaType": kinds["index"],
        "manifests": [i.manifest.descriptor(platform=i.platform) for i in images],
    }
    return Index(Blob(json.dumps(body).encode(), kinds["index"]), tuple(images))


def busybox_entries(busybox="/bin/busybox"):
    """A root file system of one static program and the names it answers to."""
    program = Path(busybox).read_bytes()
    names = subprocess.run([busybox, "--list"], stdout=subprocess.PIPE, check=True, text=True).stdout.split()
    yield from (directory(d) for d in ("bin", "dev", "etc", "home", "proc", "root", "sys", "usr", "usr/bin", "var", "var/www"))
    yield directory("tmp", 0o1777)
    yield Entry("bin/busybox", data=program, mode=0o755)
    for name in names:
        if name != "busybox":
            yield hardlink("bin/" + name, "bin/busybox", mode=0o755)
    yield text("etc/passwd", "root:x:0:0:root:/root:/bin/sh\ndaemon:x:1:1:daemon:/usr/sbin:/bin/false\n"
                             "alice:x:1000:1000:Alice:/home/alice:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n")
    yield text("etc/group", "root:x:0:\ndaemon:x:1:\nvideo:x:44:alice\nstaff:x:50:alice\nalice:x:1000:\nnogroup:x:65534:\n")
    yield directory("home/alice", uid=1000, gid=1000)
    yield text("etc/not-executable", "just text\n")


def directory_tar(folder) -> bytes:
    """A directory tree as one layer archive, owners and devices as they are."""
    done = subprocess.run(["tar", "--numeric-owner", "--xattrs", "-C", str(folder), "-c", "."],
                          stdout=subprocess.PIPE, check=True)
    return done.stdout


def debian_tar(cache: Path) -> bytes:
    """Debian from the distribution's own packages; bootstrapped once and then kept in `cache`."""
    cache.mkdir(parents=True, exist_ok=True)
    kept = cache / "debian-bookworm-1.tar"
    if not kept.exists():
        root = cache / f"root-{os.getpid()}"
        try:
            subprocess.run(["debootstrap", "--variant=minbase", "--include=procps,iputils-ping,iproute2",
                            "bookworm", str(root)], check=True, stdout=subprocess.DEVNULL, timeout=900)
            for unwanted in ("var/cache/apt/archives", "var/lib/apt/lists", "usr/share/doc", "usr/share/locale"):
                shutil.rmtree(root / unwanted, ignore_errors=True)
            fresh = kept.with_suffix(f".{os.getpid()}")
            fresh.write_bytes(directory_tar(root))
            fresh.rename(kept)
        finally:
            shutil.rmtree(root, ignore_errors=True)
    return kept.read_bytes()


# --- where they go -----------------------------------------------------------------------------

class Pusher:
    """Uploads blobs and manifests to a registry; over HTTPS where `trust`, an ssl.SSLContext, is given."""

    def __init__(self, address: str, auth: str = "", trust=None):
        self.address, self.headers, self.trust = address, {"Authorization": auth} if auth else {}, trust

    def _send(self, method, path, body=b"", **headers):
        connection = (http.client.HTTPSConnection(self.address, timeout=60, context=self.trust) if self.trust
                      else http.client.HTTPConnection(self.address, timeout=60))
        try:
            connection.request(method, path, body, {**self.headers, **headers})
            reply = connection.getresponse()
            reply.read()
            return reply
        finally:
            connection.close()

    def blob(self, repo: str, blob: Blob):
        if self._send("HEAD", f"/v2/{repo}/blobs/{blob.digest}").status == 200:
            return
        begun = self._send("POST", f"/v2/{repo}/blobs/uploads/")
        assert begun.status == 202, f"upload refused with {begun.status}"
        where = urllib.parse.urlsplit(begun.headers["Location"])
        query = f"{where.query}&digest={blob.digest}"
        done = self._send("PUT", f"{where.path}?{query}", blob.data, **{"Content-Type": "application/octet-stream"})
        assert done.status == 201, f"blob refused with {done.status}"

    def manifest(self, repo: str, tag: str, manifest: Blob):
        done = self._send("PUT", f"/v2/{repo}/manifests/{tag}", manifest.data, **{"Content-Type": manifest.media_type})
        assert done.status == 201, f"manifest refused with {done.status}"

    def push(self, repo: str, tag: str, what):
        """Pushes an Image or an Index with its images; returns the digest that `tag` now has."""
        if isinstance(what, Index):
            for each in what.images:
                self.push(repo, each.digest, each)
        else:
            for blob in (what.config, *what.layers):
                self.blob(repo, blob)
        self.manifest(repo, tag, what.manifest)
        return what.digest


def docker_archive(name: str, picture: Image, tars) -> bytes:
    """The archive that `docker load` reads."""
    hexes = [digest_of(t).split(":")[1] for t in tars]
    conf = picture.id.split(":")[1] + ".json"
    listing = [{"Config": conf, "RepoTags": [name], "Layers": [f"{h}/layer.tar" for h in hexes]}]
    members = [Entry(conf, data=picture.config.data), text("manifest.json", json.dumps(listing))]
    for h, t in zip(hexes, tars):
        members += [directory(h), Entry(f"{h}/layer.tar", data=t)]
    return tar(members)


def write_oci_layout(folder: Path, named: dict):
    """An OCI image layout on disk; `named` maps a reference name to an Image or Index."""
    blobs = folder / "blobs" / "sha256"
    blobs.mkdir(parents=True, exist_ok=True)
    entries = []

    def keep(blob):
        (blobs / blob.digest.split(":")[1]).write_bytes(blob.data)

    for name, what in named.items():
        for each in (what.images if isinstance(what, Index) else [what]):
            for blob in (each.manifest, each.config, *each.layers):
                keep(blob)
        keep(what.manifest)
        entries.append(what.manifest.descriptor(annotations={"org.opencontainers.image.ref.name": name}))
    (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "mediaType": OCI["index"], "manifests": entries}))
