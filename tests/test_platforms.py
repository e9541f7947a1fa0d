"""Images of several platforms: each that is pulled or loaded stays under the name, and can be told, run, saved and pushed."""
import io
import json
import sqlite3
import struct
import tarfile
import time
import urllib.parse

import pytest
from support import images
from support.engines import BOX, Daemon

FOREIGN = "linux/arm64"


def one(box_tar, architecture, unique="", **more):
    return images.image([box_tar, images.tar([images.text("arch", architecture + unique)])], style="oci", architecture=architecture,
                        Labels={"made": "for-platforms"}, **more)


@pytest.fixture
def many(box_tar):
    """An index for three platforms, unlike that of any other test. Its programs are this host's in all of them."""
    unique = f" {time.monotonic_ns()}"
    return images.index([one(box_tar, "arm64", unique, variant="v8"), one(box_tar, "amd64", unique), one(box_tar, "s390x", unique)])


@pytest.fixture
def reference(registry, many):
    return registry.push("platforms", "1", many)


@pytest.fixture
def both(engine, cli, reference):
    """Two of the three platforms are here; the one that was pulled last is meant by the name alone."""
    cli.ok("pull", "--platform", FOREIGN, reference)
    cli.ok("pull", reference)
    return reference


def query(architecture, os="linux", **more):
    return "platform=" + urllib.parse.quote(json.dumps({"os": os, "architecture": architecture, **more}))


def listed(engine, reference):
    found = [i for i in engine.api.get("/images/json?manifests=1").json() if reference in i["RepoTags"]]
    assert len(found) == 1, found
    return found[0]


def available(engine, reference):
    return {m["ImageData"]["Platform"]["architecture"] for m in listed(engine, reference)["Manifests"] if m["Available"]}


def architecture(engine, reference, *wanted):
    return engine.api.get(f"/images/{reference}/json?{'&'.join(wanted)}").json()["Architecture"]


# --- pull and run --------------------------------------------------------------------------------

def test_pull_of_another_platform_than_the_hosts(cli, reference):
    cli.ok("pull", "--platform", FOREIGN, reference)
    assert cli.inspect(reference, "Architecture") == "arm64"
    made = cli.run("create", "--name", "foreign", reference)
    assert made.code == 0 and "The requested image's platform (linux/arm64" in made.err and "does not match the detected host platform" in made.err
    assert "WARNING" not in cli.run("create", "--name", "wanted", "--platform", FOREIGN, reference).err


def test_a_program_of_another_machine_is_an_exec_format_error(engine, cli, registry, box_tar):
    elf = b"\x7fELF\x02\x01\x01" + b"\0" * 9 + struct.pack("<HHIQQQIHHHHHH", 2, 183, 1, 0x400000, 64, 0, 0, 64, 56, 0, 64, 0, 0)
    layer = images.tar([images.Entry("program", data=elf, mode=0o755)])
    reference = registry.push("machine", "1", images.image([box_tar, layer], architecture="arm64", cmd=("/program",)))
    cli.ok("pull", "--platform", FOREIGN, reference)
    done = cli.run("run", "--rm", "--platform", FOREIGN, reference)
    # Docker has started the container by then, we have not.
    assert done.code == (125 if engine.is_corten else 255) and "exec format error" in done.err


@pytest.mark.corten_only
def test_every_platform_that_was_pulled_stays(engine, cli, both, many):
    assert architecture(engine, both) == "amd64" and available(engine, both) == {"amd64", "arm64"}
    assert cli.ok("images", "-q", both.rpartition(":")[0]).count("\n") == 0, "a platform has a line of its own"
    assert cli.ok("images", "-q", "--filter", "dangling=true") == ""
    assert cli.ok("run", "--rm", "--platform", FOREIGN, both, "cat", "/arch").startswith("arm64")
    assert cli.ok("run", "--rm", "--platform", "linux/amd64", both, "cat", "/arch").startswith("amd64")
    cli.fails("create", "--platform", "linux/s390x", "--pull=never", both, says="does not provide the specified platform .linux/s390x.")
    cli.ok("image", "prune", "-f")
    assert available(engine, both) == {"amd64", "arm64"}


