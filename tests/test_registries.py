"""Which registry is asked for an image: mirrors, allowed and blocked names, and searching."""
import base64
import json
import os
import subprocess
import threading

import pytest
from support import images
from support.clients import Client
from support.engines import Daemon, pull
from support.registry import FaultyRegistry, TRULY, StrictRegistry, TokenServer, first, reply, resets, says, status
from support.wait import eventually

pytestmark = pytest.mark.corten_only


@pytest.fixture
def picture(box_tar):
    return images.image([box_tar])


@pytest.fixture
def second():
    other = FaultyRegistry()
    yield other
    other.stop()


@pytest.fixture
def daemon_with(tmp_path):
    """Starts a daemon with these flags, or with this as its daemon.json."""
    started = []

    def start(*flags, config=None):
        if config is not None:
            file = tmp_path / f"daemon-{len(started)}.json"
            file.write_text(json.dumps(config))
            flags = (*flags, "--config-file", str(file))
        daemon = Daemon("registries", extra=flags)
        started.append(daemon)
        return daemon.start()
    yield start
    for daemon in started:
        daemon.stop()


def asked(registry, part):
    return [path for _, path, _ in registry.requests if part in path]


def test_a_mirror_of_docker_hub_serves_short_names(daemon_with, faulty, picture):
    faulty.put("library/box", "1", picture)
    daemon = daemon_with("--registry-mirror", f"http://{faulty.address}")
    docker = daemon.client("docker")
    docker.ok("pull", "box:1")
    assert docker.ok("run", "--rm", "box:1", "echo", "mirrored") == "mirrored"
    assert f"http://{faulty.address}/" in docker.ok("info")


def test_mirrors_of_a_part_of_a_registry_are_asked_in_order_and_then_the_registry(daemon_with, faulty, second, picture):
    """The first mirror has nothing, the second has the image below a path of its own; a name outside goes to the registry."""
    origin = FaultyRegistry()
    try:
        second.put("cache/app", "1", picture)
        origin.put("other/app", "1", picture)
        daemon = daemon_with(config={"mirrors": {f"{origin.address}/team": [f"http://{faulty.address}", f"http://{second.address}/cache"]}})
        docker = daemon.client("docker")
        docker.ok("pull", f"{origin.address}/team/app:1")
        assert asked(faulty, "/v2/app/manifests/1") and asked(second, "/v2/cache/app/manifests/1")
        assert asked(second, "/blobs/") and not asked(origin, "/team/")
        docker.ok("pull", f"{origin.address}/other/app:1")
        assert asked(origin, "/v2/other/app/manifests/1")
    finally:
        origin.stop()


def test_a_silent_mirror_is_passed_over(daemon_with, faulty, picture):
    reference = faulty.put("app", "1", picture)
    from support.engines import free_port
    daemon = daemon_with("--mirror", f"{faulty.address}=http://127.0.0.1:{free_port()}")
    daemon.client("docker").ok("pull", reference)


def test_a_download_that_a_mirror_cuts_off_goes_on_at_the_registry(daemon_with, faulty, second, box_tar):
    """Half of the layer comes from the mirror, which then has no more; the rest is asked of the next one by range."""
    from support import registry as registries
    big = images.image([box_tar, images.tar([images.text("filler", "abc" * 2_000_000)])], compression="none")
    layer = big.layers[-1].digest.split(":")[1]
    second.put("app", "1", big)
    reference = faulty.put("app", "1", big)
    gone = registries.status(404)
    cut = registries.first(1, registries.ends_early)
    second.faults[layer] = lambda handler, body, kind: (
        cut if len(asked(second, layer)) == 1 else gone)(handler, body, kind)
    daemon = daemon_with("--mirror", f"{faulty.address}=http://{second.address}")
    daemon.client("docker").ok("pull", reference)
    ranges = [headers.get("Range") for _, path, headers in faulty.requests if layer in path]
    assert ranges and ranges[-1] and ranges[-1].startswith("bytes="), "the download began again from nothing"


@pytest.mark.parametrize("lacks", ["config", "manifest"])
def test_what_a_mirror_lacks_of_an_image_the_registry_has(daemon_with, faulty, second, picture, lacks):
    """The index and the layers come from the mirror."""
    listed = images.index([picture])
    second.put("app", "1", listed)
    reference = faulty.put("app", "1", listed)
    gone = f"/v2/app/blobs/{picture.id}" if lacks == "config" else f"/v2/app/manifests/{picture.digest}"
    del second.content[gone]
    daemon = daemon_with("--mirror", f"{faulty.address}=http://{second.address}")
    daemon.client("docker").ok("pull", reference)
    assert asked(faulty, gone) and asked(second, picture.layers[0].digest) and not asked(faulty, picture.layers[0].digest)


