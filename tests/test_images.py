"""Images: pulled in every format a registry has, unpacked right, listed, tagged, removed."""
import json
import re
import tarfile
import time

import pytest
from support import images
from support.engines import BOX

# --- pull ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def note():
    """A small layer that makes an image unlike the base image."""
    return images.tar([images.text("note", "hello\n")])


@pytest.mark.parametrize("style, compression", [
    ("docker", "gzip"), ("oci", "gzip"), ("oci", "zstd"), ("docker", "none"), ("oci", "none"),
])
def test_pull_every_format(cli, registry, box_tar, note, style, compression):
    picture = images.image([box_tar, note], style=style, compression=compression)
    reference = registry.push(f"formats/{style}-{compression}", "1", picture)
    out = cli.ok("pull", reference)
    assert f"Digest: {picture.digest}" in out
    assert f"Status: Downloaded newer image for {reference}" in out
    assert cli.ok("run", "--rm", reference, "cat", "/note") == "hello"
    found = cli.inspect(reference)
    assert found["Id"] == picture.id
    assert found["RepoDigests"] == [f"{reference.rpartition(':')[0]}@{picture.digest}"]
    assert found["RootFS"]["Layers"] == [images.digest_of(box_tar), images.digest_of(note)]


def test_pull_twice(cli, registry, box_tar, note):
    reference = registry.push("twice", "1", images.image([box_tar, note]))
    first = cli.ok("pull", reference)
    assert "Pulling from twice" in first and "Already exists" in first and "Pull complete" in first
    assert f"Status: Image is up to date for {reference}" in cli.ok("pull", reference)


def test_pull_quiet(cli, box_reference):
    assert cli.ok("pull", "-q", box_reference) == box_reference


def test_pull_by_digest(cli, registry, box_tar, note):
    picture = images.image([box_tar, note], env=["BY=digest"])
    repo = registry.push("by-digest", "1", picture).rpartition(":")[0]
    cli.ok("pull", f"{repo}@{picture.digest}")
    assert cli.ok("run", "--rm", f"{repo}@{picture.digest}", "sh", "-c", "echo $BY") == "digest"
    listed = json.loads(cli.ok("images", "--digests", "--format", "json", repo))
    assert (listed["Tag"], listed["Digest"]) == ("<none>", picture.digest)


@pytest.mark.parametrize("style", ["docker", "oci"])
def test_index_gives_this_platform(cli, registry, box_tar, style):
    def one(architecture, **more):
        return images.image([box_tar, images.tar([images.text("arch", architecture)])], style=style, architecture=architecture, **more)
    many = images.index([one("arm64", variant="v8"), one("amd64"), one("s390x")], style)
    reference = registry.push(f"multi-{style}", "1", many)
    assert f"Digest: {many.digest}" in cli.ok("pull", reference)
    assert cli.ok("run", "--rm", reference, "cat", "/arch") == "amd64"
    cli.ok("pull", "--platform", "linux/arm64", reference)
    assert cli.inspect(reference, "Architecture") == "arm64"
    cli.fails("pull", "--platform", "linux/riscv64", reference, says="(?i)no match|no matching|not found")


def test_all_tags(cli, registry, box_tar, note):
    for tag in ("1", "2"):
        reference = registry.push("all-tags", tag, images.image([box_tar, note], env=[f"TAG={tag}"]))
    repo = reference.rpartition(":")[0]
    cli.ok("pull", "-a", repo)
    assert set(cli.ok("images", "--format", "{{.Tag}}", repo).split()) == {"1", "2"}


@pytest.mark.parametrize("reference, says", [
    ("{registry}/nosuch:1", "(?i)not found|manifest unknown"),
    ("{registry}/busybox:nosuch", "(?i)not found|manifest unknown"),
    ("127.0.0.1:1/nothing:1", "(?i)connect|refused"),
])
def test_pull_of_what_is_not_there(cli, registry, reference, says):
    cli.fails("pull", reference.format(registry=registry.address), code=1, says=says)


@pytest.mark.parametrize("reference", ["lower/UPPER", "a:b:c", "x@sha256:123", ":tag", "a//b", "-a", "http://a/b", "a" * 300, "x:" + "t" * 129])
def test_bad_references(cli, reference):
    cli.fails("pull", "--", reference, says="(?i)invalid|must be|unsupported|not.*valid|repository name")