@pytest.mark.corten_only
def test_a_name_that_moves_on_leaves_what_it_had(engine, cli, registry, box_tar, both, many):
    """The new index has its own images; those of the old one have no name any more."""
    moved = images.index([one(box_tar, "amd64", "new"), one(box_tar, "arm64", "new")])
    registry.push("platforms", "1", moved)
    cli.ok("pull", both)
    assert available(engine, both) == {"amd64"} and listed(engine, both)["Descriptor"]["digest"] == moved.digest
    repository = both.rpartition(":")[0]
    kept = engine.api.get(f"/images/{repository}@{many.digest}/json").json()
    assert kept["Id"] == many.images[1].id, "the digest still names the old index"
    cli.ok("rmi", f"{repository}@{many.digest}")
    for old in many.images[:2]:
        assert engine.api.get(f"/images/{old.id}/json").status == 404


# --- what is told --------------------------------------------------------------------------------

@pytest.mark.corten_only
def test_manifests_of_an_index_on_the_wire(engine, cli, both, many):
    cli.ok("create", "--name", "user", "--platform", FOREIGN, both)
    found = listed(engine, both)
    assert found["Descriptor"] == {"mediaType": many.manifest.media_type, "digest": many.digest, "size": len(many.manifest.data)}
    assert found["Containers"] == 1
    entries = json.loads(many.manifest.data)["manifests"]
    assert [m["Descriptor"] for m in found["Manifests"]] == entries
    arm, amd, s390x = found["Manifests"]
    assert (arm["ID"], arm["Kind"], arm["Available"]) == (entries[0]["digest"], "image", True)
    assert arm["ImageData"]["Platform"] == {"architecture": "arm64", "os": "linux", "variant": "v8"}
    assert len(arm["ImageData"]["Containers"]) == 1 and amd["ImageData"]["Containers"] == []
    assert arm["Size"]["Total"] == arm["Size"]["Content"] + arm["ImageData"]["Size"]["Unpacked"]
    assert not s390x["Available"] and s390x["Size"] == {"Total": 0, "Content": 0}
    # What both platforms have is there once.
    assert arm["ImageData"]["Size"]["Unpacked"] < found["Size"] < arm["ImageData"]["Size"]["Unpacked"] + amd["ImageData"]["Size"]["Unpacked"]
    inspected = engine.api.get(f"/images/{both}/json?manifests=1").json()
    assert inspected["Manifests"] == found["Manifests"] and inspected["Descriptor"] == found["Descriptor"]


@pytest.mark.corten_only
def test_an_attestation_is_told_as_one(engine, cli, registry, box_tar):
    """buildkit's provenance stands in the index as a manifest for the platform unknown/unknown."""
    picture = one(box_tar, "amd64")
    about = {"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": picture.digest}
    statement = images.Blob(b"{}", "application/vnd.in-toto+json")
    proof = images.assemble((statement,), [statement.digest], style="oci", architecture="unknown")
    body = {"schemaVersion": 2, "mediaType": images.OCI["index"], "manifests": [
        picture.manifest.descriptor(platform=picture.platform),
        proof.manifest.descriptor(platform={"architecture": "unknown", "os": "unknown"}, annotations=about)]}
    what = images.Index(images.Blob(json.dumps(body).encode(), images.OCI["index"]), (picture, proof))
    reference = registry.push("proven", "1", what)
    cli.ok("pull", reference)
    image, attestation = listed(engine, reference)["Manifests"]
    assert image["Available"] and attestation["Kind"] == "attestation" and not attestation["Available"]
    assert attestation["AttestationData"] == {"For": picture.digest} and "ImageData" not in attestation


@pytest.mark.corten_only
def test_an_image_of_one_platform_has_one_manifest(engine, registry, box_tar, cli):
    picture = images.image([box_tar], env=["ONE=platform"])
    reference = registry.push("single", "1", picture)
    cli.ok("pull", reference)
    found = listed(engine, reference)
    assert [m["ID"] for m in found["Manifests"]] == [picture.digest] and found["Descriptor"]["digest"] == picture.digest


@pytest.mark.corten_only
def test_older_versions_are_told_no_manifests(engine, both):
    found = [i for i in engine.api.get("/v1.46/images/json?manifests=1").json() if both in i["RepoTags"]]
    assert not {"Manifests", "Descriptor"} & set(found[0])
    assert "Descriptor" not in engine.api.get(f"/v1.47/images/{both}/json").json()
    assert engine.api.get(f"/v1.48/images/{both}/json?{query('arm64')}").json()["Architecture"] == "amd64", "1.49 brought the parameter"


