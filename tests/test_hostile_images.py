"""Nothing that an image contains changes the sandbox's policy or touches a path of the host.

Each test is a way in which some engine was once left: the numbers are the CVEs'.
"""
import hashlib
import json
import os
import struct
from dataclasses import replace
from pathlib import Path

import pytest
from support import images, paths, registry as registries
from support.engines import BOX


@pytest.fixture
def make(registry, docker, box_tar, request):
    """Pulls an image of the base layer, further entries, and settings; returns its reference."""
    def build(*entries, **settings):
        layers = [box_tar, images.tar(entries)] if entries else [box_tar]
        name = "hostile/" + hashlib.sha1(request.node.name.encode()).hexdigest()[:12]
        reference = registry.push(name, "1", images.image(layers, **settings))
        docker.ok("pull", reference)
        return reference
    return build


@pytest.fixture
def marked(engine):
    """A folder of the host with a file in it that no container may see or change."""
    folder = engine.folder("hidden-")
    (folder / "mark").write_text("the host's")
    yield folder
    assert sorted(p.name for p in folder.iterdir()) == ["mark"] and (folder / "mark").read_text() == "the host's"


UP = "../" * 16


@pytest.mark.parametrize("number", range(3, 16))
def test_working_directory_is_no_descriptor_of_the_host(docker, marked, number):
    """2024-21626: a descriptor of the host that leaks into the child gives its directory away."""
    done = docker.run("run", "--rm", "-w", f"/proc/self/fd/{number}", BOX, "cat", f"{UP}{str(marked)[1:]}/mark")
    assert done.code != 0 and "the host's" not in done.out


def test_exec_working_directory_is_no_descriptor_of_the_host(docker, marked):
    docker.ok("run", "-d", "--name", "fds", BOX, "sleep", "600")
    for number in range(3, 16):
        done = docker.run("exec", "-w", f"/proc/self/fd/{number}", "fds", "cat", f"{UP}{str(marked)[1:]}/mark")
        assert done.code != 0 and "the host's" not in done.out


@pytest.mark.parametrize("name", ["proc", "sys", "dev"])
def test_mount_point_that_is_a_link(docker, make, registry, marked, name):
    """2019-19921, 2023-27561: /proc as a symbolic link makes the runtime mount somewhere else."""
    layer = images.tar([e for e in images.busybox_entries() if e.name != name] + [images.symlink(name, str(marked))])
    reference = registry.push(f"hostile/link-{name}", "1", images.image([layer]))
    docker.ok("pull", reference)
    before = Path("/proc/self/mountinfo").read_text()
    done = docker.run("run", "--rm", reference, "sh", "-c", "cat /proc/self/attr/current > /dev/null; echo ran")
    assert done.code in (0, 1, 125, 126, 127)
    assert {line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()} <= {line.split()[4] for line in before.splitlines()}


@pytest.mark.parametrize("name", ["etc/hosts", "etc/resolv.conf", "etc/hostname"])
def test_generated_file_over_a_link(docker, make, marked, name):
    """2021-30465 in its plain form: the target of a mount is a link that leads out."""
    reference = make(images.symlink(name, f"{UP}{str(marked)[1:]}/created"))
    done = docker.run("run", "--rm", reference, "echo", "ran")
    assert done.code in (0, 125, 126, 127)


@pytest.mark.parametrize("target", ["/link/sub", "/link", "/link/../up"])
def test_volume_over_a_link(docker, make, marked, target):
    reference = make(images.symlink("link", f"{UP}{str(marked)[1:]}"))
    docker.run("run", "--rm", "-v", f"vol:{target}", reference, "sh", "-c", f"touch {target}/from-inside")
    docker.run("run", "--rm", "--tmpfs", target, reference, "sh", "-c", f"touch {target}/from-inside")


def test_volume_of_the_image_over_a_link(docker, make, marked):
    reference = make(images.symlink("link", f"{UP}{str(marked)[1:]}"), Volumes={"/link/data": {}, f"/{UP}{str(marked)[1:]}": {}})
    docker.run("run", "--rm", reference, "sh", "-c", "touch /link/data/x; echo ran")


def test_working_directory_over_a_link(docker, make, marked):
    reference = make(images.symlink("link", f"{UP}{str(marked)[1:]}"), WorkingDir="/link/made")
    docker.run("run", "--rm", reference, "touch", "here")


