"""Where a registry's credentials are kept: config.json as docker's command writes it, and programs docker-credential-NAME."""
import base64
import http.server
import json
import os
import re
import socketserver
import stat
import threading

import pytest
from support import images
from support.registry import RealRegistry

USER, PASSWORD = "alice", "secret word"
HELPER = """#!/bin/sh
# docker-credential-*: keeps the credentials of one server in a folder; notes every word that it is asked.
store={folder}/kept
kept() {{ read -r server; grep -qsF "\\"$server\\"" "$store"; }}
echo "$1" >> {folder}/asked
case $1 in
    store) cat > "$store" ;;
    get) kept && cat "$store" || {{ echo 'credentials not found in native keychain'; exit 1; }} ;;
    erase) kept && rm "$store" ;;
    *) echo "unknown word $1"; exit 1 ;;
esac
"""


@pytest.fixture(scope="module")
def guarded(box_tar):
    real = RealRegistry({USER: PASSWORD})
    real.push("private", "1", images.image([box_tar], env=["FOR=members"]))
    yield real
    real.stop()


@pytest.fixture
def private(guarded) -> str:
    return f"{guarded.address}/private:1"


@pytest.fixture(autouse=True)
def no_configuration(engine):
    """Each test begins without a config.json, and leaves none."""
    def forget():
        for name in ("docker", "corten"):
            (engine.client(name).config / "config.json").unlink(missing_ok=True)
    forget()
    yield
    forget()


@pytest.fixture
def helper(tmp_path, monkeypatch):
    """A folder in the PATH with the programs docker-credential-tests and docker-credential-locked, which never opens."""
    for name, text in (("tests", HELPER.format(folder=tmp_path)), ("locked", "#!/bin/sh\necho 'the keychain is locked'; exit 1\n")):
        program = tmp_path / f"docker-credential-{name}"
        program.write_text(text)
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    return tmp_path