def test_progress_on_the_wire(engine, registry, box_tar, note):
    picture = images.image([box_tar, note], env=["A=wire"])
    reference = registry.push("wire", "1", images.image([images.tar([images.text("only", "here" * 1000)])]))
    repo, _, tag = reference.rpartition(":")
    body = engine.api.post(f"/images/create?fromImage={repo}&tag={tag}").body
    assert body.endswith(b"\r\n")
    lines = [json.loads(line) for line in body.splitlines()]
    assert lines[0] == {"status": "Pulling from wire", "id": "1"}
    assert {"Pulling fs layer", "Download complete", "Pull complete"} <= {line["status"] for line in lines}
    assert all(re.fullmatch("[0-9a-f]{12}", line["id"]) for line in lines[1:] if "id" in line)
    assert lines[-1]["status"] == f"Status: Downloaded newer image for {reference}" and "id" not in lines[-1]
    assert picture.digest != lines[-2]["status"].removeprefix("Digest: ")


# --- unpacking -----------------------------------------------------------------------------------

def test_layers_are_unpacked_right(cli, registry, box_tar):
    lower = images.tar([
        images.directory("d"), images.text("d/gone", "x"), images.text("d/kept", "lower"), images.text("replaced", "lower"),
        images.directory("hidden"), images.text("hidden/old", "x"), images.directory("tree"), images.text("tree/f", "x"),
        images.text("set-uid", "x", mode=0o4755), images.text("owned", "x", uid=1000, gid=50, mode=0o640),
        images.Entry("pipe", tarfile.FIFOTYPE), images.Entry("null", tarfile.CHRTYPE, device=(1, 3), mode=0o666),
        images.text("ünï cödé", "x"), images.directory("sticky", 0o1777), images.text("n" * 200, "long"),
        images.symlink("dangling", "/no/where"), images.symlink("up", "../../../etc/passwd"),
    ])
    upper = images.tar([
        images.whiteout("d/gone"), images.whiteout("tree"), images.directory("hidden"), images.opaque("hidden"),
        images.text("hidden/new", "y"), images.text("replaced", "upper"),
        images.text("one", "linked"), images.hardlink("two", "one"), images.hardlink("three", "/one"),
        images.Entry("capable", data=b"x", mode=0o755, xattrs={"security.capability": "\x01\x00\x00\x02\x00\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"}),
        images.text("no/parents/listed", "deep"),
    ])
    reference = registry.push("layered", "1", images.image([box_tar, lower, upper]))
    cli.ok("pull", reference)
    out = cli.ok("run", "--rm", reference, "sh", "-c", """
        ls -A d; echo --; ls -A hidden; echo --; cat replaced; echo; ls -d tree 2>&1
        stat -c '%n %a %u:%g %F' set-uid owned pipe null sticky; stat -c '%t:%T' null
        cat ünï*; echo; cat nnnn*; echo; readlink dangling; readlink up; stat -c %h one two three; cat no/parents/listed; echo; find / -xdev -name '.wh.*'""")
    assert out.splitlines() == [
        "kept", "--", "new", "--", "upper", "ls: tree: No such file or directory",
        "set-uid 4755 0:0 regular file", "owned 640 1000:50 regular file", "pipe 644 0:0 fifo", "null 666 0:0 character special file",
        "sticky 1777 0:0 directory", "1:3", "x", "long", "/no/where", "../../../etc/passwd", "3", "3", "3", "deep"]


def test_image_settings_become_the_containers(cli, registry, box_tar):
    picture = images.image([box_tar], env=["FROM=image", "OVER=image"], cmd=("sh", "-c", "echo $FROM $OVER; pwd; id -u"),
                           WorkingDir="/work/dir", User="alice", Labels={"maker": "tests"}, StopSignal="SIGUSR2",
                           ExposedPorts={"8080/tcp": {}}, Volumes={"/vol": {}})
    reference = registry.push("settings", "1", picture)
    cli.ok("pull", reference)
    assert cli.ok("run", "--rm", "-e", "OVER=flag", reference).splitlines() == ["image flag", "/work/dir", "1000"]
    cli.ok("create", "--name", "made", "-l", "mine=too", reference)
    found = cli.inspect("made")
    assert found["Config"]["Labels"] == {"maker": "tests", "mine": "too"} and found["Config"]["StopSignal"] == "SIGUSR2"
    assert found["Config"]["ExposedPorts"] == {"8080/tcp": {}} and found["Mounts"][0]["Destination"] == "/vol"


