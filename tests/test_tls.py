"""Registries behind TLS: whose certificates are trusted, who has to show one, and where plain HTTP is spoken.

The registries stand at the address of a bridge: with loopback no certificate would be checked.
"""
import json
import ssl

import pytest
from support import engines, images
from support import registry as registries
from support.tls import Authority, PrivateEtc

pytestmark = pytest.mark.corten_only
NAME = "registry.test"
USER, PASSWORD = "alice", "secret word"


@pytest.fixture(scope="module")
def etc(tmp_path_factory):
    return PrivateEtc(tmp_path_factory.mktemp("corten-t-etc"))


@pytest.fixture(scope="module")
def strict(etc):
    """A daemon that takes no registry for insecure, with an /etc of its own."""
    own = engines.Daemon("tls", prefix=etc.prefix()).start()
    try:
        with open(etc.folder / "hosts", "a") as hosts:
            hosts.write(f"{own.gateway} {NAME}\n")
        yield own
    finally:
        own.stop()


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("corten-t-ca"))


@pytest.fixture(scope="module")
def stranger(tmp_path_factory):
    """An authority that nobody trusts."""
    return Authority(tmp_path_factory.mktemp("corten-t-stranger"), "strangers")


@pytest.fixture(scope="module")
def picture(box_tar):
    return images.image([box_tar], env=["BY=tls"])


@pytest.fixture(scope="module")
def guarded(strict, authority, picture):
    """HTTPS, and a password."""
    real = registries.RealRegistry({USER: PASSWORD}, strict.gateway, authority.issue("server", strict.gateway, NAME),
                                   trust=ssl.create_default_context(cafile=authority.certificate))
    real.push("private", "1", picture)
    yield real
    real.stop()


@pytest.fixture
def engine(strict, etc):
    yield strict
    etc.distrust()
    strict.clean()


@pytest.fixture
def serve(strict, authority, picture):
    """A function that starts a registry with this certificate, or with none and plain HTTP, and says what to pull from it."""
    started = []

    def start(certificate=None, host=None, port=0) -> str:
        context = None
        if certificate:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(*certificate)
        started.append(registries.FaultyRegistry(strict.gateway, context, port))
        reference = started[-1].put("box", "1", picture)
        return reference.replace(strict.gateway, host) if host else reference
    start.registries = started
    yield start
    for each in started:
        each.stop()


def host_of(reference) -> str:
    return reference.split("/")[0]


def runs(cli, reference) -> bool:
    return cli.ok("run", "--rm", "--network", "none", reference, "sh", "-c", "echo $BY") == "tls"


# --- authorities ---------------------------------------------------------------------------------

@pytest.mark.parametrize("engines", [("docker",), ("corten",)])
def test_registry_of_a_trusted_authority(cli, etc, authority, guarded, engines):
    """The authority's certificate may stand in Docker's place or in ours; pushed and pulled with a login."""
    etc.trust(guarded.address, authority.certificate, engines=engines)
    cli.ok("login", "-u", USER, "--password-stdin", guarded.address, input=PASSWORD)
    cli.ok("pull", f"{guarded.address}/private:1")
    target = f"{guarded.address}/pushed/by-{cli.name}:1"
    cli.ok("tag", f"{guarded.address}/private:1", target)
    cli.ok("push", target)
    cli.ok("rmi", target, f"{guarded.address}/private:1")
    assert runs(cli, target)
    cli.ok("logout", guarded.address)


def test_registry_by_its_name(cli, etc, authority, serve):
    reference = serve(authority.issue("named", NAME), NAME)
    etc.trust(host_of(reference), authority.certificate)
    cli.ok("pull", reference)
    assert runs(cli, reference)


@pytest.mark.parametrize("trusted", ["nobody", "a stranger"])
def test_authority_that_is_not_trusted(cli, engine, etc, authority, stranger, serve, trusted):
    reference = serve(authority.issue("unknown", engine.gateway))
    if trusted == "a stranger":
        etc.trust(host_of(reference), stranger.certificate)
    cli.fails("pull", reference, code=1, says="(?i)failed to verify certificate: .*(issuer|authority)")


def test_trust_is_for_one_host_only(cli, engine, etc, authority, serve):
    etc.trust("elsewhere.test:5000", authority.certificate)
    cli.fails("pull", serve(authority.issue("other", engine.gateway)), code=1, says="failed to verify certificate")


def test_certificate_that_has_expired(cli, engine, etc, authority, serve):
    reference = serve(authority.issue("old", engine.gateway, days=-1))
    etc.trust(host_of(reference), authority.certificate)
    cli.fails("pull", reference, code=1, says="failed to verify certificate: certificate has expired")


@pytest.mark.parametrize("asked", ["address", "name"])
def test_certificate_of_another_host(cli, engine, etc, authority, serve, asked):
    reference = serve(authority.issue("stray", "198.51.100.1", "elsewhere.test"), NAME if asked == "name" else None)
    etc.trust(host_of(reference), authority.certificate)
    cli.fails("pull", reference, code=1, says="failed to verify certificate: (IP address|hostname) mismatch")


