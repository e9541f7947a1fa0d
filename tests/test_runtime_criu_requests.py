"""What corten-runtime asks of CRIU, which a program that stands for it writes down: needs no CRIU, and no kernel that CRIU likes."""
import os
import subprocess
import sys

import pytest

from support.bundles import Bundle, in_user_namespace

pytestmark = pytest.mark.corten_only

# A request and its answer are protobuf messages on descriptor 3 (images/rpc.proto): a version, or "it did not work".
STAND_IN = """#!{python}
import os, socket
peer = socket.socket(fileno=3)
request = peer.recv(1 << 20)
if request.startswith(b"\\x08\\x0a"):
    peer.send(b"\\x08\\x0a\\x10\\x01" + b"\\x52\\x04\\x08\\x04\\x10\\x00")
else:
    open({seen!r}, "wb").write(request)
    if {stage!r}:
        name = {stage!r}.encode()
        notify = b"\\x0a" + bytes([len(name)]) + name
        peer.send(b"\\x08\\x06\\x10\\x01\\x2a" + bytes([len(notify)]) + notify)
        assert peer.recv(1 << 20) == b"\\x08\\x06\\x18\\x01"
    peer.send(b"\\x08\\x01\\x10" + bytes([{stage!r} != ""]))
"""
OPTIONS, EXT_MOUNT, LAZY_PAGES = 2, 23, 48


def varint(data, at) -> tuple:
    value = shift = 0
    while True:
        byte, at = data[at], at + 1
        value, shift = value | (byte & 127) << shift, shift + 7
        if byte < 128:
            return value, at


def fields(data) -> list:
    """(number, value) of each field, in order."""
    found, at = [], 0
    while at < len(data):
        key, at = varint(data, at)
        value, at = varint(data, at)
        if key & 7 == 2:
            value, at = data[at:at + value], at + value
        found.append((key >> 3, value))
    return found


def put_criu(runtime, folder, stage=""):
    """One that fails, or tells the stage and then succeeds."""
    (folder / "programs").mkdir()
    program = folder / "programs" / "criu"
    program.write_text(STAND_IN.format(python=sys.executable, seen=str(folder / "request"), stage=stage))
    program.chmod(0o755)
    runtime.environment = {**os.environ, "PATH": f"{folder}/programs:{os.environ['PATH']}"}


def options_of_request(folder) -> list:
    return fields(dict(fields((folder / "request").read_bytes()))[OPTIONS])


@pytest.fixture
def criu(runtime, folder):
    """A function that gives the external mounts of the last request: pairs of what CRIU looks for and what it takes."""
    put_criu(runtime, folder)

    def external():
        mounts = [dict(fields(value)) for number, value in options_of_request(folder) if number == EXT_MOUNT]
        return [(mount[1].decode(), mount[2].decode()) for mount in mounts]
    return external


def checkpoint(runtime, folder, says="criu failed"):
    runtime.fails("checkpoint", "--image-path", folder / "images", "box", says=says, env=runtime.environment)


def restore(runtime, bundle, folder, *options, says="criu failed"):
    (folder / "saved").mkdir()
    (folder / "saved" / "descriptors.json").write_text("[]")
    runtime.fails("restore", "--detach", *options, "--bundle", bundle.path, "--image-path", folder / "saved", "again", says=says, env=runtime.environment)


@pytest.fixture
def shared(folder):
    (folder / "shared").mkdir()
    return folder / "shared"


def test_cve_2026_119101_mounts_are_called_by_their_place_in_the_configuration(runtime, bundle, folder, shared, criu):
    """And not by what the image makes of their destination."""
    (bundle.root / "real").mkdir()
    (bundle.root / "link").symlink_to("real")
    bundle.mount("/link", shared)
    index = len(bundle.config["mounts"]) - 1
    runtime.start("box", bundle.save("sleep", "1000"))
    checkpoint(runtime, folder)
    assert ("/real", f"mounts[{index}]") in criu()
    restore(runtime, bundle, folder)
    assert (f"mounts[{index}]", str(shared)) in criu()