@pytest.mark.corten_only
def test_inspect_and_history_of_a_platform(engine, cli, both, many):
    found = engine.api.get(f"/images/{both}/json?{query('arm64')}").json()
    assert found["Id"] == many.images[0].id and found["RepoTags"] == [both] and found["Descriptor"]["digest"] == many.images[0].digest
    assert engine.api.get(f"/images/{both}/history?{query('arm64')}").json()[0]["Id"] == many.images[0].id
    missing = engine.api.get(f"/images/{both}/json?{query('s390x')}")
    assert missing.status == 404 and "does not provide the specified platform (linux/s390x)" in missing.message


def test_inspect_of_a_platform_that_a_single_image_is_not_for(engine):
    reply = engine.api.get(f"/images/{BOX}/json?{query('arm64')}")
    assert reply.status == 404
    assert reply.message == f"image with reference {BOX} was found but its platform (linux/amd64) does not match the specified platform (linux/arm64)"


@pytest.mark.parametrize("asked, says", [
    ("platform=linux/arm64", "failed to parse platform"),
    (query("arm64") + "&manifests=1", "conflicting options: manifests and platform options cannot both be set"),
], ids=["text", "manifests too"])
def test_a_bad_question_for_a_platform(engine, asked, says):
    reply = engine.api.get(f"/images/{BOX}/json?{asked}")
    assert reply.status == 400 and says in reply.message


@pytest.mark.corten_only
@pytest.mark.client(28)
def test_the_tree_of_platforms(cli, both):
    tree = cli.ok("images", "--tree")
    assert both in tree
    below = [line.split()[:2] for line in tree[tree.index(both):].splitlines()[1:4]]
    assert [(mark, name.removesuffix("/v8")) for mark, name in below] == [("├─", "linux/arm64"), ("├─", "linux/amd64"), ("└─", "linux/s390x")]


@pytest.mark.corten_only
def test_the_tree_takes_no_columns(corten):
    corten.fails("images", "--tree", "-q", code=1, says="--quiet cannot be used with --tree")


# --- names ---------------------------------------------------------------------------------------

@pytest.mark.corten_only
def test_another_name_stands_for_all_platforms(engine, cli, both):
    cli.ok("tag", both, "second:1")
    cli.ok("rmi", both)
    assert available(engine, "second:1") == {"amd64", "arm64"}
    cli.ok("rmi", "second:1")


@pytest.mark.corten_only
def test_all_platforms_go_with_the_last_name(engine, cli, both, many):
    deleted = cli.ok("rmi", both)
    for picture in many.images[:2]:
        assert f"Deleted: {picture.id}" in deleted and engine.api.get(f"/images/{picture.id}/json").status == 404
    assert engine.api.post("/corten/store/check").json()["Problems"] == []


@pytest.mark.corten_only
def test_a_container_of_any_platform_keeps_the_name(engine, cli, both):
    cli.ok("create", "--name", "user", "--platform", FOREIGN, both)
    cli.fails("rmi", both, code=1, says="conflict.*container")
    cli.ok("image", "prune", "-a", "-f", "--filter", "label=made=for-platforms")
    assert available(engine, both) == {"amd64", "arm64"}
    cli.ok("rm", "user")
    cli.ok("image", "prune", "-a", "-f", "--filter", "label=made=for-platforms")
    assert engine.api.get(f"/images/{both}/json").status == 404


@pytest.mark.corten_only
def test_one_platform_is_removed_by_its_id(engine, cli, both, many):
    cli.ok("rmi", many.images[0].id)
    assert available(engine, both) == {"amd64"}


def removed(engine, reference, *architectures, more=""):
    asked = "&".join(query(each).replace("platform=", "platforms=") for each in architectures)
    return engine.api.delete(f"/images/{reference}?{asked}{more}")


@pytest.mark.corten_only
@pytest.mark.client(28)
def test_one_platform_of_a_name_is_removed(engine, cli, both, many):
    """The name means what is left; all names of the index lose the platform."""
    cli.ok("tag", both, "second:1")
    assert f"Deleted: {many.images[1].id}" in cli.ok("rmi", "--platform", "linux/amd64", both)
    for name in (both, "second:1"):
        assert available(engine, name) == {"arm64"} and architecture(engine, name) == "arm64"
    assert engine.api.get(f"/images/{many.images[1].id}/json").status == 404
    cli.fails("rmi", "--platform", "linux/amd64", both, code=1, says="does not (match|provide) the specified platform")
    cli.ok("pull", both)
    assert available(engine, both) == {"amd64", "arm64"} and architecture(engine, both) == "amd64"
    cli.ok("rmi", "second:1")
    assert engine.api.post("/corten/store/check").json()["Problems"] == []