class Listener(socketserver.ThreadingUnixStreamServer):
    """Takes a daemon's place: notes each path that it is asked for, without the version, with the headers, and refuses."""
    daemon_threads = True

    def __init__(self, path):
        self.asked = {}

        class Refusing(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                path = re.sub(r"^/v1\.\d+", "", self.path.split("?")[0])
                self.server.asked[path] = self.headers
                self.send_response(500)
                self.send_header("Content-Length", "0")
                self.end_headers()

            do_GET = do_HEAD = do_POST

            def log_message(self, *_):
                pass
        super().__init__(str(path), Refusing)

    def __enter__(self):
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.shutdown()
        self.server_close()


def configure(cli, **config):
    (cli.config / "config.json").write_text(json.dumps(config))


def configured(cli) -> dict:
    return json.loads((cli.config / "config.json").read_text())


def login(cli, guarded, password=PASSWORD):
    return cli.run("login", "-u", USER, "--password-stdin", guarded.address, input=password)


def encoded(user=USER, password=PASSWORD) -> str:
    return base64.b64encode(f"{user}:{password}".encode()).decode()


# --- config.json ---------------------------------------------------------------------------------

def test_login_is_kept_for_the_user_alone(cli, guarded, private):
    assert "Login Succeeded" in login(cli, guarded).out
    assert configured(cli)["auths"] == {guarded.address: {"auth": encoded()}}
    assert stat.S_IMODE((cli.config / "config.json").stat().st_mode) == 0o600
    cli.ok("pull", private)
    assert "Removing login credentials" in cli.ok("logout", guarded.address)
    assert not configured(cli).get("auths")


def test_failed_login_keeps_nothing_and_loses_nothing(cli, guarded, private):
    assert login(cli, guarded).code == 0
    refused = login(cli, guarded, "wrong")
    assert refused.code == 1 and "unauthorized" in refused.err.lower()
    cli.ok("pull", private)


def test_login_leaves_the_rest_of_the_configuration(cli, guarded):
    configure(cli, auths={"elsewhere.test": {"auth": encoded("bob", "x")}}, HttpHeaders={"X-Mine": "1"})
    assert login(cli, guarded).code == 0
    assert set(configured(cli)["auths"]) == {"elsewhere.test", guarded.address} and configured(cli)["HttpHeaders"] == {"X-Mine": "1"}
    cli.ok("logout", guarded.address)
    assert configured(cli)["auths"] == {"elsewhere.test": {"auth": encoded("bob", "x")}}


def test_login_that_is_kept_is_not_asked_for_again(cli, guarded):
    assert login(cli, guarded).code == 0
    assert "Login Succeeded" in cli.ok("login", guarded.address)
    cli.ok("logout", guarded.address)
    cli.fails("login", guarded.address, code=1, says="(?i)non.TTY")


@pytest.mark.parametrize("key", ["http://{}", "https://{}/v1/", "{}/"])
def test_servers_written_as_addresses_are_found(cli, guarded, private, key):
    configure(cli, auths={key.format(guarded.address): {"auth": encoded()}})
    cli.ok("pull", private)


@pytest.mark.parametrize("config, says", [
    ("{", "config.json"),
    ('{"auths": []}', "config.json: auths: wanted object, found array"),
    ('{"auths": {"HOST": {"auth": 1}}}', "config.json: auths.HOST.auth: wanted a string"),
    ('{"auths": {"HOST": {"auth": "%%%"}}}', "config.json: auths.HOST: .*base64"),
    ('{"credHelpers": 1}', "config.json: credHelpers: wanted object"),
])
def test_configuration_of_garbage_is_told(corten, guarded, private, config, says):
    (corten.config / "config.json").write_text(config.replace("HOST", guarded.address))
    for told in (corten.fails("login", guarded.address, code=1), corten.fails("pull", private, code=1)):
        assert re.search(says.replace("HOST", guarded.address), told.err), repr(told)


# --- helpers -------------------------------------------------------------------------------------

@pytest.fixture(params=["credsStore", "credHelpers"])
def chosen(request, guarded):
    """The configuration that names the helper: for every registry, or for one."""
    return {"credsStore": "tests"} if request.param == "credsStore" else {"credHelpers": {guarded.address: "tests"}}


def test_helper_keeps_what_login_is_told(cli, guarded, private, helper, chosen):
    configure(cli, **chosen)
    assert "Login Succeeded" in login(cli, guarded).out
    assert json.loads((helper / "kept").read_text()) == {"ServerURL": guarded.address, "Username": USER, "Secret": PASSWORD}
    assert configured(cli)["auths"] == {guarded.address: {}}, "the secret stands in the configuration, too"
    cli.ok("pull", private)
    cli.ok("tag", private, f"{guarded.address}/pushed:1")
    cli.ok("push", f"{guarded.address}/pushed:1")
    assert "Removing login credentials" in cli.ok("logout", guarded.address)
    assert not (helper / "kept").exists() and not configured(cli).get("auths")
    cli.fails("pull", private, code=1)


def test_helper_of_another_registry_is_not_asked(cli, guarded, private, helper):
    configure(cli, credHelpers={"elsewhere.test": "tests"})
    assert login(cli, guarded).code == 0
    cli.ok("pull", private)
    assert not (helper / "asked").exists()


def test_helper_that_keeps_nothing_for_a_registry(cli, registry, helper, box_reference):
    """The pull goes on as nobody."""
    configure(cli, credsStore="tests")
    cli.ok("pull", box_reference)
    assert (helper / "asked").read_text() == "get\n"


def test_identity_token_of_a_helper(corten, helper, tmp_path):
    """Kept under the user's name <token>, it goes to the daemon as a token and not as a password."""
    (helper / "kept").write_text(json.dumps({"ServerURL": "registry.test", "Username": "<token>", "Secret": "opaque"}))
    configure(corten, credsStore="tests")
    with Listener(tmp_path / "daemon.sock") as daemon:
        corten.run("-H", f"unix://{daemon.server_address}", "pull", "registry.test/x:1")
    header = daemon.asked["/images/create"]["X-Registry-Auth"]
    assert json.loads(base64.urlsafe_b64decode(header)) == {"serveraddress": "registry.test", "identitytoken": "opaque"}


def test_helper_that_fails(corten, guarded, private, helper, box_reference):
    """A login says so and keeps nothing; a pull warns, and goes on as nobody."""
    configure(corten, credsStore="locked")
    refused = login(corten, guarded)
    assert refused.code == 1 and "docker-credential-locked" in refused.err and "the keychain is locked" in refused.err
    assert "auths" not in configured(corten)
    done = corten.run("pull", box_reference)
    assert done.code == 0 and "the keychain is locked" in done.err
    corten.fails("logout", guarded.address, code=1, says="the keychain is locked")


@pytest.mark.parametrize("name, says", [
    ("nosuch", "docker-credential-nosuch is not in the PATH"), ("../tests", "a path, not a name"), (1, "wanted a string")])
def test_helper_that_is_not_there(corten, guarded, helper, name, says):
    configure(corten, credsStore=name)
    refused = login(corten, guarded)
    assert refused.code == 1 and says in refused.err