@pytest.mark.parametrize("link", ["etc/passwd", "etc/group"])
def test_user_database_that_is_a_link(docker, make, engine, link):
    """The file is read inside the container: the host's users are not found."""
    folder = engine.folder("users-")
    (folder / "db").write_text("intruder:x:4711:\n" if "group" in link else "intruder:x:4711:4711::/:/bin/sh\n")
    reference = make(images.symlink(link, f"{UP}{str(folder)[1:]}/db"))
    user = "0:intruder" if "group" in link else "intruder"
    docker.fails("run", "--rm", "-u", user, reference, "id", says="(?i)unable to find|no matching|no such file")


def test_numeric_user_is_a_number(docker, make):
    """2016-3697: a user whose name is a number must not give another uid."""
    reference = make(images.text("etc/passwd", "1000:x:0:0:root:/root:/bin/sh\n"), User="1000")
    assert docker.ok("run", "--rm", reference, "id", "-u") == "1000"


def test_settings_that_only_look_like_policy(docker, make):
    """An image cannot ask for what only `run` may give."""
    reference = make(Privileged=True, CapAdd=["ALL"], HostConfig={"Privileged": True, "Binds": ["/:/host"], "NetworkMode": "host", "PidMode": "host"},
                     Labels={"privileged": "true", "io.kubernetes.cri.sandbox": "x", "org.opencontainers.image.base.name": "../../.."},
                     NetworkMode="host", SecurityOpt=["seccomp=unconfined"])
    out = docker.ok("run", "--rm", reference, "sh", "-c", "cat /proc/self/status; ls /; readlink /proc/self/ns/net")
    assert "CapEff:\t00000000a80425fb" in out and "Seccomp:\t2" in out and "\nhost\n" not in out
    assert os.readlink("/proc/self/ns/net") not in out


def programs() -> dict:
    return {p: hashlib.sha256(p.read_bytes()).hexdigest() for p in paths.BIN.glob("corten*") if p.is_file()}


def test_the_runtime_cannot_be_overwritten(docker, make):
    """2019-5736: an image whose program is the runtime itself, and a process that writes to it."""
    before = programs()
    reference = make(Entrypoint=["/proc/self/exe"], cmd=("--version",))
    docker.run("run", "--rm", reference)
    docker.ok("run", "-d", "--name", "writer", BOX, "sh", "-c",
              "while :; do for p in /proc/[0-9]*/exe; do [ $p = /proc/1/exe ] || (echo x > $p) 2>/dev/null; done; done")
    for _ in range(5):
        docker.run("exec", "writer", "/proc/self/exe", "true")
        docker.run("exec", "writer", "true")
    assert programs() == before
    assert docker.ok("exec", "writer", "echo", "well") == "well"


def test_environment_of_the_image_stays_inside(docker, make):
    """A preloaded library of the image must never meet a process of ours outside, nor a health check's helper."""
    reference = make(env=["LD_PRELOAD=/evil.so", "LD_LIBRARY_PATH=/evil", "GCONV_PATH=/evil", "PATH=/evil:/bin", "DOCKER_HOST=x", "NOTIFY_SOCKET=/x"])
    assert "LD_PRELOAD=/evil.so" in docker.ok("run", "--rm", reference, "env")
    docker.ok("run", "-d", "--name", "quiet", reference, "sleep", "600")
    parent = int(Path(f"/proc/{docker.inspect('quiet', 'State.Pid')}/stat").read_text().rpartition(")")[2].split()[1])
    assert b"/evil" not in Path(f"/proc/{parent}/environ").read_bytes()


@pytest.mark.parametrize("env", [["NOEQUALS"], ["=x"], ["A=" + "x" * 100000], ["A\nB=c"]], ids=["no value", "no name", "100 kB", "newline"])
def test_odd_environment(docker, make, env):
    reference = make(env=env)
    done = docker.run("run", "--rm", reference, "echo", "ran")
    assert done.code in (0, 125, 126, 127) and (done.code != 0 or done.out == "ran\n")


def test_image_of_many_labels_and_long_history(docker, make):
    reference = make(Labels={f"label.{n}": "x" * 100 for n in range(5000)}, 
                     history=[{"created_by": "base"}] + [{"created_by": "x" * 1000, "empty_layer": True}] * 1000)
    assert docker.ok("run", "--rm", reference, "echo", "ran") == "ran"
    assert len(docker.inspect(reference, "Config.Labels")) == 5000


def exits_with_its_user() -> bytes:
    """An x86-64 program of sixteen bytes, exit(geteuid()): busybox gives set-user-ID rights up by itself."""
    code = bytes.fromhex("b86b0000000f05" "89c7" "b83c0000000f05")
    base, start = 0x400000, 64 + 56
    header = struct.pack("<16sHHIQQQIHHHHHH", b"\x7fELF\x02\x01\x01", 2, 62, 1, base + start, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0, base, base, start + len(code), start + len(code), 4096)
    return header + segment + code