@pytest.mark.corten_only
def test_the_last_platform_takes_the_names_along(engine, cli, both, many):
    cli.ok("tag", both, "second:1")
    reply = removed(engine, both, "arm64", "amd64").json()
    assert {"Untagged": both} in reply and {"Untagged": "second:1"} in reply
    assert {picture.id for picture in many.images[:2]} <= {entry.get("Deleted") for entry in reply}
    assert engine.api.get(f"/images/{both}/json").status == engine.api.get("/images/second:1/json").status == 404
    assert engine.api.post("/corten/store/check").json()["Problems"] == []


@pytest.mark.corten_only
def test_a_platform_in_use_stays(engine, cli, both):
    cli.ok("create", "--name", "user", "--platform", FOREIGN, both)
    reply = removed(engine, both, "amd64", "arm64")
    assert reply.status == 409 and "(must be forced) - image is being used by stopped container" in reply.message
    assert available(engine, both) == {"amd64", "arm64"}, "half of it was removed"
    assert removed(engine, both, "arm64", more="&force=1").status == 200
    assert available(engine, both) == {"amd64"}
    cli.ok("rm", "user")
    cli.ok("run", "-d", "--name", "runs", both, "sleep", "600")
    reply = removed(engine, both, "amd64", more="&force=1")
    assert reply.status == 409 and "(cannot be forced)" in reply.message and available(engine, both) == {"amd64"}


@pytest.mark.corten_only
def test_a_platform_that_another_name_means_stays_under_that(engine, cli, both, many):
    cli.ok("tag", many.images[0].id, "own:1")
    assert removed(engine, both, "arm64").json() == []
    assert available(engine, both) == {"amd64"} and architecture(engine, "own:1") == "arm64"
    cli.ok("rmi", "own:1")


@pytest.mark.corten_only
def test_platforms_of_an_image_that_is_alone(engine, cli, registry, box_tar):
    reference = registry.push("alone", "1", images.image([box_tar], env=["ALONE=1"]))
    cli.ok("pull", reference)
    reply = removed(engine, reference, "arm64")
    assert reply.status == 404 and "does not match the specified platform (linux/arm64)" in reply.message
    assert engine.api.delete(f"/images/{reference}?platforms=linux/amd64").status == 400
    assert {"Untagged": reference} in removed(engine, reference, "amd64").json()


@pytest.mark.corten_only
def test_older_versions_remove_all_platforms(engine, both, many):
    assert engine.api.delete(f"/v1.49/images/{both}?{query('arm64').replace('platform=', 'platforms=')}").status == 200
    assert engine.api.get(f"/images/{many.images[1].id}/json").status == 404


# --- save and load -------------------------------------------------------------------------------

def archive(cli, folder, *arguments):
    cli.ok("save", "-o", folder / "saved.tar", *arguments)
    return folder / "saved.tar"


def documents(path):
    """The JSON documents of an archive by name, and its index.json's first entry."""
    found = {}
    with tarfile.open(path) as tar:
        for member in tar:
            if member.isfile() and member.size < 100000:
                try:
                    found[member.name] = json.load(tar.extractfile(member))
                except ValueError:
                    pass
    return found, found["index.json"]["manifests"][0]


@pytest.mark.corten_only
@pytest.mark.client(28)
def test_all_platforms_are_saved_and_come_back(engine, cli, both, many, tmp_path):
    path = archive(cli, tmp_path, both)
    found, entry = documents(path)
    assert entry["mediaType"] == images.OCI["index"] and entry["annotations"]["io.containerd.image.name"] == both
    inside = found["blobs/sha256/" + entry["digest"].split(":")[1]]
    assert {m["platform"]["architecture"] for m in inside["manifests"]} == {"amd64", "arm64"}
    assert [i["Config"] for i in found["manifest.json"]] == ["blobs/sha256/" + many.images[1].id.split(":")[1]]
    cli.ok("rmi", both)
    assert f"Loaded image: {both}" in cli.ok("load", "-i", path)
    assert available(engine, both) == {"amd64", "arm64"} and architecture(engine, both) == "amd64"
    assert listed(engine, both)["Descriptor"]["digest"] == entry["digest"]
    assert cli.ok("run", "--rm", "--platform", FOREIGN, both, "cat", "/arch").startswith("arm64")
    assert engine.api.post("/corten/store/check").json()["Problems"] == []


