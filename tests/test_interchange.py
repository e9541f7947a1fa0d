"""Images to and from other people's tools, through a registry with TLS and a password and through archives.

What was pushed or saved by us is the same image for skopeo, umoci, buildah, podman and Debian's docker, to the last file; and
what they make, for us. The truth about a tree is what umoci unpacks of an image that never met an engine.
"""
import io
import json
import os
import shutil
import ssl
import subprocess
from pathlib import Path

import pytest
from support import engines, images, trees
from support import registry as registries
from support.bundles import hiding_unified, need
from support.clients import find_docker
from support.peers import Peer, Room, Service, remove_groups
from support.tls import Authority, PrivateEtc

pytestmark = pytest.mark.corten_only
USER, PASSWORD = "alice", "secret word"
PARENT = f"corten-t-interchange-{os.getpid()}"
LIMITS = ("--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1000:1000")
# What engines put into every container, and so hide of the image.
OURS = ("dev", "proc", "sys", "run", "vol", "etc/hosts", "etc/hostname", "etc/resolv.conf", "etc/mtab", ".dockerenv")
CAPABILITY = "\x01\x00\x00\x02\x00\x20" + "\x00" * 14
SETTINGS = {"User": "alice", "WorkingDir": "/work", "Labels": {"maker": "tests", "ü": "ö"}, "StopSignal": "SIGUSR1",
            "ExposedPorts": {"80/tcp": {}}, "Volumes": {"/vol": {}}, "Entrypoint": ["sh", "-c"]}
SHOW = """id -u; pwd; echo "$WHO"; cat /upper; ls -A /hidden; ls -d /gone 2>/dev/null
stat -c "%a %u:%g %h" /set-id /hard-1; readlink /link"""
SHOWN = ["1000", "/work", "über", "from above", "new", "6755 1000:50 1", "640 7:8 2", "/no/where"]


# --- the image -----------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def layers(box_tar) -> list:
    lower = images.tar([
        images.text("gone", "x"), images.directory("hidden", 0o2775, gid=50), images.text("hidden/old", "x"),
        images.text("upper", "from below\n"),
        images.text("set-id", "x", 0o6755, uid=1000, gid=50),
        images.text("hard-1", "one", 0o640, uid=7, gid=8), images.hardlink("hard-2", "hard-1", mode=0o640, uid=7, gid=8),
        images.symlink("link", "/no/where"), images.Entry("pipe", images.tarfile.FIFOTYPE, mode=0o622),
        images.Entry("null", images.tarfile.CHRTYPE, device=(1, 3), mode=0o666), images.directory("work", 0o1777),
        images.text("ünï cödé", "x"),
        images.Entry("capable", data=b"x", mode=0o755, xattrs={"security.capability": CAPABILITY}), images.text("n" * 200, "long"),
    ])
    upper = images.tar([
        images.whiteout("gone"), images.directory("hidden", 0o2775, gid=50), images.opaque("hidden"), images.text("hidden/new", "y"),
        images.text("upper", "from above\n"), images.Entry("big", data=bytes(range(256)) * 4096),
    ])
    return [box_tar, lower, upper]


def settled(layers, **shape) -> images.Image:
    return images.image(layers, env=["WHO=über"], cmd=(SHOW,), **SETTINGS, **shape)


@pytest.fixture(scope="module")
def layout(layers, work) -> Path:
    """An OCI layout: the image as `it`, with gzip, and as `plain`, without; `many` is an index of it for two architectures."""
    folder, it = work / "layout", settled(layers, style="oci")
    images.write_oci_layout(folder, {"it": it, "plain": settled(layers, style="oci", compression="none"),
                                     "many": images.index([settled(layers[:1], style="oci", architecture="arm64", variant="v8"), it])})
    return folder


@pytest.fixture(scope="module")
def truth(layout, work) -> dict:
    subprocess.run([need("umoci"), "raw", "unpack", "--image", f"{layout}:it", work / "truth"], check=True, stderr=subprocess.DEVNULL)
    return pruned(trees.of_folder(work / "truth"))


def pruned(nodes: dict) -> dict:
    """Without what engines add or hide, and so without the folder in which they do."""
    return {path: node for path, node in nodes.items() if path != "etc" and not any(path == o or path.startswith(o + "/") for o in OURS)}


# --- who takes part ------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def work():
    """Short, as podman and unix sockets want it, and fit for an image's name: podman calls by its path what it pulls from a layout."""
    made = Path(f"/tmp/corten-t-swap-{os.getpid()}")
    made.mkdir(0o755)
    yield made
    shutil.rmtree(made)