def test_set_user_id_and_no_new_privileges(docker, make):
    """With no-new-privileges a set-user-ID program of the image gives nothing."""
    reference = make(images.Entry("whoami", data=exits_with_its_user(), mode=0o4755))
    assert docker.run("run", "--rm", "-u", "100", reference, "/whoami").code == 0
    assert docker.run("run", "--rm", "-u", "100", "--security-opt", "no-new-privileges", reference, "/whoami").code == 100


def test_files_of_the_engine_are_not_the_containers(docker, engine):
    """Inside there is no way to the socket, the state or the other containers' files."""
    out = docker.ok("run", "--rm", BOX, "sh", "-c", "cat /proc/self/mountinfo; find / -xdev -type s")
    assert "docker.sock" not in out and "s.sock" not in out
    visible = [line for line in out.splitlines() if str(engine.work) in line.split(" - ")[0]]
    assert all(line.split()[4] in ("/etc/hosts", "/etc/hostname", "/etc/resolv.conf") for line in visible), visible


# --- who an image says it is ---------------------------------------------------------------------

@pytest.mark.parametrize("user, groups", [("alice", {1000, 44, 50}), ("1000", {1000, 44, 50}), ("alice:daemon", {1}), ("1234:5678", {5678})])
def test_cve_2022_36109_and_2023_25173_process_has_the_groups_of_its_user_and_no_others(docker, user, groups):
    """The first of them too: without it, what is closed to that group would be open to its own members."""
    for command in (("run", "--rm", "-u", user), ("exec", "-u", user)):
        if command[0] == "exec":
            docker.ok("run", "-d", "--name", "grouped", BOX, "sleep", "60")
        line = docker.ok(*command, "grouped" if command[0] == "exec" else BOX, "grep", "^Groups:", "/proc/self/status")
        assert set(map(int, line.split()[1:])) == groups


def lying(picture):
    """Says that it is what was asked for."""
    def fault(handler, _body, _kind):
        asked = handler.path.rpartition("/")[2]
        registries.reply(handler, picture.manifest.data, picture.manifest.media_type, headers={"Docker-Content-Digest": asked})
    return fault


def test_cve_2026_111361_image_by_digest_is_what_has_that_digest(docker, faulty, box_tar):
    """Not what a registry, or what a name in an archive, says has it."""
    true, other = (images.image([box_tar, images.tar([images.text("mark", mark)])], compression="none") for mark in ("true", "other"))
    name = faulty.put("claimed", "1", true).rpartition(":")[0]
    faulty.put("claimed", "2", other)
    faulty.faults[f"/manifests/{true.digest}"] = lying(other)
    docker.fails("pull", f"{name}@{true.digest}")
    faulty.faults = {f"/blobs/{true.config.digest}": registries.says(other.config.data)}
    docker.fails("pull", f"{name}@{true.digest}")
    archive = images.docker_archive(f"{name}@{true.digest}", other, [layer.data for layer in other.layers])
    docker.run("load", input=archive)
    docker.fails("image", "inspect", f"{name}@{true.digest}", says="(?i)no such image")
    faulty.faults = {}
    docker.ok("pull", f"{name}@{true.digest}")
    assert docker.ok("run", "--rm", f"{name}@{true.digest}", "cat", "/mark") == "true"


def test_cve_2026_53489_image_takes_no_name_that_nobody_gave_it(docker, faulty, box_tar):
    """What an image's own documents call it is text: only the name that was asked for is its name."""
    before = docker.inspect(BOX, "Id")
    names = dict.fromkeys(("org.opencontainers.image.ref.name", "io.containerd.image.name"), f"docker.io/library/{BOX}:latest")
    picture = images.image([box_tar, images.tar([images.text("taken", "x")])], style="oci", Labels=names)
    manifest = json.loads(picture.manifest.data) | {"annotations": names}
    picture = replace(picture, manifest=images.Blob(json.dumps(manifest).encode(), picture.manifest.media_type))
    index = json.loads(images.index([picture]).manifest.data)
    index["annotations"] = index["manifests"][0]["annotations"] = names
    several = images.Index(images.Blob(json.dumps(index).encode(), images.OCI["index"]), (picture,))
    for tag, what in (("one", picture), ("several", several)):
        reference = faulty.put("taker", tag, what)
        docker.ok("pull", reference)
        assert docker.inspect(BOX, "Id") == before
        assert set(docker.inspect(reference, "RepoTags")) <= {f"{faulty.address}/taker:{t}" for t in ("one", "several")}