@pytest.mark.corten_only
@pytest.mark.client(28)
def test_one_platform_is_saved(engine, cli, both, many, tmp_path):
    path = archive(cli, tmp_path, "--platform", FOREIGN, both)
    found, entry = documents(path)
    assert entry["mediaType"] == images.OCI["manifest"]
    assert [i["Config"] for i in found["manifest.json"]] == ["blobs/sha256/" + many.images[0].id.split(":")[1]]
    cli.ok("rmi", both)
    cli.ok("load", "-i", path)
    assert cli.inspect(both, "Architecture") == "arm64"


@pytest.mark.client(28)
def test_a_platform_that_is_not_here_cannot_be_saved(cli, tmp_path):
    cli.fails("save", "--platform", "linux/s390x", "-o", tmp_path / "a.tar", BOX, code=1, says="no suitable export target found for platform linux/s390x")


@pytest.mark.corten_only
@pytest.mark.client(28)
def test_one_platform_is_loaded(engine, cli, both, tmp_path):
    path = archive(cli, tmp_path, both)
    cli.ok("rmi", both)
    cli.fails("load", "--platform", "linux/s390x", "-i", path, code=1, says="not for the specified platform .linux/s390x.")
    cli.fails("inspect", both, code=1)
    cli.ok("load", "--platform", FOREIGN, "-i", path)
    assert available(engine, both) == {"arm64"} and architecture(engine, both) == "arm64"
    cli.ok("load", "-i", path)
    assert available(engine, both) == {"amd64", "arm64"}


@pytest.mark.corten_only
@pytest.mark.client(28)
def test_load_of_a_platform_from_an_image_of_another(cli, tmp_path):
    path = archive(cli, tmp_path, BOX)
    cli.fails("load", "--platform", FOREIGN, "-i", path, code=1, says="has busybox:latest for linux/amd64, but not for the specified platform")


@pytest.mark.corten_only
def test_an_archive_of_an_index_and_docker_list_with_packed_layers(engine, cli, box_tar, tmp_path):
    """What docker with containerd's store saves: the index as it came, of which one image is in the archive."""
    many = images.index([one(box_tar, "arm64", "c8d"), one(box_tar, "amd64", "c8d")])
    here = many.images[0]
    blobs = [many.manifest, here.manifest, here.config, *here.layers]
    listing = [{"Config": f"blobs/sha256/{here.id[7:]}", "RepoTags": ["from/containerd:1"], "Layers": [f"blobs/sha256/{b.digest[7:]}" for b in here.layers]}]
    index = {"schemaVersion": 2, "manifests": [many.manifest.descriptor(annotations={
        "io.containerd.image.name": "docker.io/from/containerd:1", "org.opencontainers.image.ref.name": "1"})]}
    members = [images.Entry(f"blobs/sha256/{b.digest[7:]}", data=b.data) for b in blobs]
    members += [images.text("index.json", json.dumps(index)), images.text("manifest.json", json.dumps(listing)),
                images.text("oci-layout", '{"imageLayoutVersion":"1.0.0"}')]
    (tmp_path / "c8d.tar").write_bytes(images.tar(members))
    assert "Loaded image: from/containerd:1" in cli.ok("load", "-i", tmp_path / "c8d.tar")
    assert available(engine, "from/containerd:1") == {"arm64"}
    assert listed(engine, "from/containerd:1")["Descriptor"]["digest"] == many.digest


@pytest.mark.corten_only
def test_a_load_that_fails_for_one_platform_leaves_none(engine, cli, both, many, tmp_path):
    """The archive lacks a layer of the second platform."""
    path = archive(cli, tmp_path, both)
    found, entry = documents(path)
    manifests = found["blobs/sha256/" + entry["digest"].split(":")[1]]["manifests"]
    spoilt = found["blobs/sha256/" + manifests[-1]["digest"].split(":")[1]]["layers"][-1]["digest"].split(":")[1]
    out = io.BytesIO()
    with tarfile.open(path) as old, tarfile.open(fileobj=out, mode="w") as new:
        for member in old:
            if member.name != f"blobs/sha256/{spoilt}":
                new.addfile(member, old.extractfile(member) if member.isfile() else None)
    cli.ok("rmi", both)
    (tmp_path / "spoilt.tar").write_bytes(out.getvalue())
    cli.fails("load", "-i", tmp_path / "spoilt.tar", code=1, says=spoilt)
    assert not [i for i in engine.api.get("/images/json").json() if i["Id"] in {p.id for p in many.images}]
    assert engine.api.post("/corten/store/check?quick=1").json()["Problems"] == []