@pytest.fixture(scope="module")
def etc(work):
    return PrivateEtc(work / "etc")


@pytest.fixture(scope="module")
def ours(etc):
    own = engines.Daemon("swap", prefix=etc.prefix()).start()
    yield own
    own.stop()


@pytest.fixture(scope="module")
def hub(work, ours, etc):
    """Debian's registry with a certificate of an authority that everyone here trusts, and one user."""
    authority = Authority(work / "authority")
    real = registries.RealRegistry({USER: PASSWORD}, ours.gateway, authority.issue("hub", ours.gateway),
                                   trust=ssl.create_default_context(cafile=authority.certificate))
    etc.trust(real.address, authority.certificate)
    yield real
    real.stop()


@pytest.fixture(scope="module")
def room(etc):
    with Room([*hiding_unified(), *etc.prefix()], network="host") as made:
        yield made


class Tool(Peer):
    """A command without a daemon, logged in to the registry."""

    def __init__(self, name, work, room, hub, *options):
        super().__init__(need(name), work / name, room, options)
        self.login = self.config / "auth.json"
        self.login.write_text(json.dumps({"auths": {hub.address: {"auth": hub.pusher.headers["Authorization"].split()[1]}}}))

    def environment(self) -> dict:
        return {**super().environment(), "REGISTRY_AUTH_FILE": str(self.login), "BUILDAH_ISOLATION": "chroot"}


def storage(folder: Path) -> list:
    return ["--root", folder / "root", "--runroot", folder / "run", "--storage-driver", "vfs"]


@pytest.fixture(scope="module")
def skopeo(work, room, hub):
    return Tool("skopeo", work, room, hub, "--insecure-policy")


@pytest.fixture(scope="module")
def umoci(work, room, hub):
    return Tool("umoci", work, room, hub)


@pytest.fixture(scope="module")
def buildah(work, room, hub):
    return Tool("buildah", work, room, hub, *storage(work / "buildah"))


@pytest.fixture(scope="module")
def podman(work, room, hub):
    folder = work / "podman"
    yield Tool("podman", work, room, hub, *storage(folder), "--tmpdir", folder / "tmp", "--cgroup-manager", "cgroupfs",
               "--events-backend", "file")
    remove_groups(f"{PARENT}-podman")


@pytest.fixture(scope="module")
def dockerd(work, room, hub):
    """Debian's docker of its own; the stock command talks to it."""
    program, folder = need("dockerd"), work / "docker"
    need("containerd")
    client = Peer(find_docker() or need("docker"), folder, room, [], f"unix://{folder}/d.sock")
    (folder / "daemon.json").write_text("{}")
    service = Service(client, [
        program, "--data-root", folder / "data", "--exec-root", folder / "exec", "--pidfile", folder / "pid", "--host", client.host,
        "--config-file", folder / "daemon.json", "--bridge", "none", "--iptables=false", "--ip6tables=false", "--ip-forward=false",
        "--ip-masq=false", "--userland-proxy=false", "--storage-driver", "vfs", "--cgroup-parent", f"/{PARENT}-docker"], ["version"])
    try:
        client.ok("login", "-u", USER, "--password-stdin", hub.address, input=PASSWORD)
        yield client
    finally:
        service.stop()
        remove_groups(f"{PARENT}-docker")


@pytest.fixture
def engine(ours, hub):
    """Our engine, empty; both commands are logged in."""
    for client in map(ours.client, ("docker", "corten")):
        if not (client.config / "config.json").exists():
            client.ok("login", "-u", USER, "--password-stdin", hub.address, input=PASSWORD)
    yield ours
    ours.clean()


# --- what they show of an image ------------------------------------------------------------------

def tree_of_layout(umoci, layout: Path, tag: str, folder: Path) -> dict:
    umoci.ok("raw", "unpack", "--image", f"{layout}:{tag}", folder)
    return pruned(trees.of_folder(folder))


def tree_of_export(client, image) -> dict:
    number = client.ok("create", image)
    try:
        return pruned(trees.of_tar(io.BytesIO(client.run("export", number).raw)))
    finally:
        client.ok("rm", number)


def tree_of_ours(engine, reference) -> dict:
    docker = engine.client("docker")
    number = docker.ok("run", "-d", "--network", "none", "-u", "root", "--entrypoint", "sleep", reference, "600")
    try:
        return pruned(trees.of_folder(f"/proc/{engine.host_pid(number)}/root"))
    finally:
        docker.ok("rm", "-fv", number)