def test_after_a_crash_a_download_goes_on_at_another_mirror(daemon_with, faulty, second, box_tar):
    """Killed with half of the layer here: the next daemon asks the other mirror for the rest, by range, and gets it as 206."""
    big = images.image([box_tar, images.tar([images.Entry("random", data=os.urandom(8 << 20))])], compression="none")
    layer = big.layers[-1]
    origin, gate = FaultyRegistry(), threading.Event()
    try:
        for registry in (origin, faulty, second):
            reference = registry.put("app", "1", big)

        def half(handler, body, kind):
            reply(handler, body[:len(body) // 2], kind, length=len(body))
            handler.wfile.flush()
            gate.wait(60)
            handler.close_connection = True
        faulty.faults[layer.digest] = half
        daemon = daemon_with("--mirror", f"{origin.address}=http://{faulty.address}", "--mirror", f"{origin.address}=http://{second.address}",
                             "--connections-per-layer", "1")
        reference = f"{origin.address}/app:1"
        docker = daemon.client("docker")
        pulling = docker.popen("pull", reference)
        kept = daemon.data / "ingest" / (layer.digest.split(":")[1] + ".partial")
        eventually(lambda: kept.exists() and kept.stat().st_size >= len(layer.data) // 2 - (1 << 20), "half of the layer")
        daemon.kill()
        pulling.wait(30)
        gate.set()
        here = kept.stat().st_size
        faulty.faults[layer.digest] = status(404)
        daemon.start()
        docker.ok("pull", reference)
        ranges = [headers.get("Range") for _, path, headers in second.requests if layer.digest in path]
        assert ranges == [f"bytes={here}-"], "the download did not go on where it stopped"
        assert not asked(origin, layer.digest)
        assert docker.ok("run", "--rm", reference, "sh", "-c", "wc -c < /random") == str(8 << 20)
    finally:
        gate.set()
        origin.stop()


@pytest.fixture
def tokens():
    started = []

    def start(registry, **settings):
        started.append(TokenServer(**settings))
        registry.tokens = started[-1]
        return started[-1]
    yield start
    for one in started:
        one.stop()


def auth_header(**fields):
    return {"X-Registry-Auth": base64.urlsafe_b64encode(json.dumps(fields).encode()).decode()}


def pulled(engine, reference, headers=None):
    """The lines that a pull over the API gives."""
    name, _, tag = reference.rpartition(":")
    reply = engine.api.post(f"/images/create?fromImage={name}&tag={tag}", headers=headers)
    assert reply.status == 200, reply
    return [json.loads(line) for line in reply.body.splitlines()]


def came(lines):
    return not [line for line in lines if "error" in line]


def test_a_bearer_token_is_asked_for_once(engine, faulty, tokens, picture):
    server = tokens(faulty)
    docker = engine.client("docker")
    docker.ok("pull", faulty.put("app", "1", picture))
    assert [query["scope"] for _, query in server.requests] == [["repository:app:pull"]]


def test_a_token_that_has_ended_is_asked_for_again(engine, faulty, tokens, box_tar):
    """Also in the middle of a pull: manifest, configuration and layer need one each."""
    server = tokens(faulty, uses=1)
    unlike = images.image([box_tar, images.tar([images.text("unlike", os.urandom(8).hex())])])
    engine.client("docker").ok("pull", faulty.put("app", "1", unlike))
    assert len(server.requests) >= 3


@pytest.mark.parametrize("fault", [resets, status(503), status(429)], ids=["reset", "503", "429"])
def test_a_token_server_that_fails_for_a_moment_is_asked_again(engine, faulty, tokens, picture, fault):
    server = tokens(faulty)
    once = iter([fault])
    server.faults["/token"] = lambda *request: next(once, lambda *_: TRULY)(*request)
    engine.client("docker").ok("pull", faulty.put("app", "1", picture))
    assert len(server.requests) == 2


def test_login_keeps_an_identity_token_and_a_pull_uses_it(engine, faulty, tokens, picture):
    server = tokens(faulty, users={"alice": "secret"}, identities={"alice": "stands for alice"})
    reference = faulty.put("app", "1", picture)
    login = engine.api.post("/auth", {"username": "alice", "password": "secret", "serveraddress": faulty.address})
    assert login.status == 200 and login.json()["IdentityToken"] == "stands for alice"
    assert came(pulled(engine, reference, auth_header(identitytoken="stands for alice")))
    method, query = server.requests[-1]
    assert method == "POST" and query["refresh_token"] == ["stands for alice"] and query["scope"] == ["repository:app:pull"]
    name, _, tag = reference.rpartition(":")
    refused = engine.api.post(f"/images/create?fromImage={name}&tag={tag}", headers=auth_header(identitytoken="of somebody else"))
    assert refused.status == 500 and "unauthorized" in refused.message


def test_a_registry_token_is_used_as_it_is(engine, faulty, tokens, picture):
    server = tokens(faulty)
    server.given["ready"] = [{"repository:app:pull"}, None]
    assert came(pulled(engine, faulty.put("app", "1", picture), auth_header(registrytoken="ready")))
    assert not server.requests


def test_a_password_may_come_packed(engine, faulty, tokens, picture):
    """As `auth`, the form that docker's config.json has."""
    tokens(faulty, users={"alice": "secret:word"})
    packed = base64.b64encode(b"alice:secret:word").decode()
    assert came(pulled(engine, faulty.put("app", "1", picture), auth_header(auth=packed)))


def test_a_mount_asks_for_both_repositories(engine, strict, tokens, made):
    """Each scope is a parameter of its own, as docker's client has it."""
    registry = strict()
    server = tokens(registry)
    docker = engine.client("docker")
    docker.ok("push", made(registry))
    told = docker.ok("push", made(registry, "copies/made"))
    assert told.count("Mounted from made") == 2
    assert {"repository:copies/made:pull,push", "repository:made:pull"} <= set(server.requests[-1][1]["scope"])


def test_a_token_that_ends_while_a_layer_is_pushed(engine, strict, tokens, made):
    """The registry refuses the layer after it has taken the upload; it is sent again with another token."""
    registry = strict()
    server = tokens(registry)
    ended = []

    def end(handler, *_):
        if ended:
            return TRULY
        ended.append(handler.path)
        server.given.clear()
        read_wanted = server.scopes_for(handler.command, handler.path)
        return reply(handler, b"{}", "application/json", status=401, headers={"WWW-Authenticate": server.challenge(read_wanted)})
    registry.faults["^PATCH "] = end
    engine.client("docker").ok("push", made(registry))
    assert ended and "/v2/made/manifests/1" in registry.content


def test_an_image_that_is_removed_while_it_is_pushed_arrives_whole(engine, strict, made):
    registry, gate, begun = strict(), threading.Event(), threading.Event()

    def held(handler, *_):
        begun.set()
        gate.wait(30)
        return TRULY
    registry.faults[r"^POST .*/uploads/"] = held
    reference = made(registry)
    docker = engine.client("docker")
    pushing = docker.popen("push", reference)
    try:
        assert begun.wait(30)
        docker.ok("rmi", "-f", reference, "made:1")
    finally:
        gate.set()
    assert pushing.wait(60) == 0
    assert docker.ok("run", "--rm", reference, "echo", "whole") == "whole"


@pytest.mark.parametrize("asked_for", ["{0}:443/x", "UPPER.{0}/x"])
def test_a_blocked_registry_is_blocked_however_it_is_written(daemon_with, asked_for):
    daemon = daemon_with("--blocked-registry", "registry.example", "--blocked-registry", "upper.registry.example")
    name = asked_for.format("registry.example")
    daemon.client("docker").fails("pull", f"{name}:1", code=1, says="may not be used: the daemon blocks")


def test_a_mirror_never_sees_the_password(daemon_with, faulty, second, picture):
    second.put("app", "1", picture)
    daemon = daemon_with("--mirror", f"{faulty.address}=http://{second.address}")
    reply = daemon.api.post(f"/images/create?fromImage={faulty.address}/app&tag=1",
                            headers={"X-Registry-Auth": "eyJ1c2VybmFtZSI6InUiLCJwYXNzd29yZCI6InAifQ=="})
    assert reply.status == 200 and asked(second, "/manifests/")
    assert not [headers for _, _, headers in second.requests if headers.get("Authorization")]


@pytest.mark.parametrize("url", ["ftp://127.0.0.1", "http://", "http://u:p@127.0.0.1", "http://127.0.0.1?x=1"])
def test_a_mirror_that_is_no_address_stops_the_daemon_with_a_reason(tmp_path, url):
    done = subprocess.run(Daemon("refused", extra=["--mirror", f"docker.io={url}"], work=tmp_path).argv(), capture_output=True, timeout=30)
    assert done.returncode == 1 and b"wanted http[s]://HOST[:PORT][/PATH]" in done.stderr


def test_only_allowed_names_are_pulled_and_pushed(daemon_with, faulty, picture):
    good = faulty.put("good/app", "1", picture)
    bad = faulty.put("bad/app", "1", picture)
    daemon = daemon_with("--allowed-registry", f"{faulty.address}/good")
    docker = daemon.client("docker")
    pull(daemon, good)
    docker.fails("pull", bad, code=1, says=f"bad/app may not be used: the daemon allows only {faulty.address}/good")
    docker.ok("tag", good, bad)
    docker.fails("push", bad, code=1, says="may not be used")
    assert daemon.api.get(f"/distribution/{bad}/json").status == 403
    assert not asked(faulty, "/v2/bad/")
    assert docker.ok("run", "--rm", bad, "echo", "what is here runs") == "what is here runs"


def test_blocked_names_win_over_allowed_ones(daemon_with, faulty, picture):
    bad = faulty.put("team/secret", "1", picture)
    daemon = daemon_with(config={"allowed-registries": [faulty.address], "blocked-registries": [f"{faulty.address}/team/secret"]})
    daemon.client("docker").fails("pull", bad, code=1, says="may not be used: the daemon blocks")
    assert not faulty.requests


def test_a_blocked_registry_gets_no_login_and_no_search(daemon_with, faulty):
    daemon = daemon_with("--blocked-registry", faulty.address)
    reply = daemon.api.post("/auth", {"username": "u", "password": "p", "serveraddress": faulty.address})
    assert reply.status == 403 and "blocks" in reply.json()["message"]
    assert daemon.api.get(f"/images/search?term={faulty.address}/x").status == 403
    assert not faulty.requests


FOUND = {"num_results": 2, "results": [
    {"name": "box", "description": "A small\nbox", "star_count": 12, "is_official": True, "is_automated": False},
    {"name": "someone/box", "description": "x" * 80, "star_count": 3, "is_official": False, "is_automated": False}]}


@pytest.fixture
def index(faulty):
    faulty.content["/v1/search?q=box&n=25"] = (json.dumps(FOUND).encode(), "application/json")
    return faulty


def test_search_asks_the_index_of_a_registry(engine, index):
    docker = engine.client("docker")
    lines = docker.ok("search", f"{index.address}/box").splitlines()
    assert lines[0].split() == ["NAME", "DESCRIPTION", "STARS", "OFFICIAL"]
    assert lines[1].split() == ["box", "A", "small", "box", "12", "[OK]"]
    assert docker.ok("search", "--format", "{{.Name}} {{.StarCount}}", f"{index.address}/box") == "box 12\nsomeone/box 3"
    assert engine.client("corten").ok("search", "--format", "{{.Name}}", f"{index.address}/box") == "box\nsomeone/box"


@pytest.mark.parametrize("filter, found", [("is-official=true", ["box"]), ("is-official=false", ["someone/box"]), ("stars=10", ["box"])])
def test_search_filters(engine, index, filter, found):
    assert engine.client("docker").ok("search", "-f", filter, "--format", "{{.Name}}", f"{index.address}/box").splitlines() == found


def test_search_reads_the_catalogue_of_a_registry_without_an_index(engine, registry, box_tar):
    """A real registry: its catalogue is the only list it has."""
    from support.images import Pusher
    Pusher(registry.address).push("findable/needle", "1", images.image([box_tar]))
    found = engine.client("corten").ok("search", "--format", "{{.Name}}", f"{registry.address}/needle")
    assert found == f"{registry.address}/findable/needle"


@pytest.mark.parametrize("query, status, reason", [
    ("term=", 400, "wanted [REGISTRY/]TERM"),
    ("term=x&limit=101", 400, "outside the range of [1, 100]"),
    ("term=x&filters=%7B%22stars%22:%5B%22many%22%5D%7D", 400, "invalid filter 'stars=many'"),
    ("term=x&filters=%7B%22colour%22:%5B%22red%22%5D%7D", 400, "invalid filter 'colour'"),
], ids=["no term", "limit", "stars", "unknown"])
def test_a_bad_search_says_what_was_wanted(engine, query, status, reason):
    reply = engine.api.get(f"/images/search?{query}")
    assert reply.status == status and reason in reply.json()["message"]


@pytest.mark.parametrize("body", [b"<html>", b"[]", b'{"results":[{"name":7}]}'])
def test_an_index_that_talks_nonsense_is_an_error(engine, faulty, body):
    faulty.faults["/v1/search"] = says(body)
    reply = engine.api.get(f"/images/search?term={faulty.address}/box")
    assert reply.status >= 400 and reply.json()["message"]
    assert engine.api.alive()


def test_search_shows_a_registry_no_credentials_of_another(engine, faulty, tmp_path):
    """Also when the term is no image's name."""
    client = Client("corten", engine.client("corten").program, engine.host, tmp_path / "config")
    auth = base64.b64encode(b"user:secret").decode()
    (client.config / "config.json").write_text(json.dumps({"auths": {"https://index.docker.io/v1/": {"auth": auth}}}))
    faulty.faults["/v1/search"] = lambda handler, body, kind: reply(handler, b"{}", "application/json", status=401,
                                                                    headers={"WWW-Authenticate": 'Basic realm="here"'})
    client.fails("search", f"{faulty.address}/NotAName", code=1)
    assert faulty.requests and not [headers for _, _, headers in faulty.requests if headers.get("Authorization")]


# --- the distribution specification, where it is about clients (docs/registries.md has the list) --------------------------------

@pytest.fixture
def strict():
    started = []

    def start(**settings):
        started.append(StrictRegistry(**settings))
        return started[-1]
    yield start
    for one in started:
        one.stop()


@pytest.fixture
def made(engine, box_tar):
    """A name for an image that no registry has seen: gives it that name at a registry."""
    import io
    import time
    tar = images.tar([images.text("made", str(time.monotonic_ns()))])
    picture = images.image([box_tar, tar])
    archive = images.docker_archive("made:1", picture, [box_tar, tar])
    assert engine.api.post("/images/load", io.BytesIO(archive).getvalue()).status == 200

    def at(registry, repository="made"):
        name = f"{registry.address}/{repository}"
        assert engine.api.post(f"/images/made:1/tag?repo={name}&tag=1").status == 201
        return f"{name}:1"
    return at


def commands(registry, *wanted):
    return [(command, path) for command, path, _ in registry.requests if command in wanted]


def paged(tags, size, link):
    """A tag list of pages, the next of which `link` names for the last tag of this one."""
    def fault(handler, _body, _kind):
        from urllib.parse import parse_qs, urlsplit
        last = parse_qs(urlsplit(handler.path).query).get("last", [""])[0]
        rest = [tag for tag in tags if tag > last]
        more = {"Link": link(rest[size - 1])} if len(rest) > size else {}
        reply(handler, json.dumps({"name": "app", "tags": rest[:size]}).encode(), "application/json", headers=more)
    return fault


@pytest.mark.parametrize("link", [
    lambda last: f'</v2/app/tags/list?n=2&last={last}>; rel="next"',
    lambda last: f'<list?last={last}>; title="x, y"; rel=next',
    lambda last: f'</v2/>; rel="up", </v2/app/tags/list?last={last}>; rel="next"',
], ids=["absolute path", "relative", "second of two"])
def test_all_pages_of_a_tag_list_are_read(engine, faulty, picture, link):
    tags = [f"t{n}" for n in range(5)]
    for tag in tags:
        reference = faulty.put("app", tag, picture)
    faulty.faults["/tags/list"] = paged(tags, 2, link)
    repository = reference.rpartition(":")[0]
    docker = engine.client("docker")
    docker.ok("pull", "-a", repository)
    assert sorted(docker.ok("images", "--format", "{{.Tag}}", repository).split()) == tags


@pytest.mark.parametrize("target, reason", [
    ("/v2/app/tags/list?last=t1", "a page follows itself"),
    ("http://other.example/v2/app/tags/list", "refused to go on at other.example"),
], ids=["itself", "elsewhere"])
def test_a_tag_list_that_leads_nowhere_is_an_error(engine, faulty, picture, target, reason):
    faulty.put("app", "t1", picture)
    faulty.faults["/tags/list"] = lambda handler, body, kind: reply(
        handler, b'{"tags":["t1"]}', "application/json", headers={"Link": f'<{target}>; rel="next"'})
    engine.client("docker").fails("pull", "-a", f"{faulty.address}/app", code=1, says=reason)


def with_headers(**headers):
    return lambda handler, body, kind: reply(handler, body, kind, headers={name.replace("_", "-"): value for name, value in headers.items()})


def test_what_the_registry_warns_of_is_told_once(engine, faulty, picture):
    reference = faulty.put("app", "1", picture)
    faulty.faults["/v2/app/"] = with_headers(Warning='299 - "going \\"soon\\""')
    told = engine.client("docker").ok("pull", reference)
    assert told.count('Warning of the registry: going "soon"') == 1


@pytest.mark.parametrize("warning", ['199 - "misc"', '299 host "text"', "299 - text", '299 - ""'])
def test_other_warnings_are_not_for_the_user(engine, faulty, picture, warning):
    reference = faulty.put("app", "1", picture)
    faulty.faults["/v2/app/"] = with_headers(Warning=warning)
    assert "Warning" not in engine.client("docker").ok("pull", reference)


def test_a_manifest_has_the_digest_that_the_registry_says(engine, faulty, picture):
    reference = faulty.put("app", "1", picture)
    faulty.faults["/manifests/"] = with_headers(Docker_Content_Digest="sha256:" + "0" * 64)
    engine.client("docker").fails("pull", reference, code=1, says="manifest verification failed")


@pytest.mark.parametrize("digest", ["sha512:" + "0" * 128, "nonsense"])
def test_a_digest_of_another_algorithm_is_passed_over(engine, faulty, picture, digest):
    reference = faulty.put("app", "1", picture)
    faulty.faults["/manifests/"] = with_headers(Docker_Content_Digest=digest)
    assert picture.digest in engine.client("docker").ok("pull", reference)


def test_the_digest_that_was_asked_for_counts_whatever_the_header_says(engine, faulty, picture):
    faulty.put("app", "1", picture)
    faulty.faults["/manifests/"] = with_headers(Docker_Content_Digest="sha256:" + "0" * 64)
    engine.client("docker").ok("pull", f"{faulty.address}/app@{picture.digest}")


def test_a_registry_that_sends_no_parts_is_asked_for_the_whole(engine, faulty, box_tar):
    """It answers 416 to the range that is missing after a cut."""
    from support.registry import ends_early
    big = images.image([box_tar, images.tar([images.text("filler", "abc" * 1_000_000)])], compression="none")
    layer = big.layers[-1].digest.split(":")[1]
    reference = faulty.put("app", "1", big)
    once = first(1, ends_early)
    faulty.faults[layer] = lambda handler, body, kind: (status(416) if handler.headers.get("Range") else once)(handler, body, kind)
    docker = engine.client("docker")
    docker.ok("pull", reference)
    assert docker.ok("run", "--rm", reference, "sh", "-c", "wc -c < /filler") == "3000000"


def test_a_push_goes_on_where_the_registry_says(engine, strict, made):
    """Each request of an upload goes to the latest Location; the layer is one PATCH, however long its registry wants chunks."""
    registry = strict()
    reference = made(registry)
    docker = engine.client("docker")
    docker.ok("push", reference)
    assert len(commands(registry, "PATCH")) == 2 and len(commands(registry, "PUT")) == 4 and not registry.uploads
    docker.ok("rmi", reference, "made:1")
    assert docker.ok("run", "--rm", reference, "echo", "whole") == "whole"


@pytest.mark.parametrize("refusal", [404, 416])
@pytest.mark.parametrize("request_line", ["^PATCH ", r"^PUT .*/uploads/"], ids=["sending", "finishing"])
def test_an_upload_that_is_lost_begins_again(engine, strict, made, refusal, request_line):
    registry = strict()
    reference = made(registry)
    lost = iter([status(refusal)])
    registry.faults[request_line] = lambda *request: next(lost, lambda *_: TRULY)(*request)
    engine.client("docker").ok("push", reference)
    assert "/v2/made/manifests/1" in registry.content


def test_an_upload_that_is_always_lost_is_an_error(engine, strict, made):
    registry = strict()
    registry.faults["^PATCH "] = status(404)
    engine.client("docker").fails("push", made(registry), code=1, says="upload lost", timeout=120)


def test_blobs_are_mounted_from_another_repository(engine, strict, made):
    registry = strict()
    docker = engine.client("docker")
    docker.ok("push", made(registry))
    registry.requests.clear()
    told = docker.ok("push", made(registry, "copies/made"))
    assert told.count("Mounted from made") == 2 and not commands(registry, "PATCH")


def test_what_cannot_be_mounted_is_sent(engine, strict, made):
    """The registry begins an upload instead, which is not left behind."""
    registry = strict(mounts=False)
    docker = engine.client("docker")
    docker.ok("push", made(registry))
    registry.requests.clear()
    docker.ok("push", made(registry, "copies/made"))
    assert len(commands(registry, "PATCH")) == 2 and len(commands(registry, "DELETE")) == 2 and not registry.uploads
    assert "/v2/copies/made/manifests/1" in registry.content


@pytest.fixture
def referring(box_tar, engine):
    """An image whose manifest has a subject, pulled from one registry and named for another."""
    def make(source, target, unique):
        picture = images.image([box_tar], style="oci", env=[f"UNIQUE={unique}"])
        body = json.loads(picture.manifest.data)
        body["subject"] = {"mediaType": images.OCI["manifest"], "digest": "sha256:" + "5" * 64, "size": 7}
        body["annotations"] = {"about": unique}
        picture = images.Image(images.Blob(json.dumps(body).encode(), images.OCI["manifest"]), picture.config, picture.layers, picture.platform)
        pull(engine, source.put("referring", unique, picture))
        name = f"{target.address}/referring"
        assert engine.api.post(f"/images/{source.address}/referring:{unique}/tag?repo={name}&tag={unique}").status == 201
        for blob in picture.layers:  # or the layer would be packed anew, in another manifest without a subject
            target.content[f"/v2/referring/blobs/{blob.digest}"] = (blob.data, "application/octet-stream")
        return f"{name}:{unique}", picture
    return make


FALLBACK = "/v2/referring/manifests/sha256-" + "5" * 64


def test_a_registry_that_notes_the_subject_needs_no_list(engine, faulty, strict, referring):
    registry = strict()
    reference, picture = referring(faulty, registry, "a")
    engine.client("docker").ok("push", reference)
    assert f"/v2/referring/manifests/{picture.digest}" in registry.content and FALLBACK not in registry.content


def test_the_list_of_referrers_is_kept_where_the_registry_keeps_none(engine, faulty, strict, referring):
    registry = strict(referrers=False)
    docker = engine.client("docker")
    pushed = []
    for unique in ("a", "b", "a"):
        reference, picture = referring(faulty, registry, unique)
        docker.ok("push", reference)
        pushed.append(picture)
    body, kind = registry.content[FALLBACK]
    assert kind == images.OCI["index"]
    listed = json.loads(body)["manifests"]
    assert [(m["digest"], m["size"], m["artifactType"], m["annotations"]) for m in listed] == [
        (p.digest, len(p.manifest.data), images.OCI["config"], {"about": u}) for p, u in zip(pushed[:2], "ab")]


# --- blobs that are kept -------------------------------------------------------------------------

@pytest.fixture
def keeping(daemon_with):
    return daemon_with("--keep-blobs")


def kept(daemon) -> dict:
    return {"sha256:" + f.name: f.read_bytes() for f in (daemon.data / "blobs" / "sha256").iterdir()}


def renamed(daemon, reference, registry):
    target = f"{registry.address}/elsewhere:1"
    daemon.client("docker").ok("tag", reference, target)
    return target


@pytest.mark.parametrize("style, compression", [("docker", "gzip"), ("oci", "zstd"), ("oci", "none")])
def test_kept_blobs_go_to_another_registry_as_they_came(keeping, faulty, strict, box_tar, style, compression):
    picture = images.image([box_tar, images.tar([images.text("note", "x" * 5000)])], style=style, compression=compression)
    reference = faulty.put("app", "1", picture)
    docker = keeping.client("docker")
    docker.ok("pull", reference)
    assert kept(keeping) == {layer.digest: layer.data for layer in picture.layers}
    registry = strict()
    docker.ok("push", renamed(keeping, reference, registry))
    assert registry.content["/v2/elsewhere/manifests/1"] == (picture.manifest.data, picture.manifest.media_type)
    for layer in picture.layers:
        assert registry.content[f"/v2/elsewhere/blobs/{layer.digest}"][0] == layer.data


def test_without_kept_blobs_another_registry_gets_the_same_files_in_other_blobs(engine, faulty, strict, picture):
    """As with docker: the digest of what was pushed differs, the diff ids do not."""
    reference = faulty.put("app", "1", picture)
    docker = engine.client("docker")
    docker.ok("pull", reference)
    registry = strict()
    docker.ok("push", renamed(engine, reference, registry))
    assert registry.content["/v2/elsewhere/manifests/1"][0] != picture.manifest.data
    assert f"/v2/elsewhere/blobs/{picture.id}" in registry.content, "the configuration and so the diff ids are the same"


def test_kept_blobs_are_counted_and_go_with_their_layers(keeping, faulty, picture):
    reference = faulty.put("app", "1", picture)
    docker = keeping.client("docker")
    docker.ok("pull", reference)
    df = keeping.api.get("/system/df").json()
    image, = [i for i in keeping.api.get("/images/json?manifests=1").json() if reference in i["RepoTags"]]
    blobs = sum(len(layer.data) for layer in picture.layers)
    assert df["LayersSize"] == image["Size"] + blobs
    assert image["Manifests"][0]["Size"]["Content"] == blobs + len(picture.manifest.data) + len(picture.config.data)
    assert keeping.api.post("/corten/store/check").json()["Problems"] == []
    docker.ok("rmi", reference)
    eventually(lambda: not kept(keeping), "removal of the blobs", 20)
    assert keeping.api.get("/system/df").json().get("LayersSize", 0) == 0


def test_nothing_is_kept_once_that_is_switched_off(daemon_with, keeping, faulty, picture):
    reference = faulty.put("app", "1", picture)
    keeping.client("docker").ok("pull", reference)
    keeping.extra.remove("--keep-blobs")
    keeping.restart("terminate")
    assert not kept(keeping) and keeping.api.post("/corten/store/check").json()["Problems"] == []
    assert keeping.client("docker").ok("run", "--rm", reference, "echo", "runs") == "runs"


@pytest.mark.parametrize("damage, says", [
    (lambda blob: blob.write_bytes(b"x" + blob.read_bytes()[1:]), "the content on disk has changed"),
    (lambda blob: blob.unlink(), "its file is missing"),
    (lambda blob: (blob.parent / ("0" * 64)).write_bytes(b"stray"), "no layer needs it"),
], ids=["changed", "missing", "stray"])
def test_store_check_knows_the_kept_blobs(keeping, faulty, strict, picture, damage, says):
    """What is mended is given up: the layer itself is whole, and a push packs it anew."""
    reference = faulty.put("app", "1", picture)
    docker, corten = keeping.client("docker"), keeping.client("corten")
    docker.ok("pull", reference)
    damage(keeping.data / "blobs" / "sha256" / picture.layers[0].digest.split(":")[1])
    found = keeping.api.post("/corten/store/check").json()["Problems"]
    assert [says in p["Found"] for p in found] == [True]
    corten.ok("store", "check", "--repair")
    assert keeping.api.post("/corten/store/check").json()["Problems"] == []
    registry = strict()
    docker.ok("push", renamed(keeping, reference, registry))
    assert "/v2/elsewhere/manifests/1" in registry.content


def test_a_kept_blob_that_changed_is_not_pushed(keeping, faulty, strict, picture):
    reference = faulty.put("app", "1", picture)
    docker = keeping.client("docker")
    docker.ok("pull", reference)
    blob = keeping.data / "blobs" / "sha256" / picture.layers[0].digest.split(":")[1]
    blob.write_bytes(b"x" + blob.read_bytes()[1:])
    registry = strict()
    docker.fails("push", renamed(keeping, reference, registry), code=1, says="has changed on the disk.*store check --repair")
    assert "/v2/elsewhere/manifests/1" not in registry.content


# --- manifests -----------------------------------------------------------------------------------

def for_one(box_tar, style, architecture="amd64", **more):
    return images.image([box_tar], style=style, architecture=architecture, **more)


def entry_of(reference, picture):
    """What `manifest inspect -v` shows of an image."""
    kind = "OCIManifest" if "oci" in picture.manifest.media_type else "SchemaV2Manifest"
    return {"Ref": reference, "Descriptor": picture.manifest.descriptor(platform=picture.platform),
            "Raw": base64.b64encode(picture.manifest.data).decode(), kind: json.loads(picture.manifest.data)}


@pytest.mark.client(28)
@pytest.mark.parametrize("style", ["docker", "oci"])
def test_manifest_of_a_single_image(cli, registry, box_tar, style):
    picture = for_one(box_tar, style)
    reference = registry.push("inspected", style, picture)
    shown = cli.run("manifest", "inspect", "--insecure", reference).out
    assert shown == json.dumps(json.loads(picture.manifest.data), indent="\t") + "\n"
    by_digest = f"{reference.rpartition(':')[0]}@{picture.digest}"
    for name in (reference, by_digest):
        shown = cli.run("manifest", "inspect", "-v", "--insecure", name).out
        assert json.loads(shown) == entry_of(name, picture) and shown.startswith('{\n\t"Ref": ')


@pytest.mark.client(28)
@pytest.mark.parametrize("style", ["docker", "oci"])
def test_manifests_of_an_index(cli, registry, box_tar, style):
    many = images.index([for_one(box_tar, style), for_one(box_tar, style, "arm64", variant="v8")], style)
    reference = registry.push("inspected-index", style, many)
    shown = cli.run("manifest", "inspect", "--insecure", reference).out
    assert shown == json.dumps(json.loads(many.manifest.data), indent=3) + "\n"
    shown = cli.run("manifest", "inspect", "--verbose", "--insecure", reference).out
    assert json.loads(shown) == [entry_of(f"{reference}@{each.digest}", each) for each in many.images] and shown.startswith('[\n\t{\n\t\t"Ref"')


@pytest.mark.client(28)
def test_a_manifest_that_is_not_there(cli, registry):
    cli.fails("manifest", "inspect", "--insecure", f"{registry.address}/inspected:nosuch", code=1, says=f"^no such manifest: {registry.address}/inspected:nosuch\n$")


def test_the_manifest_on_the_wire_is_the_registrys_bytes(engine, faulty, tokens, box_tar):
    """Of an artifact too, which has no platform; asked with the credentials of the request."""
    picture = for_one(box_tar, "oci")
    about = json.dumps({**json.loads(picture.manifest.data), "config": {"mediaType": "application/vnd.example+json", "size": 2, "digest": images.digest_of(b"{}")}})
    faulty.content["/v2/art/manifests/1"] = (about.encode(), images.OCI["manifest"])
    tokens(faulty, users={"me": "secret"})
    path = f"/corten/manifest?reference={faulty.address}/art:1"
    assert engine.api.get(path).status == 403
    found = engine.api.get(path, headers=auth_header(username="me", password="secret")).json()
    assert base64.b64decode(found["Raw"]) == about.encode() and found["Ref"] == f"{faulty.address}/art:1"
    assert found["Descriptor"] == {"mediaType": images.OCI["manifest"], "digest": images.digest_of(about.encode()), "size": len(about)}


def test_a_blocked_registry_is_not_asked_for_manifests(daemon_with, faulty, picture):
    daemon = daemon_with(config={"blocked-registries": [faulty.address]})
    daemon.client("corten").fails("manifest", "inspect", "--insecure", faulty.put("app", "1", picture), code=1, says="may not be used: the daemon blocks")
    assert faulty.requests == []


def test_lists_of_manifests_are_not_made(corten):
    for verb in ("create", "annotate", "push", "rm"):
        corten.fails("manifest", verb, "x", code=1, says=f"corten manifest {verb} is not implemented: lists")
