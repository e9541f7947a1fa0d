"""Attacks on container engines that are known by name, tried on this one: through images, archives, containers, registries, the API.

What tests/test_hostile_images.py and test_registry_faults.py prove already is not said again here. The host's files that
nobody may see or change are `hidden`: a folder that is compared to what it was after each test.
"""
import base64
import bz2
import concurrent.futures
import contextlib
import gzip
import http.client
import http.server
import io
import json
import lzma
import os
import re
import socket
import socketserver
import ssl
import stat
import struct
import subprocess
import sys
import tarfile
import threading
import time
import urllib.parse
import uuid
from pathlib import Path

import pytest

from support import engines, images, paths, registry as registries
from support.engines import BOX
from support.outside import Outside
from support.registry import FaultyRegistry
from support.wait import eventually

UP = "../" * 16
MARK = "only-the-host-has-this"
TAR = {"Content-Type": "application/x-tar"}
LOOP = "while :; do {}; done"
HEAD = b" HTTP/1.1\r\nHost: d\r\n"


def tree(folder: Path) -> dict:
    found = {}
    for at in (folder, *sorted(folder.rglob("*"))):
        info = at.lstat()
        content = at.read_bytes() if at.is_file() and not at.is_symlink() else b""
        found[str(at)] = (info.st_mode, info.st_uid, info.st_gid, info.st_nlink, content)
    return found


@pytest.fixture
def hidden(engine):
    folder = engine.folder("hidden-")
    (folder / "mark").write_text(MARK)
    (folder / "program").write_text("#!/bin/sh\n")
    (folder / "below").mkdir()
    before = tree(folder)
    yield folder
    assert tree(folder) == before, "files of the host were changed or made"
    assert engine.api.alive()


@pytest.fixture
def outside():
    other = Outside()
    yield other
    other.close()


def load(engine, archive):
    """The answer to an archive of images, and its text."""
    done = engine.api.post("/images/load", archive, headers=TAR, timeout=60)
    return done, done.body.decode(errors="replace")


@pytest.fixture
def make(engine, box_tar):
    """Loads an image of the base layer, further entries, and settings; returns its name."""
    def build(*entries, name="hostile:1", **settings):
        tars = [box_tar, images.tar(entries)] if entries else [box_tar]
        done, text = load(engine, images.docker_archive(name, images.image(tars, **settings), tars))
        assert done.status == 200 and "Loaded image" in text, text
        return name
    return build


def create(engine, name, *command, image=BOX, **more):
    answer = engine.api.post(f"/containers/create?name={name}", {"Image": image, "Cmd": list(command) or ["sleep", "600"], **more})
    assert answer.status == 201, answer
    return name


def start(engine, name, *command, **more):
    create(engine, name, *command, **more)
    answer = engine.api.post(f"/containers/{name}/start")
    assert answer.status == 204, answer
    return name


def log_of(engine, name) -> bytes:
    """What a container has printed, once it has ended."""
    engine.api.post(f"/containers/{name}/wait")
    return engine.api.get(f"/containers/{name}/logs?stdout=1").body


def archive_url(name, path):
    return f"/containers/{name}/archive?path={urllib.parse.quote(path)}"


def put(engine, name, path, archive, flags=""):
    return engine.api.request("PUT", archive_url(name, path) + flags, archive, TAR, timeout=60)


def pull(engine, reference, headers=None):
    """(whether it was pulled, what was said)"""
    repo, _, tag = reference.rpartition(":")
    done = engine.api.post(f"/images/create?fromImage={repo}&tag={tag}", headers=headers, timeout=60)
    text = done.body.decode(errors="replace")
    return done.status == 200 and '"error"' not in text, text


def auth(user, password) -> dict:
    return {"X-Registry-Auth": base64.urlsafe_b64encode(json.dumps({"username": user, "password": password}).encode()).decode()}


def daemon_files(engine) -> set:
    return {p.name for p in Path(f"/proc/{engine.process.pid}/fd").iterdir()}


def memory_of(pid: int) -> int:
    return int(re.search(r"(?m)^Pss:\s+(\d+)", Path(f"/proc/{pid}/smaps_rollup").read_text())[1])