def assert_runs(client, reference, *options):
    assert client.ok("run", "--rm", "--network", "none", *options, reference).splitlines() == SHOWN


def assert_whole(engine, reference, truth, number=None):
    """Our engine has the image: its files, its settings, what it prints; and, where given, its id."""
    trees.assert_same(truth, tree_of_ours(engine, reference))
    found = engine.api.get(f"/images/{reference}/json").json()
    assert found["Id"] == (number or found["Id"])
    wanted = {**SETTINGS, "Cmd": [SHOW]}
    assert {name: found["Config"].get(name) for name in wanted} == wanted
    assert_runs(engine.client("corten"), reference)


# --- pushed by us --------------------------------------------------------------------------------

@pytest.fixture(params=["docker", "corten"], scope="module")
def pushed(request, ours, hub, layers) -> str:
    """The image, pulled and pushed again under another name by our engine, at the word of each command."""
    client, begun = ours.client(request.param), hub.push("source", "1", settled(layers))
    client.ok("login", "-u", USER, "--password-stdin", hub.address, input=PASSWORD)
    target = f"{hub.address}/pushed/by-{request.param}:1"
    client.ok("pull", begun)
    client.ok("tag", begun, target)
    client.ok("push", target)
    client.ok("rmi", begun, target)
    return target


@pytest.fixture(scope="module")
def number(layers) -> str:
    """The image's id, which every engine that keeps the configuration as it is gives it."""
    return settled(layers).id


def test_skopeo_sees_what_we_pushed(skopeo, umoci, pushed, layers, number, truth, tmp_path):
    raw = json.loads(skopeo.ok("inspect", "--raw", f"docker://{pushed}"))
    assert raw["config"]["digest"] == number
    config = json.loads(skopeo.ok("inspect", "--config", f"docker://{pushed}"))
    assert config["rootfs"]["diff_ids"] == [images.digest_of(layer) for layer in layers]
    assert {k: config["config"][k] for k in SETTINGS} == SETTINGS
    skopeo.ok("copy", f"docker://{pushed}", f"oci:{tmp_path}/copy:it")
    trees.assert_same(truth, tree_of_layout(umoci, tmp_path / "copy", "it", tmp_path / "root"))


def test_buildah_builds_on_what_we_pushed(buildah, engine, hub, pushed, truth, cli):
    container = buildah.ok("from", "--creds", f"{USER}:{PASSWORD}", f"docker://{pushed}")
    try:
        trees.assert_same(truth, pruned(trees.of_folder(buildah.ok("mount", container))))
        shell = ("--user", "root", container, "--", "sh", "-c")
        assert buildah.ok("run", "--network", "host", *shell, "echo added > /added; cat /upper") == "from above"
        buildah.ok("config", "--label", "by=buildah", "--user", "root", container)
        made = f"{hub.address}/built/{pushed.split('/')[-1]}"
        buildah.ok("commit", "--quiet", container, f"docker://{made}")
    finally:
        buildah.ok("rm", container)
    cli.ok("pull", made)
    assert cli.ok("run", "--rm", made, "cat /added /upper; id -u").splitlines() == ["added", "from above", "0"]
    assert cli.inspect(made, "Config.Labels")["by"] == "buildah"


def test_podman_runs_what_we_pushed(podman, pushed, number, truth):
    podman.ok("pull", "--quiet", f"docker://{pushed}")
    assert podman.inspect(pushed, "Id") == number.split(":")[1]
    assert_runs(podman, pushed, "--cgroup-parent", f"/{PARENT}-podman", *LIMITS)
    trees.assert_same(truth, tree_of_export(podman, pushed))
    podman.ok("rmi", pushed)


def test_dockerd_runs_what_we_pushed(dockerd, pushed, number, truth):
    dockerd.ok("pull", pushed)
    assert dockerd.inspect(pushed, "Id") == number
    assert_runs(dockerd, pushed)
    trees.assert_same(truth, tree_of_export(dockerd, pushed))
    dockerd.ok("rmi", pushed)


# --- pushed by them ------------------------------------------------------------------------------

COPIES = {"as it is": (), "docker": ("--format", "v2s2"), "oci": ("--format", "oci"),
          "zstd": ("--dest-compress", "--dest-compress-format", "zstd"),
          "docker gzip": ("--dest-compress", "--dest-compress-format", "gzip", "--format", "v2s2")}