def test_entrypoint_and_command_of_the_image(cli, registry, box_tar):
    picture = images.image([box_tar], cmd=("default",), Entrypoint=["echo", "entry"])
    reference = registry.push("entry", "1", picture)
    cli.ok("pull", reference)
    assert cli.ok("run", "--rm", reference) == "entry default"
    assert cli.ok("run", "--rm", reference, "given") == "entry given"
    assert cli.ok("run", "--rm", "--entrypoint", "/bin/echo", reference) == ""
    assert cli.ok("run", "--rm", "--entrypoint", "", reference, "echo", "bare") == "bare"


def test_image_without_a_command(cli, registry, box_tar):
    reference = registry.push("no-command", "1", images.image([box_tar], cmd=()))
    cli.ok("pull", reference)
    cli.fails("run", "--rm", reference, code=125, says="(?i)no command specified")


# --- list, tag, inspect, history, remove ---------------------------------------------------------

def test_images_table(cli):
    lines = cli.ok("images").splitlines()
    assert re.match(r"REPOSITORY +TAG +IMAGE ID +CREATED +SIZE$", lines[0].rstrip())
    row, = [line for line in lines if line.startswith("busybox ")]
    assert re.match(r"busybox +latest +[0-9a-f]{12} +\d+ (months|years) ago +[\d.]+MB$", row)


def test_images_quiet_and_format(cli):
    number = cli.ok("images", "-q", BOX)
    assert re.fullmatch("[0-9a-f]{12}", number)
    assert cli.ok("images", "-q", "--no-trunc", BOX).startswith("sha256:" + number)
    assert cli.ok("images", "--format", "{{.Repository}}:{{.Tag}} {{.ID}}", BOX) == f"busybox:latest {number}"
    assert cli.ok("images", "--format", "table {{.Tag}}\t{{.ID}}", BOX).splitlines()[0].split() == ["TAG", "IMAGE", "ID"]


def test_images_filters(cli, registry, box_tar, note):
    reference = registry.push("labelled", "1", images.image([box_tar, note], Labels={"kind": "odd"}))
    cli.ok("pull", reference)
    assert cli.ok("images", "--filter", "label=kind=odd", "--format", "{{.Repository}}") == reference.rpartition(":")[0]
    assert cli.ok("images", "--filter", "label=kind=even", "-q") == ""
    assert cli.ok("images", "--filter", "reference=busy*", "--format", "{{.Repository}}") == "busybox"
    assert cli.ok("images", "--filter", "dangling=true", "-q") == ""
    cli.fails("images", "--filter", "nosuch=1", says="(?i)invalid filter")


def test_tag_and_untag(cli):
    cli.ok("tag", BOX, "other/name:v2")
    assert cli.inspect("other/name:v2", "Id") == cli.inspect(BOX, "Id")
    assert "Untagged: other/name:v2" in cli.ok("rmi", "other/name:v2")
    cli.fails("inspect", "other/name:v2", code=1)
    assert cli.ok("run", "--rm", BOX, "echo", "still here") == "still here"


@pytest.mark.parametrize("target", ["Upper:1", "a:b:c", "x:" + "t" * 129])
def test_tag_to_a_bad_name(cli, target):
    cli.fails("tag", BOX, target, code=1, says="(?i)invalid|not a valid")


def test_remove_deletes_the_last_tag(cli, registry, box_tar, note):
    picture = images.image([box_tar, note], env=["REMOVE=me"])
    reference = registry.push("removed", "1", picture)
    cli.ok("pull", reference)
    out = cli.ok("rmi", reference)
    assert f"Untagged: {reference}" in out and f"Deleted: {picture.id}" in out
    assert images.digest_of(box_tar) not in out, "a layer that busybox still uses was deleted"
    cli.fails("rmi", reference, code=1, says="(?i)no such image")