# --- push ----------------------------------------------------------------------------------------

def in_registry(registry, reference):
    repository, _, tag = reference.removeprefix(registry.address + "/").rpartition(":")
    import http.client
    connection = http.client.HTTPConnection(registry.address, timeout=20)
    connection.request("GET", f"/v2/{repository}/manifests/{tag}", headers={"Accept": ", ".join([*images.OCI.values(), *images.DOCKER.values()])})
    reply = connection.getresponse()
    body = reply.read()
    connection.close()
    return reply.status, reply.headers.get("Docker-Content-Digest"), body


@pytest.mark.corten_only
@pytest.mark.client(28)
def test_push_of_one_platform(cli, registry, both, many):
    target = f"{registry.address}/pushed-one:1"
    cli.ok("tag", both, target)
    cli.ok("push", "--platform", FOREIGN, target)
    assert in_registry(registry, target)[1:] == (many.images[0].digest, many.images[0].manifest.data)
    cli.fails("push", "--platform", "linux/s390x", target, code=1, says="does not provide the specified platform .linux/s390x.")


@pytest.mark.corten_only
def test_an_index_of_which_all_is_here_is_pushed_as_it_came(cli, registry, both, many):
    cli.ok("pull", "--platform", "linux/s390x", both)
    target = f"{registry.address}/pushed-all:1"
    cli.ok("tag", both, target)
    assert f"1: digest: {many.digest} size: {len(many.manifest.data)}" in cli.ok("push", target)
    assert in_registry(registry, target)[1:] == (many.digest, many.manifest.data)
    cli.ok("rmi", target, both)
    for picture in many.images:
        cli.ok("pull", f"{target.rpartition(':')[0]}@{picture.digest}")


@pytest.mark.corten_only
def test_an_index_whose_layers_are_packed_anew_is_a_new_one(engine, cli, registry, box_tar, tmp_path):
    """A registry that never had the blobs gets our own; every manifest and the index name those."""
    many = images.index([one(box_tar, "arm64", "anew"), one(box_tar, "amd64", "anew")])
    images.write_oci_layout(tmp_path / "layout", {"anew/image:1": many})
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        tar.add(tmp_path / "layout", arcname=".")
    (tmp_path / "layout.tar").write_bytes(out.getvalue())
    cli.ok("load", "-i", tmp_path / "layout.tar")
    target = f"{registry.address}/pushed-anew:1"
    cli.ok("tag", "anew/image:1", target)
    cli.ok("push", target)
    status, digest, body = in_registry(registry, target)
    assert status == 200 and digest != many.digest
    assert [m["platform"] for m in json.loads(body)["manifests"]] == [p.platform for p in many.images]
    cli.ok("rmi", "-f", target, "anew/image:1")
    for wanted in ("arm64", "amd64"):
        cli.ok("pull", "--platform", f"linux/{wanted}", target)
        assert cli.inspect(target, "Id") == next(p.id for p in many.images if p.platform["architecture"] == wanted)
    assert listed(engine, target)["Descriptor"]["digest"] == digest


@pytest.mark.corten_only
@pytest.mark.client(28)
def test_of_an_index_that_is_not_all_here_one_image_is_pushed(cli, registry, both, many):
    target = f"{registry.address}/pushed-part:1"
    cli.ok("tag", both, target)
    told = cli.run("push", target)
    assert told.code == 0 and many.images[1].digest in told.out + told.err
    assert in_registry(registry, target)[1:] == (many.images[1].digest, many.images[1].manifest.data)


# --- the store -----------------------------------------------------------------------------------

@pytest.mark.corten_only
def test_a_spoilt_index_is_found_and_given_up(box_tar, registry, reference, many):
    """Its images stay under the name, each whole by itself."""
    daemon = Daemon("index").start()
    try:
        corten = daemon.client("corten")
        corten.ok("pull", "--platform", FOREIGN, reference)
        corten.ok("pull", reference)
        daemon.kill()
        with sqlite3.connect(daemon.data / "corten.db") as database:
            database.execute("UPDATE image_index SET content = content || ' '")
        daemon.start()
        corten.fails("store", "check", code=1, says=None)
        corten.ok("store", "check", "--repair")
        assert daemon.api.post("/corten/store/check").json()["Problems"] == []
        assert corten.inspect(reference, "Architecture") == "amd64" and len(listed(daemon, reference)["Manifests"]) == 1
    finally:
        daemon.stop()