@pytest.mark.parametrize("options", COPIES)
@pytest.mark.parametrize("begun", ["it", "plain"])
def test_skopeo_pushes_and_we_run(cli, skopeo, engine, hub, layout, truth, number, begun, options):
    target = f"{hub.address}/skopeo/{begun}:1"
    skopeo.ok("copy", *COPIES[options], f"oci:{layout}:{begun}", f"docker://{target}")
    cli.ok("pull", target)
    assert_whole(engine, target, truth)


def test_skopeo_pushes_an_index(cli, skopeo, engine, hub, layout, truth, number):
    target = f"{hub.address}/skopeo/many:1"
    skopeo.ok("copy", "--all", f"oci:{layout}:many", f"docker://{target}")
    cli.ok("pull", target)
    assert_whole(engine, target, truth)
    cli.ok("pull", "--platform", "linux/arm64", target)
    assert cli.inspect(target, "Architecture") == "arm64"


def test_umoci_makes_and_we_run(cli, umoci, skopeo, engine, hub, tmp_path, layout, truth):
    """Unpacked, changed and packed again by umoci: a layer with a whiteout of its own."""
    skopeo.ok("copy", f"oci:{layout}:it", f"oci:{tmp_path}/mine:it")
    umoci.ok("unpack", "--image", f"{tmp_path}/mine:it", tmp_path / "bundle")
    root = tmp_path / "bundle" / "rootfs"
    (root / "by-umoci").write_text("made\n")
    os.utime(root / "by-umoci", (1_700_000_000, 1_700_000_000))  # umoci knows whole seconds
    (root / "set-id").unlink()
    os.setxattr(root / "big", "user.mark", b"m\0n")
    umoci.ok("repack", "--image", f"{tmp_path}/mine:changed", tmp_path / "bundle")
    umoci.ok("config", "--image", f"{tmp_path}/mine:changed", "--config.cmd", "cat /by-umoci", "--config.label", "by=umoci")
    target = f"{hub.address}/umoci:1"
    skopeo.ok("copy", f"oci:{tmp_path}/mine:changed", f"docker://{target}")
    cli.ok("pull", target)
    assert cli.ok("run", "--rm", target) == "made" and cli.inspect(target, "Config.Labels")["by"] == "umoci"
    trees.assert_same(pruned(trees.of_folder(root)), tree_of_ours(engine, target))