def test_remove_of_an_image_in_use(cli, registry, box_tar, note):
    reference = registry.push("used", "1", images.image([box_tar, note], env=["USED=1"]))
    cli.ok("pull", reference)
    cli.ok("run", "-d", "--name", "user", reference, "sleep", "600")
    cli.fails("rmi", reference, code=1, says="(?i)conflict.*container")
    cli.ok("rm", "-f", "user")
    cli.ok("rmi", reference)


def test_remove_by_id(cli, registry, box_tar, note):
    picture = images.image([box_tar, note], env=["BY=id"])
    cli.ok("pull", registry.push("by-id", "1", picture))
    cli.ok("rmi", picture.id.split(":")[1][:12])
    cli.fails("inspect", picture.id, code=1)


def test_inspect(cli, registry, box_tar, note):
    picture = images.image([box_tar, note], env=["A=b"], cmd=("sh", "-c", "x"), Labels={"l": "v"}, User="alice")
    reference = registry.push("inspected", "1", picture)
    cli.ok("pull", reference)
    found = cli.json("image", "inspect", reference)[0]
    assert found["RepoTags"] == [reference] and found["Os"] == "linux" and found["Architecture"] == "amd64"
    assert found["Created"] == images.CREATED and found["Size"] >= len(note)
    assert found["Config"]["Cmd"] == ["sh", "-c", "x"] and found["Config"]["Labels"] == {"l": "v"} and found["Config"]["User"] == "alice"
    assert cli.ok("inspect", "--format", "{{.Id}} {{index .Config.Env 1}}", reference) == f"{picture.id} A=b"
    assert cli.ok("image", "inspect", "-f", "{{json .RootFS.Layers}}", reference) == json.dumps(found["RootFS"]["Layers"], separators=(",", ":"))


def test_history(cli, registry, box_tar, note):
    past = [{"created": images.CREATED, "created_by": "ADD base"}, {"created": images.CREATED, "created_by": "ENV X=1", "empty_layer": True},
            {"created": images.CREATED, "created_by": "COPY note /", "comment": "last"}]
    reference = registry.push("past", "1", images.image([box_tar, note], history=past))
    cli.ok("pull", reference)
    lines = cli.ok("history", "--no-trunc", "--format", "{{.CreatedBy}}|{{.Size}}|{{.Comment}}", reference).splitlines()
    assert [line.split("|")[0] for line in lines] == ["COPY note /", "ENV X=1", "ADD base"]
    assert lines[1].split("|")[1] == "0B" and lines[0].endswith("|last") and "MB" in lines[2]
    assert cli.ok("history", reference).splitlines()[0].split()[0] == "IMAGE"


def test_missing_image(cli):
    cli.fails("inspect", "nosuch", code=1, says="(?i)no such object: nosuch")
    cli.fails("image", "inspect", "nosuch", code=1, says="(?i)no such image: nosuch")
    cli.fails("history", "nosuch", code=1, says="(?i)no such image: nosuch")
    cli.fails("rmi", "nosuch", code=1, says="(?i)no such image: nosuch")
    cli.fails("tag", "nosuch", "x", code=1, says="(?i)no such image: nosuch")


# --- login ---------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def guarded(box_tar):
    from support.registry import RealRegistry
    real = RealRegistry({"alice": "secret word"})
    real.push("private", "1", images.image([box_tar]))
    yield real
    real.stop()


def test_login_and_pull(cli, guarded):
    reference = f"{guarded.address}/private:1"
    cli.fails("pull", reference, code=1, says="(?i)no basic auth|unauthorized|denied|authentication")
    cli.fails("login", "-u", "alice", "--password-stdin", guarded.address, input="wrong", code=1, says="(?i)unauthorized|incorrect")
    assert "Login Succeeded" in cli.ok("login", "-u", "alice", "--password-stdin", guarded.address, input="secret word")
    cli.ok("pull", reference)
    assert guarded.address in (cli.config / "config.json").read_text()
    cli.ok("logout", guarded.address)
    cli.ok("rmi", reference)
    cli.fails("pull", reference, code=1)