@pytest.mark.parametrize("way", ["checkpoint", "restore"])
def test_cve_2026_115520_mounts_at_one_place_are_not_confused(runtime, bundle, folder, shared, criu, way):
    """One is read-only and the other is not: CRIU, which knows them by their place, would mix them up."""
    (bundle.root / "b").mkdir()
    (bundle.root / "a").symlink_to("b")
    bundle.mount("/a", shared, options=("bind", "ro"))
    bundle.mount("/b", folder)
    if way == "checkpoint":
        runtime.start("box", bundle.save("sleep", "1000"))
        checkpoint(runtime, folder, says="are both on /b in the root")
    else:
        restore(runtime, bundle.save("sleep", "1000"), folder, says="are both on /b in the root")


def test_cve_2026_119614_bind_on_dev_null_is_not_what_masks_paths(runtime, bundle, folder, shared, criu):
    (shared / "file").write_text("")
    bundle.config["mounts"] = [entry for entry in bundle.config["mounts"] if not entry["destination"].startswith("/dev")]
    bundle.mount("/dev/null", shared / "file")
    restore(runtime, bundle.save("true"), folder)
    sources = [source for key, source in criu() if key == "masked"]
    assert sources == ["/dev/null"] and (f"mounts[{len(bundle.config['mounts']) - 1}]", str(shared / "file")) in criu()
    assert "/dev/null" not in [key for key, _ in criu()]


def test_relative_sources_begin_in_the_bundle(runtime, bundle, folder, criu):
    (bundle.path / "inside").write_text("")
    bundle.mount("/place", "inside")
    restore(runtime, bundle.save("true"), folder)
    assert (f"mounts[{len(bundle.config['mounts']) - 1}]", str(bundle.path / "inside")) in criu()
    assert (bundle.root / "place").is_file()


def test_masked_paths_are_looked_for_in_the_containers_root(runtime, bundle, folder, criu):
    """A link of the image that would be followed on the host leads to nothing, or to something else."""
    (folder / "file").write_text("")
    (bundle.root / "masked").symlink_to(folder / "file")
    bundle.config["linux"]["maskedPaths"] = ["/masked", "/proc/keys"]
    runtime.start("box", bundle.save("sleep", "1000"))
    checkpoint(runtime, folder)
    masked = [place for place, key in criu() if key == "masked"]
    assert "/masked" not in masked and masked == (["/proc/keys"] if os.path.exists("/proc/keys") else [])


@pytest.mark.parametrize("reader", ["waits", "is gone"])
def test_who_waits_for_the_pages_is_told(runtime, bundle, folder, reader):
    put_criu(runtime, folder, stage="status-ready")
    runtime.start("box", bundle.save("sleep", "1000"))
    ready, told = os.pipe()
    if reader == "is gone":
        os.close(ready)
    done = subprocess.run(runtime.argv("checkpoint", "--lazy-pages", "--status-fd", told, "--image-path", folder / "images", "box"),
                          env=runtime.environment, pass_fds=[told], stderr=subprocess.PIPE, text=True)
    os.close(told)
    assert done.returncode == 0, done
    if reader == "waits":
        assert os.read(ready, 10) == b"\0"
        os.close(ready)
    else:
        assert "--status-fd" in done.stderr and "Broken pipe" in done.stderr
    assert (LAZY_PAGES, 1) in options_of_request(folder)
    runtime.fails("state", "box", says="container does not exist")


def test_restored_memory_comes_page_by_page_when_asked_for(runtime, bundle, folder, criu):
    restore(runtime, bundle.save("true"), folder, "--lazy-pages")
    assert (LAZY_PAGES, 1) in options_of_request(folder)


def test_devices_of_a_user_namespace_are_the_hosts_again(runtime, open_folder, folder, criu):
    box = Bundle(open_folder / "bundle")
    in_user_namespace(box)
    runtime.start("box", box.save("sleep", "1000"))
    checkpoint(runtime, folder)
    assert ("/dev/null", "devices[/dev/null]") in criu()
    restore(runtime, box, folder)
    assert ("devices[/dev/null]", "/dev/null") in criu()


def test_user_namespace_of_another_cannot_be_checkpointed(runtime, open_folder, folder):
    first, second = Bundle(open_folder / "one"), Bundle(open_folder / "two")
    in_user_namespace(first)
    runtime.start("first", first.save("sleep", "1000"))
    second.config["linux"]["namespaces"].append({"type": "user", "path": f"/proc/{runtime.state('first')['pid']}/ns/user"})
    runtime.start("second", second.save("sleep", "1000"))
    runtime.fails("checkpoint", "--image-path", folder / "images", "second", says="in the user namespace of another")
    assert runtime.state("second")["status"] == "running" and not (folder / "images").exists()