@pytest.mark.parametrize("form", ["oci", "v2s2"])
def test_podman_commits_and_pushes_and_we_run(corten, podman, engine, hub, layout, form):
    podman.ok("pull", "--quiet", f"oci:{layout}:it")
    image = podman.ok("images", "--quiet").split()[0]
    podman.ok("run", "--name", "made", "--network", "none", "--cgroup-parent", f"/{PARENT}-podman", *LIMITS, "--user", "root", image,
              "echo podman > /by-podman; rm /set-id; chmod 4711 /big")
    podman.ok("commit", "--quiet", "--format", "oci" if form == "oci" else "docker", "made", "mine")
    target = f"{hub.address}/podman/{form}:1"
    podman.ok("push", "--quiet", "--format", form, "mine", f"docker://{target}")
    wanted = tree_of_export(podman, "mine")
    podman.ok("rm", "made")
    podman.ok("rmi", "--all", "--force")
    corten.ok("pull", target)
    assert corten.ok("run", "--rm", target, "cat /by-podman; ls /set-id 2>/dev/null; stat -c %a /big").splitlines() == ["podman", "4711"]
    trees.assert_same(wanted, tree_of_ours(engine, target), time=lambda time: time // 10**9)


def test_dockerd_commits_and_pushes_and_we_run(docker, dockerd, engine, hub, layers):
    reference = hub.push("source", "2", settled(layers))
    target = f"{hub.address}/dockerd:1"
    dockerd.ok("pull", reference)
    dockerd.ok("run", "--name", "made", "--network", "none", "--user", "root", reference, "echo dockerd > /by-docker; rm /set-id")
    dockerd.ok("commit", "made", target)
    dockerd.ok("push", target)
    wanted = tree_of_export(dockerd, target)
    dockerd.ok("rm", "made")
    dockerd.ok("rmi", target, reference)
    docker.ok("pull", target)
    assert docker.ok("run", "--rm", target, "cat /by-docker; ls /set-id 2>/dev/null; true") == "dockerd"
    trees.assert_same(wanted, tree_of_ours(engine, target), time=lambda time: time // 10**9)


# --- archives ------------------------------------------------------------------------------------

@pytest.fixture(params=["docker", "corten"], scope="module")
def saved(request, ours, hub, layers, work) -> Path:
    """An archive of the image, under the name saved:1, by each command."""
    client, begun = ours.client(request.param), hub.push("source", "3", settled(layers))
    archive = work / f"saved-by-{request.param}.tar"
    client.ok("login", "-u", USER, "--password-stdin", hub.address, input=PASSWORD)
    client.ok("pull", begun)
    client.ok("tag", begun, "saved:1")
    client.ok("save", "-o", archive, "saved:1")
    client.ok("rmi", begun, "saved:1")
    return archive


@pytest.mark.parametrize("form", ["docker-archive", "oci-archive"])
def test_skopeo_reads_what_we_saved(skopeo, umoci, saved, number, truth, tmp_path, form):
    skopeo.ok("copy", f"{form}:{saved}", f"oci:{tmp_path}/copy:it")
    trees.assert_same(truth, tree_of_layout(umoci, tmp_path / "copy", "it", tmp_path / "root"))


def test_podman_loads_what_we_saved(podman, saved, number):
    assert "saved:1" in podman.ok("load", "--input", saved)
    assert podman.inspect("saved:1", "Id") == number.split(":")[1]
    assert_runs(podman, "saved:1", "--cgroup-parent", f"/{PARENT}-podman", *LIMITS)
    podman.ok("rmi", "saved:1")


def test_dockerd_loads_what_we_saved(dockerd, saved, number):
    assert "Loaded image: saved:1" in dockerd.ok("load", "-i", saved)
    assert dockerd.inspect("saved:1", "Id") == number
    assert_runs(dockerd, "saved:1")
    dockerd.ok("rmi", "saved:1")


def loaded(cli, archive: Path) -> str:
    told = cli.ok("load", "-i", archive)
    return told.split(": ", 1)[1].splitlines()[0]


PRESSES = {"plain": None, "gzip": ["gzip", "-1"], "zstd": ["zstd", "-q", "-1"], "xz": ["xz", "-0"], "bzip2": ["bzip2", "-1"]}


@pytest.mark.parametrize("press", PRESSES)
@pytest.mark.parametrize("form", ["docker-archive", "oci-archive"])
def test_we_load_what_skopeo_wrote(cli, skopeo, engine, layout, truth, tmp_path, form, press):
    archive = tmp_path / "archive.tar"
    skopeo.ok("copy", f"oci:{layout}:it", f"{form}:{archive}:" + ("by/skopeo:1" if form == "docker-archive" else "by-skopeo"))
    if PRESSES[press]:
        need(PRESSES[press][0])
        packed = subprocess.run([*PRESSES[press], "-c", archive], stdout=subprocess.PIPE, check=True).stdout
        archive.write_bytes(packed)
    assert_whole(engine, loaded(cli, archive), truth)


def test_we_load_an_archive_of_zstd_layers(cli, skopeo, engine, layout, truth, tmp_path):
    archive = tmp_path / "archive.tar"
    skopeo.ok("copy", "--dest-compress", "--dest-compress-format", "zstd", f"oci:{layout}:plain", f"oci-archive:{archive}:z")
    assert_whole(engine, loaded(cli, archive), truth)


@pytest.mark.parametrize("form", ["docker-archive", "oci-archive"])
def test_we_load_what_podman_saved(corten, podman, engine, layout, truth, tmp_path, form):
    podman.ok("pull", "--quiet", f"oci:{layout}:it")
    podman.ok("tag", podman.ok("images", "--quiet").split()[0], "by/podman:1")
    podman.ok("save", "--quiet", "--format", form, "--output", tmp_path / "archive.tar", "by/podman:1")
    podman.ok("rmi", "--all", "--force")
    reference = loaded(corten, tmp_path / "archive.tar")
    assert "by/podman:1" in reference
    assert_whole(engine, reference, truth)


def test_we_load_what_dockerd_saved(docker, dockerd, engine, hub, layers, truth, number, tmp_path):
    reference = hub.push("source", "4", settled(layers))
    dockerd.ok("pull", reference)
    dockerd.ok("tag", reference, "by/dockerd:1")
    dockerd.ok("save", "-o", tmp_path / "archive.tar", "by/dockerd:1")
    dockerd.ok("rmi", "by/dockerd:1", reference)
    assert loaded(docker, tmp_path / "archive.tar") == "by/dockerd:1"
    assert_whole(engine, "by/dockerd:1", truth, number)