# --- commit --------------------------------------------------------------------------------------

@pytest.fixture
def written(cli):
    """A container that changed, added and removed files."""
    cli.ok("run", "--name", "written", "-e", "A=1", "-l", "from=box", "-w", "/tmp", BOX, "sh", "-c",
           "echo new > /added; rm -r /bin/vi; ln /added /linked; mkfifo /tmp/pipe; chmod 4755 /added")
    return "written"


def test_commit_keeps_files_and_configuration(cli, written):
    number = cli.ok("commit", "-m", "why", "-a", "me <me@here>", written, "committed:1")
    assert number.startswith("sha256:")
    assert cli.ok("run", "--rm", "committed:1", "sh", "-c",
                  "stat -c '%a %h' /added; ls /bin/vi 2>&1 | tail -c 26; pwd; echo $A; test -p /tmp/pipe && echo pipe").splitlines() == \
        ["4755 2", "No such file or directory", "/tmp", "1", "pipe"]
    made = cli.json("image", "inspect", "committed:1")[0]
    assert made["Id"] == number and made["Author"] == "me <me@here>" and made["Comment"] == "why"
    assert made["Parent"] == cli.inspect(BOX, "Id") and made["Config"]["Labels"]["from"] == "box"
    assert len(made["RootFS"]["Layers"]) == len(cli.inspect(BOX, "RootFS.Layers")) + 1
    assert "why" in cli.ok("history", "committed:1").splitlines()[1]
    assert cli.ok("commit", written) != number, "without a name it is an image all the same"


def test_commit_with_changes(cli, written):
    cli.ok("commit", "-c", 'CMD ["cat", "/added"]', "-c", "ENV B=2", "-c", "EXPOSE 80", "-c", "USER 1000", written, "changed")
    assert cli.ok("run", "--rm", "changed") == "new"
    config = cli.json("image", "inspect", "changed")[0]["Config"]
    assert {"A=1", "B=2"} <= set(config["Env"]) and "80/tcp" in config["ExposedPorts"] and config["User"] == "1000"
    cli.fails("commit", "-c", "COPY a b", written, says="is not a valid change command")
    cli.fails("commit", written, "UPPER", says="lowercase")
    cli.fails("commit", "nosuch", says="No such container")


def test_commit_of_nothing_adds_no_layer(cli):
    cli.ok("create", "--name", "fresh", BOX)
    cli.ok("commit", "fresh", "same")
    assert cli.inspect("same", "RootFS.Layers") == cli.inspect(BOX, "RootFS.Layers")


def test_commit_of_a_running_container(cli, engine):
    """It is paused meanwhile, unless that is declined, and runs on."""
    cli.ok("run", "-d", "--name", "busy", BOX, "sh", "-c", "while :; do date >> /log; sleep 0.01; done")
    for options, paused in (((), True), (("--pause=false",), False)):
        begun = time.time()
        cli.ok("commit", *options, "busy", "snap")
        assert cli.inspect("busy", "State.Status") == "running"
        seen = [json.loads(line)["Action"] for line in
                engine.api.get(f"/events?since={begun:.3f}&until={time.time() + 0.01:.3f}").body.splitlines()]
        assert ("pause" in seen and "unpause" in seen) == paused and "commit" in seen
    assert cli.ok("run", "--rm", "snap", "sh", "-c", "test -s /log && echo kept") == "kept"


def test_committed_image_travels(cli, written, registry):
    target = f"{registry.address}/committed:1"
    cli.ok("commit", written, target)
    cli.ok("push", target)
    cli.ok("rm", written)
    cli.ok("rmi", target)
    assert cli.ok("run", "--rm", target, "cat", "/linked") == "new"


# --- what a registry has -------------------------------------------------------------------------