def test_certificate_file_of_rubbish_is_named(cli, engine, etc, authority, serve, tmp_path):
    rubbish = tmp_path / "rubbish"
    rubbish.write_text("no certificate\n")
    reference = serve(authority.issue("fine", engine.gateway))
    etc.trust(host_of(reference), rubbish)
    cli.fails("pull", reference, code=1, says=f"/etc/docker/certs.d/{host_of(reference)}/ca.crt")


# --- certificates of the client -------------------------------------------------------------------

@pytest.fixture(scope="module")
def choosy(strict, authority, picture):
    """A registry that speaks only to who shows a certificate."""
    trust = ssl.create_default_context(cafile=authority.certificate)
    trust.load_cert_chain(*authority.issue("tests"))
    real = registries.RealRegistry(host=strict.gateway, tls=authority.issue("choosy", strict.gateway), clients=authority.certificate,
                                   trust=trust)
    real.push("box", "1", picture)
    yield real
    real.stop()


def test_client_with_a_certificate(cli, engine, etc, authority, choosy):
    etc.trust(choosy.address, authority.certificate, client=authority.issue("engine"))
    reference, target = f"{choosy.address}/box:1", f"{choosy.address}/by-{cli.name}:1"
    cli.ok("pull", reference)
    cli.ok("tag", reference, target)
    cli.ok("push", target)
    assert runs(cli, target)


@pytest.mark.parametrize("client", ["none", "a stranger's"])
def test_client_without_a_good_certificate(cli, engine, etc, authority, stranger, choosy, client):
    etc.trust(choosy.address, authority.certificate, client=None if client == "none" else stranger.issue("intruder"))
    cli.fails("pull", f"{choosy.address}/box:1", code=1, says="(?i)tls.*(certificate required|bad certificate|unknown ca)")


def test_client_certificate_without_its_key(cli, engine, etc, authority, choosy):
    etc.trust(choosy.address, authority.certificate, client=authority.issue("keyless"))
    (etc.folder / "docker" / choosy.address / "client.key").unlink()
    cli.fails("pull", f"{choosy.address}/box:1", code=1, says="missing key client.key for client certificate client.cert")


# --- insecure registries --------------------------------------------------------------------------

def test_plain_http_is_not_spoken_to_a_stranger(cli, engine, serve):
    """What looks like a broken TLS server is not asked again without TLS."""
    cli.fails("pull", serve(), code=1, says="(?i)tls|https")
    assert serve.registries[0].requests == []


@pytest.fixture(scope="module", params=["host and port", "range", "host alone", "range of others"])
def lenient(request, strict):
    """(a daemon with --insecure-registry, whether that covers the registry at the port, the port)"""
    network, port = f"{strict.gateway.rpartition('.')[0]}.0/24", engines.free_port(strict.gateway)
    value = {"host and port": f"{strict.gateway}:{port}", "range": network,
             "host alone": strict.gateway, "range of others": "198.51.100.0/24"}[request.param]
    own = engines.Daemon("insecure", extra=["--insecure-registry", value]).start()
    try:
        yield own, request.param in ("host and port", "range"), port
    finally:
        own.stop()


@pytest.mark.parametrize("certificate", ["none", "expired", "a stranger's"])
def test_insecure_registry(lenient, serve, stranger, strict, certificate):
    daemon, covered, port = lenient
    found = {"none": lambda: None, "expired": lambda: stranger.issue("old", strict.gateway, days=-1),
             "a stranger's": lambda: stranger.issue("strange", "elsewhere.test")}[certificate]()
    reference = serve(found, port=port)
    for client in map(daemon.client, ("docker", "corten")):
        if covered:
            client.ok("pull", reference)
            assert runs(client, reference)
            client.ok("rmi", reference)
        else:
            client.fails("pull", reference, code=1, says="(?i)tls|certificate|https")


def test_loopback_needs_neither_tls_nor_a_good_certificate(cli, engine, stranger, picture):
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*stranger.issue("loopback", "elsewhere.test"))
    for tls in (context, None):
        local = registries.FaultyRegistry(tls=tls)
        try:
            cli.ok("pull", local.put("box", "1", picture))
        finally:
            local.stop()


def test_manifest_inspect_of_an_insecure_registry(engine, serve, stranger, picture):
    """A registry that nobody vouches for is asked when the command says so, and nothing else changes by that."""
    cli = engine.client("corten")
    for certificate in (None, stranger.issue("manifests", "elsewhere.test")):
        reference = serve(certificate)
        cli.fails("manifest", "inspect", reference, code=1)
        assert cli.run("manifest", "inspect", "--insecure", reference).out == json.dumps(json.loads(picture.manifest.data), indent="\t") + "\n"
        cli.fails("pull", reference, code=1)