def peak_of(pid: int) -> int:
    return int(re.search(r"(?m)^VmHWM:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[1])


def supervisor_of(engine, name) -> int:
    return int(Path(f"/proc/{engine.host_pid(name)}/stat").read_text().rpartition(")")[2].split()[1])


# --- archives that lead out ----------------------------------------------------------------------

def attacks(hidden: Path) -> dict:
    """Archives whose entries would change `hidden` for who unpacks them by path."""
    at, up = str(hidden), UP + str(hidden)[1:]
    text, link, hard, folder = images.text, images.symlink, images.hardlink, images.directory
    return {
        "absolute": [text(f"{at}/new", "owned")],
        "dots": [text(f"{up}/new", "owned")],
        "dots inside": [folder("a"), text(f"a/{up}/new", "owned")],
        "through a link": [link("l", at), text("l/new", "owned")],
        "through a relative link": [link("l", up), text("l/new", "owned")],
        "through two links": [link("k", at), link("l", "k/below"), text("l/new", "owned")],
        "over a link": [link("l", f"{at}/mark"), text("l", "owned", mode=0o777)],
        "mode of a link's target": [link("l", f"{at}/program"), images.Entry("l", mode=0o4777)],
        "mode of a linked folder": [link("l", f"{at}/below"), folder("l", mode=0o777, uid=7, gid=7)],
        "mode below a linked folder": [link("l", at), folder("l/below", mode=0o777, uid=7, gid=7)],
        "hard link out": [hard("h", f"{at}/mark"), text("h", "owned")],
        "hard link by dots": [hard("h", f"{up}/mark")],
        "hard link by a link": [link("l", at), hard("h", "l/mark"), text("h", "owned")],
        "hard link to a link": [link("l", f"{at}/mark"), hard("h", "l"), images.Entry("h", mode=0o777, uid=7)],
        "attribute by a link": [link("l", f"{at}/mark", xattrs={"user.owned": "1"})],
        "root is a link": [link(".", at), text("new", "owned")],
        "root by dots": [link("a/..", at), text("new", "owned")],
    }


WAYS = ["stopped", "running", "read-only stopped", "volume", "import", "load"]


@pytest.mark.parametrize("way", WAYS)
def test_cve_2018_15664_and_2021_41089_and_2021_32760_archive_reaches_nothing_outside(engine, hidden, box_tar, way):
    """Whatever takes a tar takes these: nothing is made, changed or given other rights outside of its target."""
    if way in ("stopped", "running", "read-only stopped", "volume"):
        create(engine, "box", HostConfig={"ReadonlyRootfs": way.startswith("read-only"), "Binds": ["vol:/vol"]})
        if way == "running":
            engine.api.post("/containers/box/start")
    for what, entries in attacks(hidden).items():
        archive = images.tar(entries)
        if way == "import":
            done = engine.api.post("/images/create?fromSrc=-&repo=tricked", archive, headers=TAR, timeout=60)
        elif way == "load":
            tars = [box_tar, archive]
            done, _ = load(engine, images.docker_archive("tricked:1", images.image(tars), tars))
        else:
            done = put(engine, "box", "/vol" if way == "volume" else "/tmp", archive)
        assert done.status in (200, 400, 403, 404, 409, 500), (what, done)
        assert [p.name for p in sorted(hidden.iterdir())] == ["below", "mark", "program"], what
        assert (hidden / "mark").read_text() == MARK and stat.S_IMODE((hidden / "program").stat().st_mode) == 0o644, what


@pytest.mark.parametrize("running", [False, True], ids=["stopped", "running"])
@pytest.mark.parametrize("base", ["", "/vol"], ids=["root", "volume"])
def test_cve_2018_15664_and_2019_10152_cp_follows_no_symlink_out(engine, make, hidden, running, base):
    """A path whose parts are links to the host's files is resolved inside, for reading, writing and asking."""
    links = [images.symlink(f"{base}/{n}", t) for n, t in [("out", str(hidden)), ("up", UP + str(hidden)[1:]), ("file", f"{hidden}/mark")]]
    name = make(images.directory("vol"), *links)
    start(engine, "box", image=name, HostConfig={"Binds": ["vol:/vol"]})
    if not running:
        engine.api.post("/containers/box/kill")
        engine.api.post("/containers/box/wait")
    payload = images.tar([images.text("new", "owned"), images.text("mark", "owned")])
    for path in (f"{base}/out", f"{base}/out/", f"{base}/out/.", f"{base}/up", f"{base}/out/below", f"{base}/up/below/..", f"{base}/file",
                 f"{base}/out/mark", f"{base}/up/mark", f"/{UP}{str(hidden)[1:]}", f"{base}/out/../../../{hidden}"):
        assert put(engine, "box", path, payload).status in (200, 400, 404), path
        read = engine.api.get(archive_url("box", path))
        assert read.status in (200, 404) and MARK.encode() not in read.body, path
        asked = engine.api.request("HEAD", archive_url("box", path))
        assert asked.status in (200, 404), path


def test_cve_2018_15664_and_2023_0778_export_keeps_links_as_links(engine, make, hidden):
    create(engine, "box", image=make(images.symlink("f", f"{hidden}/mark"), images.symlink("d", str(hidden)),
                                     images.symlink("etc/hosts", f"{hidden}/mark")))
    body = engine.api.get("/containers/box/export", timeout=60).body
    assert MARK.encode() not in body
    with tarfile.open(fileobj=io.BytesIO(body)) as archive:
        assert archive.getmember("f").linkname == f"{hidden}/mark" and archive.getmember("d").issym()


def swapping(first, second) -> str:
    """A shell loop in which x is a folder, a link to the first, nothing, and a link to the second in turn."""
    return LOOP.format(f"rm -rf x.d x.l; mkdir -p x.d/below; echo mine > x.d/mark; ln -s {first} x.l; mv -T x.d x; rm -rf x; "
                       f"mv -T x.l x; rm -f x; ln -s {second} x; rm -f x")


@pytest.mark.parametrize("target", ["absolute", "relative"])
def test_cve_2018_15664_and_2026_41568_and_42306_race_for_the_path_of_a_copy(engine, hidden, target):
    """A container swaps a folder and a link to the host as fast as it can while files are copied through the path."""
    lead = str(hidden) if target == "absolute" else UP + str(hidden)[1:]
    start(engine, "racer", "sh", "-c", f"mkdir -p /work; cd /work; {swapping(lead, lead + '/below')}")
    payload = images.tar([images.text("new", "owned"), images.directory("below", mode=0o777), images.text("below/new", "owned"),
                          images.text("mark", "owned")])
    end = time.monotonic() + 3
    seen = set()

    def writer(_):
        while time.monotonic() < end:
            seen.add(("put", put(engine, "racer", "/work/x", payload).status))
            seen.add(("put", put(engine, "racer", "/work", images.tar([images.text("x/new", "owned"),
                                                                       images.text("x/below/new", "owned")])).status))

    def reader(_):
        while time.monotonic() < end:
            for path in ("/work/x", "/work/x/", "/work/x/mark", "/work"):
                with contextlib.suppress(http.client.HTTPException):
                    answer = engine.api.get(archive_url("racer", path))
                    assert MARK.encode() not in answer.body
                    seen.add(("get", answer.status))
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        for each in [pool.submit(writer, 0), pool.submit(reader, 0), pool.submit(reader, 1)]:
            each.result()
    assert ("put", 200) in seen and ("get", 200) in seen, f"nothing was copied: {seen}"


@pytest.mark.parametrize("way", ["link", "link/below", "up", "d/../link", "dots", "absolute"])
def test_cve_2026_42306_and_2024_23651_folder_of_a_volume_lies_in_it(engine, hidden, way):
    """Links that a container has put into its volume, and paths that leave it, are mounted for nobody, started or not."""
    up = UP + str(hidden)[1:]
    log_of(engine, start(engine, "maker", "sh", "-c", f"cd /work; mkdir d; ln -s {hidden} link; ln -s {up} up",
                         HostConfig={"Binds": ["vol:/work"]}))
    wanted = {"dots": up, "absolute": str(hidden)}.get(way, way)
    mount = {"Type": "volume", "Source": "vol", "Target": "/seen", "VolumeOptions": {"Subpath": wanted}}
    made = engine.api.post("/containers/create?name=victim", {"Image": BOX, "Cmd": ["find", "/seen"], "HostConfig": {"Mounts": [mount]}})
    if made.status == 201:
        assert MARK.encode() not in engine.api.get(archive_url("victim", "/seen")).body
        assert put(engine, "victim", "/seen", images.tar([images.text("new", "owned")])).status != 200
        engine.api.post("/containers/victim/start")
        assert b"/seen/mark" not in log_of(engine, "victim")


EXCHANGE = """
import ctypes, sys
rename, names = ctypes.CDLL(None).renameat2, [name.encode() for name in sys.argv[1:]]
while rename(-100, names[0], -100, names[1], 2) == 0:
    pass
"""


def test_cve_2026_42306_race_for_the_folder_of_a_volume(engine, hidden):
    """What is mounted of a volume is looked up once: who swaps it for a link after that gives no folder of the host away.

    The swapping is what a container that has the volume can do; from outside it is fast enough for a few tries."""
    assert engine.api.post("/volumes/create", {"Name": "vol"}).status == 201
    volume = Path(engine.api.get("/volumes/vol").json()["Mountpoint"])
    (volume / "x").mkdir()
    (volume / "x" / "mark").write_text("mine")
    (volume / "y").symlink_to(hidden)
    mount = {"Type": "volume", "Source": "vol", "Target": "/seen", "VolumeOptions": {"Subpath": "x"}}
    create(engine, "victim", "cat", "/seen/mark", HostConfig={"Mounts": [mount]})
    swapper = subprocess.Popen([sys.executable, "-c", EXCHANGE, volume / "x", volume / "y"])
    try:
        statuses = set()
        for _ in range(50):
            statuses.add(engine.api.post("/containers/victim/start").status)
            shown = log_of(engine, "victim")
    finally:
        swapper.kill()
        swapper.wait()
    assert 204 in statuses and b"mine" in shown, (statuses, shown)
    assert MARK.encode() not in shown, "the container read the host's file"


class EvilDaemon:
    """Answers `cp` with an archive of its own making; everything else with 404."""

    def __init__(self, path: Path, archive: bytes, mode: int):
        shown = base64.b64encode(json.dumps({"name": "x", "size": 1, "mode": mode, "mtime": "2024-02-29T12:34:56Z",
                                             "linkTarget": ""}).encode()).decode()

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def address_string(self):
                return "client"

            def do_GET(self):
                wanted = "/archive" in self.path
                ping = self.path.endswith("/_ping")
                body = archive if wanted else b"OK" if ping else b'{"message": "no"}'
                self.send_response(200 if wanted or ping else 404)
                self.send_header("Api-Version", "1.41")
                self.send_header("Content-Type", "application/x-tar" if wanted else "application/json")
                if wanted:
                    self.send_header("X-Docker-Container-Path-Stat", shown)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            do_HEAD = do_GET

        class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
            daemon_threads = True

        self.server = Server(str(path), Handler)
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


def test_cve_2019_10152_command_writes_no_copied_archive_outside_of_its_target(engine, corten, hidden, tmp_path):
    """A daemon, or what a container makes it send, that pretends to lie elsewhere: `cp` stays in the folder it was given."""
    for number, (what, entries) in enumerate(attacks(hidden).items()):
        entries = [images.directory("x")] + [images.Entry(**{**vars(e),
                                                             "name": e.name if e.name.startswith(("/", "..")) else f"x/{e.name}"})
                                             for e in entries]
        evil = EvilDaemon(tmp_path / f"{number}.sock", images.tar(entries), 1 << 31 | 0o755)
        try:
            corten.host = f"unix://{tmp_path}/{number}.sock"
            target = tmp_path / f"out-{number}"
            target.mkdir()
            corten.run("cp", "c:/x", target, timeout=20)
            assert (target / "x").is_dir(), f"{what}: nothing was copied at all"
        finally:
            evil.stop()
        assert [p.name for p in sorted(hidden.iterdir())] == ["below", "mark", "program"], what
        assert (hidden / "mark").read_text() == MARK and stat.S_IMODE((hidden / "program").stat().st_mode) == 0o644, what


def test_cve_2026_19730_shorter_file_leaves_nothing_of_the_longer(engine):
    start(engine, "box")
    for content in ("long " * 5000, "short"):
        assert put(engine, "box", "/tmp", images.tar([images.text("f", content)])).status == 200
    with tarfile.open(fileobj=io.BytesIO(engine.api.get(archive_url("box", "/tmp/f")).body)) as archive:
        assert archive.extractfile("f").read() == b"short"


# --- programs and libraries of the container, and of who set the path -----------------------------

HELPERS = ("xz", "unxz", "pigz", "unpigz", "igzip", "gzip", "gunzip", "zstd", "bzip2", "tar", "ps", "nsenter", "chroot", "unshare", "mount",
           "umount", "cp", "ip",
           "iptables", "nft", "modprobe", "sh", "git", "sysctl", "mkfs.ext4", "runc", "corten-runtime", "corten-shim", "corten-init")
PASSWORD = "pass-7f3a91c2-word"


@pytest.fixture
def wary(box_reference, tmp_path_factory):
    """A talkative daemon whose PATH begins with a folder of traps: each program notes that it was run."""
    traps = tmp_path_factory.mktemp("corten-t-traps")
    for name in HELPERS:
        (traps / name).write_text(f"#!/bin/bash\necho {name} >> {traps}/ran\nexit 1\n")
        (traps / name).chmod(0o755)
    daemon = engines.Daemon("wary", extra=["--debug"], environment={"PATH": f"{traps}:{os.environ['PATH']}"})
    daemon.start()
    try:
        engines.pull(daemon, box_reference, BOX)
        daemon.traps = traps
        yield daemon
    finally:
        daemon.stop()


def packed(archive: bytes) -> dict:
    return {"gz": gzip.compress(archive), "xz": lzma.compress(archive), "bz2": bz2.compress(archive),
            "zst": images.compress(archive, "zstd")}


@pytest.mark.corten_only
def test_cve_2026_41567_and_2022_1227_and_2021_3602_no_helper_is_taken_from_the_container_or_the_path(wary, box_tar):
    """Unpacking, copying, listing processes: no program of the container runs for the engine, nor one that only PATH names."""
    trap = "#!/bin/busybox sh\n/bin/busybox echo $0 >> /ran\n"
    entries = [images.text(f"{folder}/{name}", trap, 0o755) for folder in ("usr/local/sbin", "usr/local/bin", "usr/sbin",
                                                                           "usr/bin") for name in HELPERS]
    tars = [box_tar, images.tar(entries)]
    done, text = load(wary, gzip.compress(images.docker_archive("trapped:1", images.image(tars), tars), 1))
    assert "Loaded image" in text, text
    start(wary, "live", "/bin/busybox", "sleep", "600", image="trapped:1", Env=["LD_PRELOAD=/evil.so"])
    create(wary, "cold", "/bin/busybox", "sleep", "600", image="trapped:1")
    for name in ("live", "cold"):
        for kind, archive in packed(images.tar([images.text("unpacked", name)])).items():
            made = f"/tmp/{kind}"
            put(wary, name, "/tmp", images.tar([images.directory(kind)]))
            assert put(wary, name, made, archive).status == 200, kind
            assert wary.api.get(archive_url(name, f"{made}/unpacked")).status == 200, f"{kind} was not unpacked"
        assert wary.api.get(f"/containers/{name}/export").status == 200
        assert wary.api.get(archive_url(name, "/ran")).status == 404, "a program of the container ran"
    assert wary.api.get("/containers/live/top").status == 200 and wary.api.get("/containers/live/top?ps_args=aux").status == 200
    assert wary.api.get("/containers/live/stats?stream=0").status == 200
    assert wary.api.get(archive_url("live", "/ran")).status == 404, "a program of the container ran"
    assert not (wary.traps / "ran").exists(), (wary.traps / "ran").read_text()


@pytest.mark.corten_only
def test_cve_2019_13509_secrets_are_in_no_log(wary, faulty, box_tar):
    """Not even with --debug, when the request fails, or when the registry sends the secret back in its refusal."""
    reference = faulty.put("secret", "1", images.image([box_tar]))

    def refuse(handler, body, kind):
        given = handler.headers.get("Authorization")
        if not given:
            return registries.reply(handler, b"{}", "application/json", 401, headers={"WWW-Authenticate": 'Basic realm="x"'})
        registries.reply(handler, b'{"errors":[{"code":"DENIED","message":"not you"}]}', "application/json", 403)
    faulty.faults["/manifests/"] = refuse
    begun = wary.log.stat().st_size
    assert not pull(wary, reference, auth("user", PASSWORD))[0]
    assert any(PASSWORD in base64.b64decode(h["Authorization"].split()[1]).decode() for _, _, h in faulty.requests if "Authorization" in h)
    wary.api.post("/auth", {"username": "user", "password": PASSWORD, "serveraddress": faulty.address}, timeout=60)
    wary.api.post("/containers/create", {"Image": "nosuch", "Env": [f"TOKEN={PASSWORD}"]})
    wary.api.post("/containers/create", {"Image": BOX, "Cmd": ["true"], "Env": [f"TOKEN={PASSWORD}"], "HostConfig": {"Memory": 1}})
    start(wary, "secretive", "nc", "-h", Env=[f"TOKEN={PASSWORD}"])
    log = wary.log.read_text(errors="replace")
    assert len(log) > begun, "the daemon logs nothing at all"
    for form in (PASSWORD, base64.b64encode(f"user:{PASSWORD}".encode()).decode(), base64.b64encode(PASSWORD.encode()).decode()[:-4]):
        assert form not in log


def foreign_files(engine, pid: int) -> list:
    """What a process has mapped that is not the host's file of that name; its program and the engine's own files left out."""
    found = []
    for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
        device, inode, path = (line.split(maxsplit=5) + [""])[3:6]
        if not path.startswith("/") or path.startswith((str(paths.BIN), f"{engine.data}/corten.db", "/memfd:", "/SYSV", "/dev/")):
            continue
        info = os.stat(path) if os.path.exists(path) else None
        if not info or (f"{os.major(info.st_dev):02x}:{os.minor(info.st_dev):02x}", int(inode)) != (device, info.st_ino):
            found.append(line)
    return found


@pytest.mark.corten_only
def test_cve_2019_14271_libraries_of_the_container_never_meet_the_daemon(engine, make):
    """After users were looked up, files copied and processes listed, all that the daemon has mapped is the host's."""
    if foreign_files(engine, engine.process.pid):
        pytest.skip("this file system shows other numbers for files than for what is mapped of them")
    libraries = [f"{folder}/{name}" for folder in ("lib", "lib64", "usr/lib", "lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu")
                 for name in ("libnss_files.so.2", "libnss_dns.so.2", "libnss_compat.so.2", "libc.so.6", "libnss_evil.so.2")]
    name = make(*[images.Entry(at, data=b"\x7fELF" + b"\0" * 100, mode=0o755) for at in libraries],
                images.text("etc/nsswitch.conf", "passwd: evil files\ngroup: evil\n"))
    start(engine, "box", image=name, User="alice")
    put(engine, "box", "/tmp", images.tar([images.text("f", "x", uid=4711)]), "&copyUIDGID=1")
    assert engine.api.get(archive_url("box", "/etc")).status == 200 and engine.api.get("/containers/box/top").status == 200
    assert engine.api.post("/containers/box/exec", {"Cmd": ["true"], "User": "daemon"}).status == 201
    for pid in (engine.process.pid, supervisor_of(engine, "box")):
        assert foreign_files(engine, pid) == []


# --- what the engine has on the host -------------------------------------------------------------

def as_nobody(check) -> str:
    """Runs `check` in a child without rights; returns what it says."""
    out, into = os.pipe()
    child = os.fork()
    if child == 0:
        os.setgroups([])
        os.setresgid(65534, 65534, 65534)
        os.setresuid(65534, 65534, 65534)
        try:
            said = check()
        except PermissionError:
            said = "denied"
        except BaseException as error:
            said = repr(error)
        os.write(into, said.encode())
        os._exit(0)
    os.close(into)
    os.waitpid(child, 0)
    with open(out) as said:
        return said.read()


@pytest.mark.corten_only
def test_cve_2021_41091_and_2021_41103_and_2024_25621_data_of_the_engine_is_closed_to_other_users(engine, make):
    """A set-user-ID program of an image, a volume's files, a log, a supervisor's socket: nobody on the host gets at them."""
    start(engine, "box", "sh", "-c", "echo logged; sleep 600", image=make(images.text("suid", "#!/bin/sh\n", 0o4755)),
          HostConfig={"Binds": ["vol:/vol"]})
    number = engine.api.get("/containers/box/json").json()["Id"]
    wanted = [engine.data, engine.data / "overlay", engine.data / "volumes" / "vol", engine.data / "containers" / number,
              engine.data / "blobs", engine.data / "corten.db", *list(engine.data.glob("overlay/**/suid"))[:1]]
    assert any(p.name == "suid" for p in wanted), "the program of the image was not found"
    sockets = [p for p in engine.run.rglob("*") if p.is_socket()]
    assert len(sockets) >= 1
    before = stat.S_IMODE(engine.work.stat().st_mode)
    engine.work.chmod(0o755)
    try:
        assert as_nobody(lambda: str(os.stat(engine.work).st_mode and "reached")) == "reached"
        for path in wanted:
            look = os.listdir if path.is_dir() else open
            assert as_nobody(lambda: repr(look(path))) == "denied", path
        for path in sockets:
            assert as_nobody(lambda: str(os.stat(path))) == "denied" and stat.S_IMODE(path.stat().st_mode) == 0o600, path

        def connect():
            with socket.socket(socket.AF_UNIX) as s:
                s.connect(engine.socket)
            return "connected"
        assert as_nobody(connect) == "denied"
    finally:
        engine.work.chmod(before)


@pytest.mark.corten_only
def test_cve_2020_15257_no_abstract_socket_and_no_port_of_the_engine(engine):
    """2020-15257, 2021-4024: a container in the host's network finds nothing of the engine to speak to."""
    start(engine, "box", "sh", "-c", "cat /proc/net/unix /proc/net/tcp /proc/net/tcp6 /proc/net/udp; sleep 600",
          HostConfig={"NetworkMode": "host"})
    shown = eventually(lambda: engine.api.get("/containers/box/logs?stdout=1").body.decode(errors="replace"), "the sockets")
    assert engine.socket in shown, "the container does not see the host's sockets at all"
    for pid in (engine.process.pid, supervisor_of(engine, "box")):
        inodes = {m[1] for m in (re.match(r"socket:\[(\d+)\]", os.readlink(fd)) for fd in Path(f"/proc/{pid}/fd").iterdir()) if m}
        for line in shown.splitlines():
            words = line.split()
            if "@" in line and len(words) >= 8 and words[-1].startswith("@"):
                assert words[-2] not in inodes, f"process {pid} has an abstract socket: {line}"
            elif len(words) >= 10 and words[9] in inodes and ":" in words[1]:
                pytest.fail(f"process {pid} has a port: {line}")


# --- networks ------------------------------------------------------------------------------------

@pytest.mark.parametrize("how", ["bridge", "own network", "connected later"])
def test_cve_2020_13401_and_2024_32473_nothing_of_ipv6_in_a_network_without_it(engine, how):
    """No address to be reached at, and no advertisement of a router that would be believed."""
    if how != "bridge":
        assert engine.api.post("/networks/create", {"Name": "four"}).status == 201
    start(engine, "box", HostConfig={"NetworkMode": "four"} if how == "own network" else {})
    interface = "eth1" if how == "connected later" else "eth0"
    if how == "connected later":
        assert engine.api.post("/networks/four/connect", {"Container": "box"}).status == 200
    inside = f"/proc/sys/net/ipv6/conf/{interface}"
    script = f"cat {inside}/accept_ra {inside}/disable_ipv6; grep -c {interface} /proc/net/if_inet6; ls -d /sys/class/net/{interface}"
    out = engine.client("docker").run("exec", "box", "sh", "-c", script).out.split()
    assert out == ["0", "1", "0", f"/sys/class/net/{interface}"]


@pytest.mark.parametrize("internal", [False, True], ids=["other", "internal"])
def test_cve_2024_29018_internal_network_reaches_nothing_outside(engine, outside, internal):
    """Not the world, not by way of another network's address, not a name server; without `internal` the same attempts succeed."""
    assert engine.api.post("/networks/create", {"Name": "net", "Internal": internal}).status == 201
    start(engine, "box", HostConfig={"NetworkMode": "net"})
    start(engine, "neighbour", "sh", "-c", LOOP.format("echo near | nc -l -p 80"), HostConfig={"NetworkMode": "net"})
    near = engine.api.get("/containers/neighbour/json").json()["NetworkSettings"]["Networks"]["net"]["IPAddress"]
    client = engine.client("docker")

    def asks(address, port):
        return client.run("exec", "box", "sh", "-c", f"nc -w 1 {address} {port} < /dev/null").out.strip()
    eventually(lambda: asks(near, 80) == "near", "the neighbour's answer")
    with outside.server(b"far away\n") as port:
        assert asks(outside.address, port) == ("" if internal else "far away")
    ping = client.run("exec", "box", "ping", "-c", "1", "-W", "1", outside.address)
    assert (ping.code == 0) is not internal
    routes = client.ok("exec", "box", "cat", "/proc/net/route").splitlines()[1:]
    assert any(line.split()[1] == "00000000" for line in routes) is not internal


def test_cve_2025_54410_neighbour_of_the_host_reaches_published_ports_only(engine, outside):
    """Another machine that routes the containers' addresses to this host gets no port that was not published to it, nor a
    loopback service; an own network is no way into another."""
    port = engines.free_port()
    assert engine.api.post("/networks/create", {"Name": "other"}).status == 201
    serve = ["sh", "-c", f"nc -l -p 81 -e true & {LOOP.format('echo inside | nc -l -p 80')}"]
    start(engine, "box", *serve, ExposedPorts={"80/tcp": {}},
          HostConfig={"PortBindings": {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": str(port)}]}})
    start(engine, "stranger", HostConfig={"NetworkMode": "other"})
    inside = engine.api.get("/containers/box/json").json()["NetworkSettings"]["Networks"]["bridge"]["IPAddress"]

    def local():
        with socket.create_connection(("127.0.0.1", port), timeout=2) as s:
            return b"inside" in s.recv(100)
    eventually(lambda: suppressed(local), "an answer on loopback")
    subprocess.run(outside.argv("ip", "route", "add", engine.bip.rpartition(".")[0] + ".0/24", "via", outside.host_address), check=True)
    subprocess.run(outside.argv("ip", "route", "add", "local", "127.0.0.0/8", "dev", "lo"), stderr=subprocess.DEVNULL)
    assert outside.ask(inside, 80) == "", "an unpublished port answers another machine"
    assert outside.ask(outside.host_address, port) == "", "a port of loopback answers another machine"
    crossing = engine.client("docker").run("exec", "stranger", "sh", "-c", f"nc -w 1 {inside} 80 < /dev/null")
    assert crossing.out == "", "a container of another network gets in"
    ours = engine.client("docker").run("run", "--rm", BOX, "sh", "-c", f"nc -w 1 {inside} 80 < /dev/null")
    assert ours.out == "inside\n", "a container of the same network does not get in: this test shows nothing"


def suppressed(check):
    try:
        return check()
    except OSError as error:
        raise AssertionError(error)


def test_cve_2021_20199_caller_from_outside_is_not_taken_for_the_host(engine, outside):
    """A service that trusts 127.0.0.1 must see from where it is called."""
    port = engines.free_port()
    serve = LOOP.format("nc -l -p 80 -e grep -h ':0050 [0-9A-F]*:[0-9A-F]* 01 ' /proc/net/tcp /proc/net/tcp6")
    start(engine, "box", "sh", "-c", serve, ExposedPorts={"80/tcp": {}}, HostConfig={"PortBindings": {"80/tcp": [{"HostPort": str(port)}]}})
    shown = eventually(lambda: outside.ask(outside.host_address, port), "the connection as the container sees it")
    seen = re.search(":0050 [0-9A-F]*([0-9A-F]{8}):", shown)[1]
    assert socket.inet_ntoa(struct.pack("<I", int(seen, 16))) == outside.address


@pytest.mark.parametrize("field, value", [
    ("HostConfig.ExtraHosts", ["name:1.2.3.4\n6.6.6.6 evil"]), ("HostConfig.ExtraHosts", ["name\n6.6.6.6 evil:1.2.3.4"]),
                                          ("HostConfig.Dns", ["1.2.3.4\nnameserver 6.6.6.6"]),
    ("HostConfig.DnsSearch", ["x\nnameserver 6.6.6.6"]), ("HostConfig.DnsOptions", ["x\nnameserver 6.6.6.6"]),
                                          ("Hostname", "x\n6.6.6.6 evil"),
    ("Domainname", "x\n6.6.6.6 evil"), ("Env", ["HOME=/\n6.6.6.6::0:0::/:/bin/sh", "HOSTNAME=x\n6.6.6.6 evil"]), ("User", "12345\n6.6.6.6"),
    ("WorkingDir", "/tmp/x\n6.6.6.6:x:0:0"), ("Labels", {"x\n6.6.6.6": "y\n6.6.6.6"})],
                         ids=lambda v: v if isinstance(v, str) and len(v) < 30 and "\n" not in v else "")
def test_cve_2022_4318_line_break_adds_no_line_to_a_file_of_the_container(engine, field, value):
    """To the accounts, hosts or name servers that the container believes."""
    body = {"Image": BOX, "Cmd": ["cat", "/etc/passwd", "/etc/group", "/etc/hosts", "/etc/resolv.conf", "/etc/hostname"]}
    outer, _, inner = field.rpartition(".")
    (body.setdefault(outer, {}) if outer else body)[inner] = value
    made = engine.api.post("/containers/create?name=broken", body)
    if made.status == 201:
        engine.api.post("/containers/broken/start")
        engine.api.post("/containers/broken/wait")
        shown = engine.api.get("/containers/broken/logs?stdout=1").body
        assert not re.search(rb"(?m)^(.{8})?(nameserver )?6\.6\.6\.6", shown), shown
    else:
        assert made.status == 400 and made.message


# --- settings that would reach beyond the container ----------------------------------------------

def exits_with(code: bytes) -> bytes:
    base, begin = 0x400000, 64 + 56
    header = struct.pack("<16sHHIQQQIHHHHHH", b"\x7fELF\x02\x01\x01", 2, 62, 1, base + begin, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0, base, base, begin + len(code), begin + len(code), 4096)
    return header + segment + code


EXIT_WITH_ERROR = bytes.fromhex("f7d8 89c7 b83c000000 0f05")  # exit(-eax), as a program of 64 bits


def asks_for_socket(way: str, family: int) -> bytes:
    """A program that exits with the error of socket(family, SOCK_SEQPACKET, 0), by one of the ways into the kernel."""
    number = struct.pack("<I", family)
    if way in ("x86-64", "x32"):
        call = bytes.fromhex("b8290000 00" if way == "x86-64" else "b829000040") + b"\xbf" + number + bytes.fromhex("be05000000 31d2 0f05")
        return exits_with(call + EXIT_WITH_ERROR)
    return exits_with(bytes.fromhex("b867010000") + b"\xbb" + number + bytes.fromhex("b905000000 31d2 cd80") + EXIT_WITH_ERROR)


@pytest.mark.parametrize("family", [38, 40], ids=["AF_ALG", "AF_VSOCK"])
@pytest.mark.parametrize("way", ["x86-64", "x32", "i386"])
def test_cve_2026_31431_and_123876_default_filter_denies_sockets_of_the_kernel_by_every_way(engine, make, way, family):
    """AF_ALG wrote to the page cache, AF_VSOCK reaches the hypervisor. A kernel that knows neither has another error than the filter.

    Not by the old socketcall of 32-bit programs: a filter cannot see its arguments, and their C library has no other way."""
    if os.uname().machine != "x86_64":
        pytest.skip("these programs are for x86-64")
    name = make(images.Entry("ask", data=asks_for_socket(way, family), mode=0o755))
    client = engine.client("docker")
    refused, not_there = (1, 38), (97, 94, 93)
    done = client.run("run", "--rm", name, "/ask")
    assert done.code in refused, f"{way}: the kernel was reached and said {done.code}"
    free = client.run("run", "--rm", "--security-opt", "seccomp=unconfined", name, "/ask")
    if free.code in refused:
        pytest.skip(f"this kernel has no {way}")
    assert free.code in not_there or free.code > 200, free
    assert client.run("exec", start(engine, "box", image=name), "/ask").code == done.code


@pytest.mark.parametrize("field", ["CpusetMems", "CpusetCpus"])
@pytest.mark.parametrize("value", ["0-4000000000", "1-9223372036854775807", "0-18446744073709551616", ",".join(["0-8192"] * 15000), "0-",
                                   "-1", "1-0"], ids=lambda v: v[:24])
def test_cve_2018_20699_huge_lists_of_processors_are_refused_at_once(engine, field, value):
    create(engine, "box")
    begun, before = time.monotonic(), memory_of(engine.process.pid) if engine.is_corten else 0
    for answer in (engine.api.post("/containers/create", {"Image": BOX, "Cmd": ["true"], "HostConfig": {field: value}}),
                   engine.api.post("/containers/box/update", {field: value})):
        assert answer.status in (400, 500) and answer.message, answer
    assert time.monotonic() - begun < 5
    if engine.is_corten:
        assert memory_of(engine.process.pid) < before + 8192


@pytest.mark.parametrize("sysctls", [
    {"kernel.shm_rmid_forced": "1+kernel.core_pattern=|/evil"}, {"kernel.shm_rmid_forced": "1\nkernel.core_pattern=|/evil"},
                                     {"kernel.core_pattern": "|/evil"},
    {"net/../kernel/core_pattern": "|/evil"}, {"net.ipv4/../../kernel.core_pattern": "|/evil"},
                                     {"net/ipv4/../../kernel/core_pattern": "|/evil"},
    {"fs.mqueue./../../kernel/core_pattern": "|/evil"}, {"kernel.shmmax/../core_pattern": "|/evil"},
                                     {"net//..//kernel/core_pattern": "|/evil"},
    {"/kernel/core_pattern": "|/evil"}, {"kernel.shm_rmid_forced+kernel.core_pattern": "|/evil"}],
                         ids=lambda v: next(iter(v)).replace("/", "|"))
def test_cve_2022_0811_sysctl_sets_one_value_and_none_of_the_hosts(engine, sysctls):
    """The pattern for core dumps names a program that the host's root runs."""
    pattern = Path("/proc/sys/kernel/core_pattern")
    before = pattern.read_text()
    try:
        made = engine.api.post("/containers/create?name=box", {"Image": BOX, "Cmd": ["true"], "HostConfig": {"Sysctls": sysctls}})
        started = engine.api.post("/containers/box/start") if made.status == 201 else made
        assert pattern.read_text() == before
        if "kernel.shm_rmid_forced" not in sysctls:
            assert started.status in (400, 500) and started.message, started
    finally:
        if pattern.read_text() != before:
            pattern.write_text(before)


@pytest.mark.corten_only
@pytest.mark.parametrize("parent", ["../..", "/../..", "/corten/../../x", "a/../../../b", "..", "/.."])
def test_go_2024_2458_parent_of_the_control_group_leads_nowhere_up(engine, parent):
    made = engine.api.post("/containers/create?name=box", {"Image": BOX, "Cmd": ["sleep", "600"], "HostConfig": {"CgroupParent": parent}})
    started = engine.api.post("/containers/box/start") if made.status == 201 else made
    assert started.status in (400, 500) and started.message, started


def test_cve_2026_94603_and_53488_and_121885_and_2024_3154_labels_and_annotations_of_an_image_are_only_text(engine, faulty, box_tar):
    """No key that some runtime, logger or service manager obeys has an effect when it comes with an image."""
    obeyed = {"io.podman.annotations.privileged": "TRUE", "io.podman.annotations.seccomp": "unconfined",
              "run.oci.keep_original_groups": "1", "run.oci.hooks.stdout": "/x",
              "io.podman.annotations.label": "disable", "io.containerd.runc.v2.group": "x",
              "containerd.io/restart.loguri": "binary:///bin/sh?x", "log.uri": "binary:///bin/sh",
              "nerdctl/log-uri": "binary:///bin/sh", "org.systemd.property.ExecStartPre": "[('/bin/sh')]",
              "io.kubernetes.cri-o.Devices": "/dev/null:/dev/evil",
              "io.kubernetes.cri-o.userns-mode": "auto", "PODMAN_SYSTEMD_UNIT": "cron.service", "io.containers.autoupdate": "registry",
              "cdi.k8s.io/x": "vendor.com/d=all",
              "com.docker.network.container.interface_prefix": "evil", "io.kubernetes.cri-o.seccompNotifierAction": "stop",
              "org.opencontainers.image.stopSignal": "SIGKILL"}
    plain = images.image([box_tar], Labels=obeyed)
    manifest = {**json.loads(plain.manifest.data), "mediaType": images.OCI["manifest"], "annotations": obeyed}
    manifest["config"] |= {"mediaType": images.OCI["config"], "annotations": obeyed}
    for layer in manifest["layers"]:
        layer |= {"mediaType": images.OCI["gzip"], "annotations": obeyed}
    blob = images.Blob(json.dumps(manifest).encode(), images.OCI["manifest"])
    reference = faulty.put("annotated", "1", images.Image(blob, plain.config, plain.layers, plain.platform))
    assert pull(engine, reference)[0]
    client, shown = engine.client("docker"), {}
    for name, image in (("plain", BOX), ("box", reference)):
        script = "ls /dev /sys/class/net; readlink /proc/self/ns/user; cat /proc/self/status"
        out = client.ok("run", "--name", name, image, "sh", "-c", script)
        facts = [line for line in out.splitlines() if re.match("Cap|Seccomp:|Groups:|NoNewPrivs:|[^:]*$", line)]
        shown[name] = facts, engine.api.get(f"/containers/{name}/json").json()["HostConfig"]
    assert shown["box"] == shown["plain"] and "Seccomp:\t2" in shown["box"][0]
    assert engine.api.get("/containers/box/json").json()["Config"]["Labels"] == obeyed


# --- users ---------------------------------------------------------------------------------------

def user_of(engine, way, user, image):
    """What happens to `id -u` as this user: (it ran, what was said)."""
    body = {"Image": image, "Cmd": ["id", "-u"], **({"User": user} if way == "run" else {})}
    if way == "exec":
        start(engine, "box", image=image)
        number = engine.api.post("/containers/box/exec", {"Cmd": ["id", "-u"], "User": user, "AttachStdout": True}).json()["Id"]
        said = engine.api.post(f"/exec/{number}/start", {"Detach": False}).body.decode(errors="replace")
        return engine.api.get(f"/exec/{number}/json").json()["ExitCode"] == 0, said
    answer = engine.api.post("/containers/create?name=box", body)
    answer = engine.api.post("/containers/box/start") if answer.status == 201 else answer
    return answer.status == 204, answer.body.decode(errors="replace")


@pytest.mark.parametrize("user", ["4294967296", "4294967295", "4294967297:0", "18446744073709551616", "0:4294967296",
                                  "99999999999999999999999"])
@pytest.mark.parametrize("way", ["run", "image", "exec"])
def test_cve_2024_40635_and_2026_46680_user_that_is_too_large_is_nobody_and_never_root(engine, make, user, way):
    """Neither wrapped around to root nor read as the name of an account that the image has made for it."""
    accounts = [images.text("etc/passwd",
                            f"root:x:0:0::/:/bin/sh\n{user.split(':')[0]}:x:0:0::/:/bin/sh\nwrapped:x:4294967296:0::/:/bin/sh\n"),
                images.text("etc/group", "root:x:0:\n4294967296:x:0:\n")]
    ran, said = user_of(engine, way, user, make(*accounts, **({"User": user} if way == "image" else {})))
    assert not ran and "unable to find" in said, said


@pytest.mark.parametrize("user", ["+0", "-1", "0x0", " 0", "0 ", "0\n", "1e3", "root:-1", "root:+0", "alice:0x0"])
@pytest.mark.parametrize("way", ["run", "exec"])
def test_cve_2026_46680_what_only_looks_like_a_number_is_no_user(engine, user, way):
    ran, said = user_of(engine, way, user, BOX)
    assert not ran and "unable to find" in said, said


@pytest.mark.corten_only
@pytest.mark.parametrize("file", ["etc/passwd", "etc/group"])
@pytest.mark.parametrize("way", ["run", "exec"])
def test_go_2026_5475_endless_user_database_fills_no_memory(engine, make, file, way):
    """A gigabyte of nothing, as a sparse file that a container makes by itself."""
    peak = Path(f"/proc/{engine.process.pid}/clear_refs")
    start(engine, "box", "sh", "-c", f"set -e; truncate -s 1073741824 /{file}; touch /ready; sleep 600")
    eventually(lambda: engine.api.get(archive_url("box", "/ready")).status == 200, "the file")
    peak.write_text("5")
    before, begun = peak_of(engine.process.pid), time.monotonic()
    if way == "run":
        engine.api.post("/containers/box/kill")
        engine.api.post("/containers/box/wait")
        answer = engine.api.post("/containers/box/start")
    else:
        number = engine.api.post("/containers/box/exec", {"Cmd": ["true"], "User": "alice:staff"}).json()["Id"]
        answer = engine.api.post(f"/exec/{number}/start", {"Detach": True})
    assert answer.status in (400, 500) and file in answer.message, answer
    assert time.monotonic() - begun < 10 and peak_of(engine.process.pid) < before + 65536


@pytest.mark.parametrize("kind", ["fifo", "device", "folder", "link to itself"])
def test_cve_2024_9676_odd_user_database_hangs_nothing(engine, kind):
    """A FIFO that nobody writes to, an endless device: looking a user up and copying the file both end."""
    make_it = {"fifo": "mkfifo /etc/passwd", "device": "mknod /etc/passwd c 1 5", "folder": "mkdir /etc/passwd",
               "link to itself": "ln -s passwd /etc/passwd"}[kind]
    start(engine, "box", "sh", "-c", f"rm /etc/passwd; {make_it}; touch /ready; sleep 600")
    eventually(lambda: engine.api.get(archive_url("box", "/ready")).status == 200, "the file")
    number = engine.api.post("/containers/box/exec", {"Cmd": ["true"], "User": "alice"}).json()["Id"]
    answer = engine.api.request("POST", f"/exec/{number}/start", {"Detach": True}, timeout=10)
    assert answer.status in (400, 500) and answer.message, answer
    assert engine.api.get(archive_url("box", "/etc/passwd"), timeout=10).status in (200, 400, 404, 500)
    assert engine.api.request("HEAD", archive_url("box", "/etc/passwd"), timeout=10).status in (200, 400, 404, 500)
    engine.api.post("/containers/box/kill")
    engine.api.post("/containers/box/wait")
    assert engine.api.get(archive_url("box", "/etc/passwd"), timeout=10).status in (200, 400, 404, 500)


# --- images --------------------------------------------------------------------------------------

def test_cve_2022_23648_volume_of_an_image_over_a_link_brings_nothing_of_the_host(engine, make, hidden):
    """A new volume is filled from the image: what the image has at its place must not be the host's folder."""
    name = make(images.symlink("link", str(hidden)), images.symlink("up", UP + str(hidden)[1:]), images.directory("d"),
                images.symlink("d/sub", str(hidden)),
                Volumes={"/link": {}, "/up": {}, "/d/sub": {}, f"/{UP}{str(hidden)[1:]}": {}})
    start(engine, "box", "sh", "-c",
          f"find / -xdev -name mark; find /link /up /d /{hidden} -name mark; cat /link/mark /up/mark /d/sub/mark {hidden}/mark", image=name)
    shown = log_of(engine, "box")
    assert MARK.encode() not in shown and b"/mark" not in shown, shown
    if engine.is_corten:
        assert not list((engine.data / "volumes").rglob("mark"))


@pytest.mark.parametrize("target", ["absolute", "relative"])
def test_cve_2026_55686_working_directory_over_a_link_makes_and_owns_nothing_of_the_host(engine, make, hidden, target):
    lead = str(hidden) if target == "absolute" else UP + str(hidden)[1:]
    for number, folder in enumerate(["/link", "/link/below", "/link/made/deep"]):
        name = make(images.symlink("link", lead), name=f"hostile:{number}", WorkingDir=folder, User="1000")
        create(engine, f"box{number}", "sh", "-c", "touch new; chmod 777 .", image=name)
        engine.api.post(f"/containers/box{number}/start")
        engine.api.post(f"/containers/box{number}/wait")
    assert sorted(p.name for p in hidden.iterdir()) == ["below", "mark", "program"]


def crafted(box_tar, document) -> images.Image:
    """An image whose configuration is this text and whose manifest is in order."""
    layer = images.Blob(images.compress(box_tar, "gzip"), images.DOCKER["gzip"])
    conf = images.Blob(document if isinstance(document, bytes) else json.dumps(document).encode(), images.DOCKER["config"])
    manifest = {"schemaVersion": 2, "mediaType": images.DOCKER["manifest"], "config": conf.descriptor(), "layers": [layer.descriptor()]}
    return images.Image(images.Blob(json.dumps(manifest).encode(), images.DOCKER["manifest"]), conf, (layer,), {})


ROOTFS = {"type": "layers"}


@pytest.mark.parametrize("name, change", [
    ("no history", {"history": None}), ("history without fields", {"history": [{}]}), ("history of null", {"history": [None]}),
                                          ("history too short", {"history": []}),
    ("history too long", {"history": [{"created_by": "x"}] * 50}), ("only empty layers", {"history": [{"empty_layer": True}] * 3}),
                                          ("history is text", {"history": "x"}),
    ("no config", {"config": None}), ("empty config", {"config": {}}), ("config is a list", {"config": []}),
                                          ("no created", {"created": None}), ("odd created", {"created": "yesterday"}),
    ("no architecture", {"architecture": None}), ("no os", {"os": None}), ("no rootfs", {"rootfs": None}),
                                          ("rootfs without ids", {"rootfs": ROOTFS}), ("null fields", {
        "config": {"Env": None, "Cmd": None, "Entrypoint": None, "Volumes": None, "Labels": None, "ExposedPorts": None, "Healthcheck": None,
                   "User": None, "OnBuild": None}}),
    ("wrong kinds", {"config": {"Env": {}, "Cmd": "x", "Volumes": [], "Labels": 5}}), ("null values",
                                                                                       {"config": {"Env": [None], "Labels": {"x": None},
                                                                                                   "Volumes": {"/v": None}}}),
    ("check without fields", {"config": {"Healthcheck": {}}}), ("check that is empty", {"config": {"Healthcheck": {"Test": []}}}),
    ("odd port", {"config": {"ExposedPorts": {"x/y/z": {}, "": {}}}}), ("document is null", None), ("document is a list", [])],
                         ids=lambda v: v if isinstance(v, str) else "")
def test_cve_2024_36620_and_2021_21285_image_with_missing_fields_ends_no_daemon(engine, faulty, box_tar, name, change):
    """History, inspection, listing and a container of it give an answer, whatever the image's configuration lacks."""
    document = images.config([images.digest_of(box_tar)])
    document = {k: v for k, v in {**document, **change}.items() if v is not None} if isinstance(change, dict) else change
    reference = faulty.put("odd", uuid.uuid4().hex[:8], crafted(box_tar, document))
    pulled, said = pull(engine, reference)
    quoted = urllib.parse.quote(reference, safe=":/")
    there = engine.api.get(f"/images/{quoted}/json").status == 200
    assert there is pulled, said
    for path in (f"/images/{quoted}/history", f"/images/{quoted}/json", "/images/json?all=1", "/system/df", f"/images/get?names={quoted}"):
        assert engine.api.get(path, timeout=60).status in (200, 404, 501 if "df" in path else 200), path
    if there:
        made = engine.api.post("/containers/create?name=odd", {"Image": reference, "Cmd": ["true"]})
        assert made.status in (201, 400), made
        if made.status == 201:
            assert engine.api.post("/containers/odd/start").status in (204, 400)
            assert engine.api.get("/containers/odd/json").status == 200 and engine.api.get("/containers/json?all=1").status == 200
    assert engine.api.alive()


@pytest.mark.parametrize("name, own, announced, members", [
    ("both forms", None, "oci manifest", ("layers", "manifests")), ("both forms as index", None, "oci index", ("layers", "manifests")),
    ("both forms as docker", "docker manifest", "docker manifest", ("layers", "manifests")),
                                                           ("index called a manifest", "oci manifest", "oci manifest", ("manifests",)),
    ("manifest called an index", "oci index", "oci index", ("layers",)), ("manifest called a list", "docker index", "docker index",
                                                                          ("layers",)),
    ("two types", "oci manifest", "oci index", ("layers",)), ("two types the other way", "oci index", "oci manifest", ("manifests",)),
    ("only a config in an index", None, "oci index", ("manifests", "config"))],
                         ids=lambda v: v if isinstance(v, str) and " " in v and "oci" not in v and "docker m" not in v else "")
def test_cve_2021_41190_manifest_that_is_also_an_index_is_refused(engine, faulty, box_tar, name, own, announced, members):
    """One reader would see one image and the next another, under the same digest."""
    def kind(words):
        style, what = words.split()
        return images.FORMATS[style][what]
    style = announced.split()[0]
    inner = images.image([box_tar], style=style)
    faulty.put("two", "inner", inner)
    full = {**json.loads(inner.manifest.data), "manifests": json.loads(images.index([inner], style).manifest.data)["manifests"]}
    faulty.put("two", inner.digest, inner)
    kept = {"schemaVersion": 2, **{k: full[k] for k in members}}
    if "layers" in members:
        kept["config"] = full["config"]
    if own:
        kept["mediaType"] = kind(own)
    text = json.dumps(kept).encode()
    faulty.content["/v2/two/manifests/1"] = (text, kind(announced))
    pulled, said = pull(engine, f"{faulty.address}/two:1")
    assert not pulled and re.search("ambiguous|announced|contradict", said), said
    assert engine.api.get(f"/images/{faulty.address}/two:1/json").status == 404


def refused_archive(engine, members):
    done, text = load(engine, images.tar(members))
    assert MARK not in text and ("error" in text or done.status >= 400), text
    assert engine.api.get("/images/loaded:1/json").status == 404
    if engine.is_corten:
        eventually(lambda: not list(engine.data.glob("load-*")), "the end of the unpacked archive", 5)


def archive_members(**changes) -> list:
    """A docker archive of an image that no other test has; what its listing says can be changed."""
    layer = images.tar([images.text("unique", uuid.uuid4().hex)])
    listing = {"Config": "config", "RepoTags": ["loaded:1"], "Layers": ["l/layer.tar"], **changes}
    return [images.text("manifest.json", json.dumps([listing])), images.Entry("config", data=images.image([layer]).config.data),
            images.Entry("l/layer.tar", data=layer)]


@pytest.mark.parametrize("name", ["layer by dots", "layer absolute", "layer by a link", "layer by a hard link", "config by dots",
                                  "config by a link", "name that is a path"])
def test_cve_2025_11395_and_2025_62725_names_in_a_loaded_archive_are_no_paths(engine, hidden, name):
    """What an archive calls a layer or a configuration is looked for in the archive alone."""
    at, up = f"{hidden}/mark", f"{UP}{str(hidden)[1:]}/mark"
    changes = {"layer by dots": {"Layers": [up]}, "layer absolute": {"Layers": [at]}, "config by dots": {"Config": up},
               "name that is a path": {"RepoTags": ["../../../etc/x:1", "/abs:1", "x:../../y"]}}
    members = archive_members(**changes.get(name, {}))
    replaced = {"layer by a link": images.symlink("l/layer.tar", at), "layer by a hard link": images.hardlink("l/layer.tar", at),
                "config by a link": images.symlink("config", up)}
    refused_archive(engine, [replaced[name] if name in replaced and m.name == replaced[name].name else m for m in members])


def test_cve_2025_11395_members_of_a_loaded_archive_that_lie_outside_are_written_nowhere(engine, hidden):
    up = UP + str(hidden)[1:]
    outside = [images.text(f"{up}/new", "owned"), images.text(f"{hidden}/new", "owned"), images.symlink("k", str(hidden)),
               images.text("k/new", "owned")]
    done, text = load(engine, images.tar([*outside, *archive_members()]))
    assert done.status == 200 and "Loaded image: loaded:1" in text, text


@pytest.mark.parametrize("name", ["digest by dots", "layer digest by dots", "another digest", "another layer digest"])
def test_cve_2024_3727_digest_in_a_loaded_layout_is_checked_and_no_path(engine, hidden, name):
    picture = images.image([images.tar([images.text("unique", uuid.uuid4().hex)])], style="oci", compression="none")
    dots, other = f"sha256:../../{UP}{str(hidden)[1:]}/mark", "sha256:" + "1" * 64
    manifest = json.loads(picture.manifest.data)
    if "layer" in name:
        manifest["layers"][0]["digest"] = dots if "dots" in name else other
    blob = images.Blob(json.dumps(manifest).encode(), images.OCI["manifest"])
    wanted = {"digest by dots": {"digest": dots}, "another digest": {"digest": other}}.get(name, {})
    index = {"schemaVersion": 2, "mediaType": images.OCI["index"], "manifests": [blob.descriptor(
        annotations={"io.containerd.image.name": "docker.io/library/loaded:1"}) | wanted]}
    blobs = [(b.digest, b.data) for b in (blob, picture.config, *picture.layers)] + [(other, blob.data)]
    refused_archive(engine, [images.text("oci-layout", '{"imageLayoutVersion": "1.0.0"}'), images.text("index.json", json.dumps(index)),
                             *[images.Entry("blobs/sha256/" + digest.split(":")[1], data=data) for digest, data in blobs]])


@pytest.mark.corten_only
@pytest.mark.parametrize("name", ["manifest.json", "config", "index.json", "layer list"])
def test_cve_2023_25153_huge_documents_of_an_archive_fill_no_memory(engine, name):
    """A few kilobytes that unpack to a document of 200 MB, or to a list without end."""
    layer = images.tar([images.text("unique", uuid.uuid4().hex)])
    picture = images.image([layer])
    listing = [{"Config": "config", "RepoTags": ["huge:1"], "Layers": ["layer"] * (3_000_000 if name == "layer list" else 1)}]
    files = {"manifest.json": json.dumps(listing).encode(), "config": picture.config.data, "layer": layer}
    if name == "index.json":
        files = {"index.json": json.dumps({"schemaVersion": 2, "manifests": []}).encode()}
    if name in files:
        files[name] += b" " * 200_000_000
    archive = gzip.compress(images.tar([images.Entry(n, data=d) for n, d in files.items()]), 1)
    Path(f"/proc/{engine.process.pid}/clear_refs").write_text("5")
    before = peak_of(engine.process.pid)
    done, text = load(engine, archive)
    assert "Loaded" not in text and ("error" in text or done.status >= 400), text
    assert peak_of(engine.process.pid) < before + 65536


def test_cve_2021_20291_and_2026_114236_layers_that_cannot_be_read_hold_nothing(engine, faulty, box_tar):
    """Cut, of rubbish, packed in another way than named: several pulls at once end, and no descriptor stays open."""
    good = images.Blob(images.compress(box_tar, "gzip"), images.DOCKER["gzip"])
    layer = images.tar([images.Entry("random", data=os.urandom(200000))])
    bad = {"xz": lzma.compress(layer)[:-100], "bz2": bz2.compress(layer)[:-100], "gz": gzip.compress(layer)[:-50000],
           "zst": images.compress(layer, "zstd")[:-100],
           "xz head": b"\xfd7zXZ\x00" + b"\xff" * 5000, "tar": layer[:-60000]}
    references = [faulty.put(f"bad-{n}", "1", images.assemble((good, images.Blob(data, images.DOCKER["gzip"])),
                                                              [images.digest_of(box_tar), images.digest_of(layer)]))
                  for n, data in enumerate(bad.values())]

    def round():
        with concurrent.futures.ThreadPoolExecutor(len(references)) as pool:
            for pulled, said in pool.map(lambda r: pull(engine, r), references):
                assert not pulled, said
    round()
    if not engine.is_corten:
        return
    before = len(daemon_files(engine))
    for _ in range(2):
        round()
    eventually(lambda: len(daemon_files(engine)) <= before + 3, "descriptors that do not pile up")
    assert not list((engine.data / "ingest").iterdir()) if (engine.data / "ingest").exists() else True


def test_kata_cve_2020_2026_and_2026_50540_writes_of_a_container_stay_in_it(engine):
    for _ in range(2):
        start(engine, "writer", "sh", "-c",
              "cat /etc/group | md5sum; ls /new; echo owned > /etc/group; echo owned > /new; rm /bin/ls; sync")
        engine.api.post("/containers/writer/wait")
        shown = engine.api.get("/containers/writer/logs?stdout=1&stderr=1").body
        assert b"/new: No such file" in shown, shown
        engine.api.delete("/containers/writer?force=1")


# --- registries ----------------------------------------------------------------------------------

def challenge(handler, realm="Basic realm=\"x\""):
    registries.reply(handler, b"{}", "application/json", 401, headers={"WWW-Authenticate": realm})


def test_cve_2020_15157_layer_at_a_foreign_address_gets_no_credentials(engine, box_tar, faulty):
    """A manifest may say where a layer lies: that server asks for a password and must not have the registry's."""
    other = FaultyRegistry()
    try:
        layer = images.tar([images.text("foreign", str(time.monotonic_ns()))])
        blob = images.Blob(gzip.compress(layer), "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip")
        base = images.assemble((images.Blob(images.compress(box_tar, "gzip"), images.DOCKER["gzip"]), blob),
                               [images.digest_of(box_tar), images.digest_of(layer)])
        manifest = json.loads(base.manifest.data)
        manifest["layers"][1]["urls"] = [f"http://{other.address}/v2/steal/blobs/{blob.digest}", f"http://user:pw@{other.address}/steal"]
        reference = faulty.put("foreign", "1", images.Image(images.Blob(json.dumps(manifest).encode(), base.manifest.media_type),
                                                            base.config, base.layers, {}))
        del faulty.content[f"/v2/foreign/blobs/{blob.digest}"]
        other.faults["/"] = lambda handler, _body, _kind: challenge(handler, f'Bearer realm="http://{other.address}/token",service="x"')
        asked = []
        faulty.faults["/manifests/"] = lambda handler, body, kind: (asked.append(handler.headers.get("Authorization")),
                                                                   registries.reply(handler, body,
                                                                                    kind) if asked[-1] else challenge(handler))[-1]
        pulled, said = pull(engine, reference, auth("user", PASSWORD))
        assert any(asked), "the registry itself was sent no credentials: this test shows nothing"
        assert not pulled, said
        assert not any("Authorization" in headers or PASSWORD in path for _, path, headers in other.requests)
    finally:
        other.stop()


def test_cve_2021_41092_credentials_go_to_the_registry_that_they_are_for(cli, box_tar, faulty):
    """With a login for one registry, another that demands a password gets none; nor does a helper's absence send it elsewhere."""
    other = FaultyRegistry()
    wanted = "Basic " + base64.b64encode(f"user:{PASSWORD}".encode()).decode()
    try:
        picture = images.image([box_tar], env=[f"UNIQUE={uuid.uuid4().hex}"])
        for each in (faulty, other):
            each.put("private", "1", picture)
            each.faults["/(manifests|blobs)/"] = lambda handler, body, kind: (
                registries.reply(handler, body, kind) if handler.headers.get("Authorization") == wanted else challenge(handler))
        settings = cli.config / "config.json"
        stored = {"auths": {faulty.address: {"auth": base64.b64encode(f"user:{PASSWORD}".encode()).decode()}}}
        settings.write_text(json.dumps(stored))
        cli.fails("pull", f"{other.address}/private:1", code=1)
        cli.ok("pull", f"{faulty.address}/private:1")
        settings.write_text(json.dumps({**stored, "credHelpers": {other.address: "there-is-no-such-helper"}}))
        cli.fails("pull", f"{other.address}/private:1", code=1)
        assert other.requests and not any("Authorization" in headers for _, _, headers in other.requests)
    finally:
        settings.unlink(missing_ok=True)
        other.stop()


def test_cve_2025_6032_registry_with_a_certificate_of_nobody_is_sent_nothing(engine, tmp_path):
    """Neither a request over the connection that cannot be trusted, nor one without TLS instead."""
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj",
                    "/CN=registry",
                    "-addext", f"subjectAltName=IP:{engine.gateway}", "-keyout", tmp_path / "key", "-out", tmp_path / "crt"], check=True,
                   stderr=subprocess.DEVNULL)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "crt", tmp_path / "key")
    plain, secret, calls = [], [], []
    with socket.create_server((engine.gateway, 0)) as listener:
        def serve():
            with contextlib.suppress(OSError):
                while True:
                    peer, _ = listener.accept()
                    calls.append(1)
                    peer.settimeout(5)
                    with peer, contextlib.suppress(OSError):
                        if peer.recv(1, socket.MSG_PEEK) != b"\x16":
                            plain.append(peer.recv(1000))
                            continue
                        with context.wrap_socket(peer, server_side=True) as inside:
                            secret.append(inside.recv(1000))
        threading.Thread(target=serve, daemon=True).start()
        address = f"{engine.gateway}:{listener.getsockname()[1]}"
        pulled, said = pull(engine, f"{address}/x:1", auth("user", PASSWORD))
        listener.shutdown(socket.SHUT_RDWR)
    assert calls and not pulled and re.search("(?i)certificate|x509|verif", said), said
    assert not plain and not any(secret), (plain, secret)


# --- volumes, environments, processes ------------------------------------------------------------

def test_cve_2020_1726_volume_that_has_been_used_is_not_filled_again(engine, make):
    name = make(images.directory("data"), images.text("data/mine", "the image's"), images.text("data/other", "the image's"))
    commands = ["echo changed > /data/mine; rm /data/other", "cat /data/mine; ls /data", "rm -rf /data/*", "ls /data"]
    shown = [log_of(engine, start(engine, f"c{n}", "sh", "-c", command, image=name, HostConfig={"Binds": ["vol:/data"]}))
             for n, command in enumerate(commands)]
    assert b"changed" in shown[1] and b"the image's" not in shown[1] and b"other" not in shown[1], shown
    if engine.is_corten:
        assert shown[3] == b"", "an emptied volume was filled again"


def test_cve_2021_21334_and_2020_14370_environment_of_one_container_is_not_anothers(engine, make):
    """Containers of one image, made at the same time and one after the other, and their execs."""
    name = make(env=["SHARED=1"])

    def one(n):
        start(engine, f"c{n}", "env", image=name, Env=[f"ONLY{n}=secret{n}"], Labels={f"only{n}": "x"})
        engine.api.post(f"/containers/c{n}/wait")
        return log_of(engine, f"c{n}").decode(errors="replace"), engine.api.get(f"/containers/c{n}/json").json()
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        results = list(pool.map(one, range(8)))
    for n, (shown, found) in enumerate(results):
        assert re.findall(r"ONLY\d", shown) == [f"ONLY{n}"], shown
        assert [e for e in found["Config"]["Env"] if "ONLY" in e] == [f"ONLY{n}=secret{n}"]
        assert [k for k in found["Config"]["Labels"] or {} if "only" in k] == [f"only{n}"]
    assert not [e for e in engine.api.get(f"/images/{name}/json").json()["Config"]["Env"] if "ONLY" in e]
    start(engine, "box", image=name)
    client = engine.client("docker")
    assert "EXECS=1" in client.ok("exec", "-e", "EXECS=1", "box", "env") and "EXECS" not in client.ok("exec", "box", "env")


@pytest.mark.corten_only
def test_cve_2022_1708_and_2022_31030_output_of_a_check_fills_no_memory(engine):
    """A health check that prints without end, and one that prints a lot: neither is kept beyond the first few kilobytes."""
    check = {"Test": ["CMD-SHELL", "head -c 60000000 /dev/zero | tr '\\0' y"], "Interval": 10**8, "Timeout": 8 * 10**9, "Retries": 1}
    start(engine, "box", Healthcheck=check)
    daemon, supervisor = engine.process.pid, supervisor_of(engine, "box")
    before = memory_of(daemon), memory_of(supervisor)
    found = eventually(lambda: engine.api.get("/containers/box/json").json()["State"]["Health"]["Log"], "the first check", 20, pause=0.2)
    assert len(found[0]["Output"]) <= 8192
    assert memory_of(daemon) < before[0] + 8192 and memory_of(supervisor) < before[1] + 4096


@pytest.mark.corten_only
def test_cve_2022_23471_and_2025_64329_resizes_and_attaches_leave_nothing_open(engine):
    start(engine, "box", Tty=True, OpenStdin=True)
    daemon, supervisor = engine.process.pid, supervisor_of(engine, "box")

    def sizes():
        threads = int(re.search(r"Threads:\s+(\d+)", Path(f"/proc/{daemon}/status").read_text())[1])
        return [threads, *(len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in (daemon, supervisor))]

    def work(times):
        for n in range(times):
            assert engine.api.post(f"/containers/box/resize?h={20 + n % 5}&w=80").status == 200
            number = engine.api.post("/containers/box/exec", {"Cmd": ["true"], "Tty": True, "AttachStdout": True}).json()["Id"]
            engine.api.post(f"/exec/{number}/start", {"Tty": True})
            engine.api.post(f"/exec/{number}/resize?h=10&w=10")
            with engine.api.socket() as s:
                s.sendall(b"POST /containers/box/attach?stream=1&stdout=1&stdin=1" + HEAD + b"Connection: Upgrade\r\nUpgrade: tcp\r\n\r\n")
                assert s.recv(12) == b"HTTP/1.1 101"
    work(3)
    first = eventually(sizes, "numbers")
    work(25)
    eventually(lambda: all(now <= then + 4 for now, then in zip(sizes(), first)), f"no more threads and descriptors than {first}")


@pytest.mark.parametrize("way", ["exec", "check"])
def test_cve_2016_8649_and_2017_5985_process_that_joins_a_container_brings_no_descriptor(engine, way):
    start(engine, "box", Healthcheck={"Test": ["CMD-SHELL", "ls -l /proc/self/fd/"], "Interval": 10**8,
                                      "Retries": 1} if way == "check" else {"Test": ["NONE"]})
    if way == "exec":
        shown = engine.client("docker").ok("exec", "box", "sh", "-c", "ls -l /proc/self/fd/")
    else:
        shown = eventually(lambda: engine.api.get("/containers/box/json").json()["State"]["Health"]["Log"], "the first check")[0]["Output"]
    found = dict(re.findall(r"(\d+) -> (\S+)", shown))
    assert {"0", "1", "2"} <= set(found) <= {"0", "1", "2", "3"} and found.get("3", "/proc/").startswith("/proc/"), shown
    assert all(found[n].startswith(("pipe:", "/dev/null")) for n in "012"), shown


# --- the API -------------------------------------------------------------------------------------

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
CHUNKED = b"POST /containers/create" + HEAD + b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n"


@pytest.mark.parametrize("raw", [
    PREFACE + b"\0\0\0\4\0\0\0\0\0", PREFACE + b"\0\0\6\4\0\0\0\0\0\0\1\xff\xff\xff\xff" * 1000,
    PREFACE + b"\xff\xff\xff\1\4\0\0\0\1" + b"\0" * 100000, b"GET /_ping HTTP/2\r\nHost: d\r\n\r\n",
    CHUNKED + b"Trailer: X\r\n\r\n0\r\n" + b"X-T: y\r\n" * 200000 + b"\r\n", CHUNKED + b"\r\n1;" + b"x" * 2000000 + b"\r\n{\r\n"],
    ids=["preface", "settings", "frame", "version 2", "trailers", "chunk extension"])
def test_cve_2026_97032_and_78659_and_78663_and_78669_http_2_and_endless_trailers_are_refused(engine, raw):
    answer = engine.api.raw(raw, timeout=10)
    assert answer == b"" or re.match(rb"HTTP/1\.[01] (400|404|405|413|414|431|501|505) ", answer), answer[:200]
    assert engine.api.alive()


def test_cve_2026_97032_upgrade_to_http_2_is_not_taken(engine):
    asked = b"GET /_ping" + HEAD + b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n"
    answer = engine.api.raw(asked, timeout=10)
    assert answer.startswith(b"HTTP/1.1 200") and b"\r\n\r\nOK" in answer, answer[:200]


def test_cve_2024_41110_and_2026_34040_one_request_is_never_two(engine):
    """A length of nothing with a body behind it, and lengths that disagree: what follows is not obeyed as a request of its own."""
    create(engine, "kept")
    hidden_request = b"DELETE /containers/kept?force=1 HTTP/1.1\r\nHost: d\r\n\r\n"
    for lengths in (b"Content-Length: 0\r\nContent-Length: %d", b"Content-Length: %d\r\nTransfer-Encoding: chunked",
                    b"Content-Length: %d\r\nTransfer-Encoding: xchunked",
                    b"Content-Length: 0\r\nTransfer-Encoding : chunked\r\nX: %d", b"Content-Length: +%d", b"Content-Length: 0x%d",
                    b"Content-Length: %d, 0"):
        body = b"0\r\n\r\n" + hidden_request if b"hunked" in lengths else hidden_request
        head = b"POST /containers/create" + HEAD + b"Content-Type: application/json\r\n" + lengths % len(body) + b"\r\n\r\n"
        engine.api.raw(head + body, timeout=10)
        assert engine.api.get("/containers/kept/json").status == 200, lengths


@pytest.mark.parametrize("method, path", [("POST", "/containers/box/checkpoints"), ("GET", "/containers/box/checkpoints"),
                                          ("DELETE", "/containers/box/checkpoints/..%2f..%2fx")])
def test_moby_2026_08_20_checkpoints_by_path_are_not_there(engine, hidden, method, path):
    start(engine, "box")
    body = {"CheckpointID": f"{UP}{str(hidden)[1:]}/new", "CheckpointDir": str(hidden)} if method == "POST" else None
    assert engine.api.request(method, path, body).status in (404, 501)
    answer = engine.api.post(f"/containers/box/start?checkpoint={UP}x&checkpoint-dir={hidden}")
    assert answer.status in (304, 400, 501), answer