def test_distribution_of_an_image_and_of_an_index(engine, registry, box_tar):
    picture = images.image([box_tar])
    many = images.index([images.image([box_tar], architecture="arm64", variant="v8"), picture])
    for tag, what, platforms in (("one", picture, [{"architecture": "amd64", "os": "linux"}]),
                                 ("many", many, [{"architecture": "arm64", "os": "linux", "variant": "v8"}, {"architecture": "amd64", "os": "linux"}])):
        reference = registry.push("distribution", tag, what)
        found = engine.api.get(f"/distribution/{reference}/json").json()
        assert found["Descriptor"]["digest"] == what.digest and found["Descriptor"]["size"] == len(what.manifest.data)
        assert found["Descriptor"]["mediaType"] == what.manifest.media_type
        assert found["Platforms"] == platforms
    assert engine.api.get(f"/distribution/{registry.address}/nosuch/json").status == 404
    assert engine.api.get("/distribution/UPPER/json").status == 400


# --- progress ------------------------------------------------------------------------------------

def lines_of(reply) -> list:
    assert reply.status == 200, reply
    return [json.loads(line) for line in reply.body.splitlines()]


def test_load_tells_how_far_it_is_unless_it_is_to_be_quiet(engine, box_tar):
    archives = []
    for unique in ("loud", "quiet"):
        tars = [box_tar, images.tar([images.text(unique, str(time.monotonic_ns()))])]
        archives.append(images.docker_archive(f"{unique}:1", images.image(tars), tars))
    loud = lines_of(engine.api.post("/images/load?quiet=0", archives[0]))
    told = [line for line in loud if line.get("status") == "Loading layer"]
    assert told and all(line["progressDetail"]["current"] <= line["progressDetail"]["total"] and len(line["id"]) == 12 for line in told)
    assert loud[-1] == {"stream": "Loaded image: loud:1\n"}
    assert lines_of(engine.api.post("/images/load?quiet=1", archives[1])) == [{"stream": "Loaded image: quiet:1\n"}]


def test_import_tells_the_id_once(engine):
    lines = lines_of(engine.api.post("/images/create?fromSrc=-&repo=imported&tag=1", images.tar([images.text("a", "b")])))
    assert lines == [{"status": engine.api.get("/images/imported:1/json").json()["Id"]}]


def test_import_changes_as_a_dockerfile_would(docker, engine):
    changes = ["HEALTHCHECK --interval=5s --retries=2 CMD true", "EXPOSE 80-81", "WORKDIR /a", "WORKDIR ../b", "STOPSIGNAL SIGINT"]
    from urllib.parse import quote
    query = "".join(f"&changes={quote(change)}" for change in changes)
    lines_of(engine.api.post(f"/images/create?fromSrc=-&repo=changed&tag=1{query}", images.tar([images.text("a", "b")])))
    config = engine.api.get("/images/changed:1/json").json()["Config"]
    assert config["Healthcheck"] == {"Test": ["CMD-SHELL", "true"], "Interval": 5_000_000_000, "Retries": 2}
    assert config["ExposedPorts"] == {"80/tcp": {}, "81/tcp": {}} and config["WorkingDir"] == "/b" and config["StopSignal"] == "SIGINT"
    refused = engine.api.post("/images/create?fromSrc=-&repo=no&tag=1&changes=STOPSIGNAL%20NONE", images.tar([]))
    assert refused.status == 400 and "invalid signal: NONE" in refused.message


@pytest.mark.corten_only
def test_import_from_a_url(engine, faulty):
    """With docker's word before the id; a redirect is followed."""
    faulty.content["/moved/root.tar.gz"] = (images.compress(images.tar([images.text("a", "from afar")]), "gzip"), "application/gzip")
    from support.registry import reply
    faulty.faults["^/root"] = lambda handler, _body, _kind: reply(handler, b"", "text/plain", 302, headers={"Location": "/moved/root.tar.gz"})
    lines = lines_of(engine.api.post(f"/images/create?fromSrc=http://{faulty.address}/root.tar.gz&repo=afar&tag=1"))
    picture = engine.api.get("/images/afar:1/json").json()
    assert [line["status"] for line in lines] == ["Importing", picture["Id"]]
    assert picture["Comment"] == f"Imported from http://{faulty.address}/root.tar.gz"
    missing = engine.api.post(f"/images/create?fromSrc={faulty.address}/nothing&repo=no")
    assert missing.status >= 400 and "with status 404" in missing.message
    for other in ("file:///etc/passwd", "ftp://127.0.0.1/root.tar"):
        assert engine.api.post(f"/images/create?fromSrc={other}&repo=no").status == 400
