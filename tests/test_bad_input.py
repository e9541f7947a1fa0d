"""Whatever comes in: a clear error with the right status, a daemon that lives, and nothing left behind."""
import concurrent.futures
import json
import os
import re
import shutil
import socket
import subprocess
import time

import pytest
from support import cgroups, engines, http, paths
from support.engines import BOX
from support.wait import eventually


@pytest.fixture(autouse=True)
def survives(engine):
    """After each of these the daemon answers, is the same process, and has files of no container that it does not list."""
    before = engine.process.pid if engine.is_corten else None
    yield
    assert engine.api.alive(), "the daemon is gone"
    if not engine.is_corten:
        return
    assert engine.process.poll() is None and engine.process.pid == before

    def only_what_is_listed():
        listed = {c["Id"] for c in engine.containers()}
        assert {folder.name for folder in (engine.data / "containers").iterdir()} == listed
        assert {folder.name for folder in (engine.run / "containers").iterdir()} <= listed
        return True
    eventually(only_what_is_listed, "files of listed containers alone")


def create(engine, body=None, name="", **more):
    return engine.api.post(f"/containers/create{'?name=' + name if name else ''}", {"Image": BOX, "Cmd": ["true"]} if body is None else body, **more)


# --- the request itself --------------------------------------------------------------------------

@pytest.mark.parametrize("body", [b"{", b"[]", b'"text"', b"nul", b'{"Image":', b'{"Image": 5}', b'{"Cmd": {"a": 1}}', b'{"HostConfig": {"Memory": "lots"}}',
                                  b"\xff\xfe", b'{"Image": "x"} trailing', b"[" * 100000, b'{"a":' * 50000, b'{"Image": "\\ud800"}'])
def test_malformed_json(engine, body):
    answer = create(engine, body, headers={"Content-Type": "application/json"})
    assert answer.status in (400, 404), answer
    assert answer.message


@pytest.mark.parametrize("body", [b"", b"null", b"{}"])
def test_empty_body(engine, body):
    answer = create(engine, body, headers={"Content-Type": "application/json"})
    assert answer.status == 400 and re.search("config cannot be empty|EOF|no command specified", answer.message), answer


@pytest.mark.parametrize("kind", ["text/plain", "application/xml", "", "application/jsonx"])
def test_wrong_content_type(engine, kind):
    answer = create(engine, json.dumps({"Image": BOX}).encode(), headers={"Content-Type": kind})
    assert answer.status == 400, answer
    assert kind == "" or "unsupported Content-Type header" in answer.message


def test_content_type_with_parameters(engine):
    answer = create(engine, json.dumps({"Image": BOX}).encode(), headers={"Content-Type": "application/json; charset=utf-8"})
    assert answer.status == 201


def test_unknown_fields_are_ignored(engine):
    answer = create(engine, {"Image": BOX, "NoSuchField": {"deep": [1, 2]}, "HostConfig": {"AlsoNot": True}})
    assert answer.status == 201 and set(answer.json()) == {"Id", "Warnings"} and answer.json()["Warnings"] == []


@pytest.mark.parametrize("version, status, says", [
    ("1.99", 400, "client version 1.99 is too new. Maximum supported API version is 1."),
    ("1.1", 400, "client version 1.1 is too old. Minimum supported API version is 1."),
])
def test_unknown_api_version(engine, version, status, says):
    answer = engine.api.get(f"/v{version}/info")
    assert answer.status == status and says in answer.body.decode()


@pytest.mark.parametrize("method, path", [
    ("GET", "/nosuch"), ("GET", "/"), ("POST", "/v1.41/containers/nosuch/path/here"), ("DELETE", "/info"), ("PUT", "/containers/json"),
    ("GET", "/containers/create"), ("BREW", "/info"), ("GET", "/vX/info"), ("GET", "//info/..")])
def test_unknown_path_or_method(engine, method, path):
    answer = engine.api.request(method, path)
    assert answer.status in (301, 404), answer
    if answer.status == 404:
        assert answer.message == "page not found"


def test_path_is_not_a_file_path(engine):
    for path in ("/containers/..%2f..%2fetc/json", "/images/..%2f..%2fetc%2fpasswd/json", "/volumes/..%2f..%2fetc", "/networks/..%2f..",
                 "/containers/%00/json", "/containers/a%00b/json", "/exec/..%2f../json"):
        answer = engine.api.get(path)
        assert answer.status in (301, 400, 404), (path, answer)
        assert b"root:" not in answer.body


@pytest.mark.parametrize("raw", [
    b"nonsense\r\n\r\n", b"GET\r\n\r\n", b"GET /info\r\n\r\n", b"GET /info HTTP/9.9\r\nHost: d\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"GET /info HTTP/1.1\r\nHost: d\r\nContent-Length: -5\r\n\r\n", b"GET /info HTTP/1.1\r\nHost: d\r\nContent-Length: 99999999999999999999\r\n\r\n",
    b"POST /containers/create HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: chunked\r\nContent-Type: application/json\r\n\r\nZZZ\r\n{}\r\n",
    b"POST /containers/create HTTP/1.1\r\nHost: d\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\nContent-Type: application/json\r\n\r\n0\r\n\r\n",
    b"GET /info HTTP/1.1\r\nHost: d\r\n" + b"X-A: " + b"a" * 2000000 + b"\r\n\r\n", b"GET /" + b"a" * 2000000 + b" HTTP/1.1\r\nHost: d\r\n\r\n",
    b"GET /info HTTP/1.1\r\n" + b"".join(b"X-%d: 1\r\n" % i for i in range(20000)) + b"\r\n"],
    ids=["nonsense", "no path", "no version", "version 9.9", "TLS", "negative length", "huge length", "bad chunk", "two lengths", "huge header", "huge path", "many headers"])
def test_malformed_http(engine, raw):
    answer = engine.api.raw(raw, timeout=10)
    if engine.is_corten:
        assert answer.startswith(b"HTTP/1.1 431 " if len(raw) > 100000 else b"HTTP/1.1 400 "), answer[:200]
    assert answer == b"" or re.match(rb"HTTP/1\.[01] (400|404|413|414|431|501|505) ", answer), answer[:200]


@pytest.mark.corten_only
def test_a_body_that_is_longer_than_anything(engine):
    """A JSON body of 200 MB is cut off, not swallowed."""
    with engine.api.socket(timeout=20) as s:
        s.sendall(b"POST /containers/create HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\nContent-Length: 200000000\r\n\r\n{\"Image\": \"")
        sent = 0
        try:
            while sent < 200_000_000:
                s.sendall(b"a" * 1_000_000)
                sent += 1_000_000
            answer = http.read_all(s)
            assert re.match(rb"HTTP/1.1 (400|404|413)", answer), answer[:200]
        except (BrokenPipeError, ConnectionResetError):
            pass


def test_a_body_that_never_comes(engine):
    """A slow client holds its own connection and nobody else's."""
    with engine.api.socket() as s:
        s.sendall(b"POST /containers/create HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{")
        begun = time.monotonic()
        assert engine.api.get("/info").status == 200 and time.monotonic() - begun < 5
    answer = engine.api.raw(b"POST /containers/create HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{\"Image\":", timeout=10)
    assert b"400" in answer.split(b"\r\n")[0] or not engine.is_corten and answer == b"", answer[:200]


# --- what is asked for ---------------------------------------------------------------------------

def test_missing_image_is_404(engine):
    answer = create(engine, {"Image": "nosuch:1"})
    assert answer.status == 404 and answer.message == "No such image: nosuch:1"


@pytest.mark.parametrize("image", ["", "UPPER", "a b", "../x", "x:" + "t" * 200, "x@sha256:zz", "/x", "x/", "\n", "a" * 64])
def test_bad_image_names(engine, image):
    answer = create(engine, {"Image": image})
    assert answer.status in (400, 404), answer
    assert answer.message


@pytest.mark.parametrize("name", ["-x", "a/b", "..", "../../x", "%2e%2e", "a%20b", "a%0ab", "x" * 5000, "%F0%9F%90%B3", "."])
def test_bad_container_names(engine, name):
    answer = create(engine, name=name)
    assert answer.status == 400 or (answer.status == 201 and name == "x" * 5000 and not engine.is_corten), answer
    assert answer.status == 201 or "nvalid container name" in answer.message


def test_name_taken_is_409(engine):
    number = create(engine, name="taken").json()["Id"]
    answer = create(engine, name="taken")
    assert answer.status == 409
    assert answer.message == (f'Conflict. The container name "/taken" is already in use by container "{number}". '
                              "You have to remove (or rename) that container to be able to reuse that name.")


@pytest.mark.parametrize("config, says", [
    ({"HostConfig": {"Memory": 1000}}, "(?i)minimum memory limit allowed is 6MB"),
    ({"HostConfig": {"Memory": 64 << 20, "MemorySwap": 1 << 20}}, "(?i)minimum memoryswap limit|swap.*larger|memoryswap"),
    ({"HostConfig": {"NanoCpus": 10**15}}, "(?i)range of cpus"),
    ({"HostConfig": {"NanoCpus": 10**9, "CpuQuota": 50000}}, "(?i)conflicting options: nano cpus|cpu quota"),
    ({"HostConfig": {"CpuPeriod": 10}}, "(?i)cpu cfs period"),
    ({"HostConfig": {"CpusetCpus": "999"}}, "(?i)requested cpus are not available"),
    ({"HostConfig": {"CpusetCpus": "a-b"}}, "(?i)invalid value.*cpuset"),
    ({"HostConfig": {"BlkioWeight": 5}}, "(?i)range of blkio weight"),
    ({"HostConfig": {"RestartPolicy": {"Name": "sometimes"}}}, "(?i)restart policy|unknown policy"),
    ({"HostConfig": {"RestartPolicy": {"Name": "always"}, "AutoRemove": True}}, "(?i)can't create 'AutoRemove'|conflict"),
    ({"HostConfig": {"CapAdd": ["NOSUCH"]}}, "(?i)capability|cap_add|NOSUCH"),
    ({"HostConfig": {"Binds": ["relative:also/relative"]}}, "(?i)invalid|absolute"),
    ({"HostConfig": {"Binds": ["/a:/b:nosuchmode"]}}, "(?i)invalid mode|invalid"),
    ({"HostConfig": {"Binds": ["../x:/b"]}}, "(?i)invalid|only .* are allowed"),
    ({"HostConfig": {"Binds": ["a/b:/b"]}}, "(?i)invalid|only .* are allowed"),
    ({"HostConfig": {"Binds": ["/tmp:/"]}}, "(?i)invalid|destination"),
    ({"HostConfig": {"Mounts": [{"Type": "nosuch", "Target": "/x"}]}}, "(?i)nosuch|mount type|invalid"),
    ({"HostConfig": {"Mounts": [{"Type": "bind", "Source": "/no/such/dir", "Target": "/x"}]}}, "(?i)source path does not exist.*|/no/such/dir"),
    ({"HostConfig": {"ShmSize": -1}}, "(?i)shm"),
    ({"HostConfig": {"OomScoreAdj": 5000}}, "(?i)oom"),
    ({"HostConfig": {"IpcMode": "container:"}}, "(?i)ipc|container"),
    ({"HostConfig": {"PidMode": "nosuch"}}, "(?i)pid"),
    ({"HostConfig": {"PortBindings": {"x/tcp": [{"HostPort": "1"}]}}}, "(?i)port"),
    ({"HostConfig": {"PortBindings": {"80/tcp": [{"HostPort": "99999"}]}}}, "(?i)port|invalid"),
    ({"HostConfig": {"PortBindings": {"80/nosuch": [{"HostPort": "1"}]}}}, "(?i)proto"),
    ({"Healthcheck": {"Test": ["CMD", "true"], "Interval": 1}}, "(?i)interval"),
    ({"Healthcheck": {"Test": ["NOSUCH"]}}, "(?i)health"),
    ({"StopSignal": "SIGNOSUCH"}, "(?i)signal"),
    ({"WorkingDir": "relative"}, "(?i)working directory|absolute"),
    ({"Hostname": "x" * 300}, "(?i)hostname|invalid"),
], ids=lambda value: json.dumps(value)[:60] if isinstance(value, dict) else "")
def test_bad_settings(engine, config, says):
    """Refused at create, as the asker's mistake, with the setting's name. Docker leaves some to the start, and with other statuses."""
    answer = create(engine, {"Image": BOX, "Cmd": ["true"], **config})
    if engine.is_corten:
        assert answer.status == 400, answer
    if answer.status == 201:
        number = answer.json()["Id"]
        answer = engine.api.post(f"/containers/{number}/start")
        if answer.status == 204:
            pytest.skip("the peer takes this")
        assert answer.status in (400, 404, 409, 500), answer
        assert engine.api.get(f"/containers/{number}/json").json()["State"]["Running"] is False
    assert answer.status in (400, 404, 409, 500) and re.search(says, answer.message), answer


def test_unknown_user_fails_at_start(engine):
    number = create(engine, {"Image": BOX, "Cmd": ["true"], "User": "nosuch"}).json()["Id"]
    answer = engine.api.post(f"/containers/{number}/start")
    assert answer.status in (400, 500) and "unable to find user nosuch: no matching entries in passwd file" in answer.message


@pytest.mark.parametrize("command, says", [(["nosuch"], "executable file not found"), (["/nosuch"], "no such file or directory"), (["/etc/passwd"], "permission denied")])
def test_start_of_what_cannot_run(engine, command, says):
    number = create(engine, {"Image": BOX, "Cmd": command}).json()["Id"]
    answer = engine.api.post(f"/containers/{number}/start")
    assert answer.status == 400 and says in answer.message
    state = engine.api.get(f"/containers/{number}/json").json()["State"]
    assert state["Status"] == "created" and state["ExitCode"] in (126, 127) and says in state["Error"]


def test_no_command(engine):
    answer = create(engine, {"Image": BOX, "Entrypoint": [""], "Cmd": []})
    if answer.status == 201:
        answer = engine.api.post(f"/containers/{answer.json()['Id']}/start")
    assert answer.status == 400 and "no command specified" in answer.message.lower()


def test_things_that_are_not_there(engine):
    for method, path, says in [
        ("GET", "/containers/nosuch/json", "No such container: nosuch"), ("POST", "/containers/nosuch/start", "No such container: nosuch"),
        ("DELETE", "/containers/nosuch", "No such container: nosuch"), ("GET", "/containers/nosuch/logs?stdout=1", "No such container: nosuch"),
        ("POST", "/containers/nosuch/wait", "No such container: nosuch"), ("GET", "/images/nosuch/json", "No such image: nosuch:latest"),
        ("DELETE", "/images/nosuch", "No such image: nosuch:latest"), ("GET", "/networks/nosuch", "network nosuch not found"),
        ("GET", "/volumes/nosuch", "get nosuch: no such volume"), ("GET", "/exec/nosuch/json", "No such exec instance: nosuch"),
        ("POST", "/exec/nosuch/resize?h=1&w=1", "No such exec instance: nosuch"),
    ]:
        answer = engine.api.request(method, path)
        assert answer.status == 404 and says in answer.message, (method, path, answer)


def test_states_that_forbid(engine):
    number = create(engine, {"Image": BOX, "Cmd": ["sleep", "600"]}, name="st").json()["Id"]
    for verb in ("pause", "kill", "exec"):
        answer = engine.api.post(f"/containers/st/{verb}", {"Cmd": ["true"]} if verb == "exec" else None)
        assert answer.status == 409 and f"container {number} is not running" in answer.message.replace("Container", "container"), (verb, answer)
    assert engine.api.get("/containers/st/top").status == 409
    assert engine.api.post("/containers/st/stop").status == 304
    assert engine.api.post("/containers/st/start").status == 204
    assert engine.api.post("/containers/st/start").status == 304
    assert engine.api.post("/containers/st/unpause").status == 500
    answer = engine.api.delete("/containers/st")
    assert answer.status == 409 and "container is running: stop the container before removing or force remove" in answer.message


@pytest.mark.parametrize("query", ["filters={", "filters=[]x", 'filters={"nosuch":["x"]}', 'filters={"status":["nosuch"]}', "limit=abc"])
def test_bad_list_queries(engine, query):
    answer = engine.api.get("/containers/json?all=1&" + query.replace("{", "%7B").replace("}", "%7D").replace('"', "%22").replace("[", "%5B").replace("]", "%5D"))
    assert answer.status in ((400, 500) if "limit" in query else (400,)), answer
    assert answer.message


def test_body_of_start(engine):
    create(engine, name="bodied")
    assert engine.api.post("/containers/bodied/start", b"{}", headers={"Content-Type": "application/json"}).status == 204
    answer = engine.api.post("/containers/bodied/start", {"Binds": ["/:/host"]})
    assert answer.status == 400 and answer.message


@pytest.mark.parametrize("archive", [b"", b"not a tar", b"\0" * 100, b"x" * 100000], ids=["empty", "text", "short", "long"])
def test_put_archive_of_rubbish(engine, archive):
    create(engine, name="arch")
    answer = engine.api.request("PUT", "/containers/arch/archive?path=/", archive, {"Content-Type": "application/x-tar"})
    assert answer.status in (200, 400, 500), answer
    assert engine.api.request("PUT", "/containers/arch/archive?path=/nosuch", archive, {"Content-Type": "application/x-tar"}).status in (404, 400)


def test_every_route_answers(engine):
    """What is not built says 501 and its name; nothing says 500 to an empty question."""
    for method, path in [("POST", "/build"), ("GET", "/swarm"), ("GET", "/services"), ("GET", "/nodes"), ("GET", "/plugins"),
                         ("POST", "/containers/prune"), ("GET", "/system/df"), ("GET", "/images/search?term="), ("GET", "/secrets"), ("POST", "/session"),
                         ("GET", "/distribution/busybox/json"), ("POST", "/images/load"), ("GET", "/images/get?names=nosuch"), ("GET", "/tasks")]:
        answer = engine.api.request(method, path, timeout=60)
        assert answer.status < 500 or answer.status in (501, 503) or not engine.is_corten, (method, path, answer)
        if answer.status in (501, 503):
            assert len(answer.message) > 10, (path, answer)


# --- the daemon's own settings -------------------------------------------------------------------

@pytest.mark.corten_only
@pytest.mark.parametrize("config, says", [
    ({"iptables": False}, '"iptables": false is not implemented'), ({"ip-masq": False}, '"ip-masq": false'), ({"ip-forward": False}, '"ip-forward": false'),
    ({"live-restore": False}, '"live-restore": false'), ({"experimental": True}, '"experimental": true'),
    ({"features": {"containerd-snapshotter": True}}, 'the feature "containerd-snapshotter"'), ({"max-concurrent-downloads": 0}, "wanted 1 to 64"),
    ({"log-driver": "journald"}, "log driver named 'journald'"), ({"log-opts": {"max-size": "lots"}}, "max-size"),
    ({"log-opts": {"nosuch": "1"}}, "unknown log opt 'nosuch'"), ({"default-ulimits": {"nosuch": {"Name": "nosuch", "Soft": 1, "Hard": 2}}}, "invalid ulimit type: nosuch"),
    ({"default-ulimits": {"nofile": {"Name": "nofile", "Soft": 2, "Hard": 1}}}, "soft limit 2 is above"), ({"nosuch": 1}, 'the key "nosuch" is not known'),
], ids=lambda value: json.dumps(value)[:60] if isinstance(value, dict) else "")
def test_settings_that_the_daemon_refuses(tmp_path, config, says):
    """At its start, by name, and before it has made anything."""
    file = tmp_path / "daemon.json"
    file.write_text(json.dumps(config))
    daemon = engines.Daemon("refused", extra=("--config-file", str(file)))
    try:
        done = subprocess.run(daemon.argv(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=30, env=daemon.environment)
        assert done.returncode == 1 and says in done.stdout, done
        assert not daemon.data.exists() and not os.path.exists(f"/sys/class/net/{daemon.bridge}")
    finally:
        shutil.rmtree(daemon.work)


@pytest.mark.corten_only
def test_settings_that_say_what_is_so(tmp_path):
    file = tmp_path / "daemon.json"
    file.write_text(json.dumps({"iptables": True, "ip-masq": True, "ip-forward": True, "live-restore": True, "experimental": False, "userland-proxy": False,
                                "features": {"buildkit": False}, "max-concurrent-downloads": 1}))
    subprocess.run([paths.BIN / "cortend", "--config-file", file, "--version"], check=True, stdout=subprocess.DEVNULL)


# --- crowds and ghosts ---------------------------------------------------------------------------

def test_two_hundred_clients_at_once(engine):
    create(engine, {"Image": BOX, "Cmd": ["sleep", "600"]}, name="crowd")
    engine.api.post("/containers/crowd/start")

    def one(n):
        path = ("/info", "/containers/json?all=1", "/containers/crowd/json", "/images/json", "/version")[n % 5]
        return engine.api.get(path, timeout=60).status
    with concurrent.futures.ThreadPoolExecutor(200) as pool:
        assert set(pool.map(one, range(400))) == {200}


def test_two_hundred_idle_connections(engine):
    sockets = [engine.api.socket() for _ in range(200)]
    try:
        for s in sockets:
            s.sendall(b"GET /_ping HT")
        assert engine.api.get("/info", timeout=20).status == 200
    finally:
        for s in sockets:
            s.close()


def test_many_creates_of_one_name(engine):
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        statuses = sorted(a.status for a in pool.map(lambda _: create(engine, name="race"), range(16)))
    assert statuses == [201] + [409] * 15


def test_many_starts_stops_and_removes_of_one_container(engine):
    create(engine, {"Image": BOX, "Cmd": ["sleep", "600"]}, name="tug")

    def pull(n):
        verb = ("start", "kill", "stop?t=0", "restart?t=0", "pause", "unpause")[n % 6]
        return engine.api.post(f"/containers/tug/{verb}", timeout=60).status
    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        statuses = set(pool.map(pull, range(36)))
    assert statuses <= {204, 304, 409, 500}, statuses
    engine.api.post("/containers/tug/unpause")
    assert engine.api.delete("/containers/tug?force=1", timeout=60).status == 204
    assert engine.api.get("/containers/tug/json").status == 404


def handles(engine) -> int:
    """How many descriptors the daemon has open; those of another's daemon cannot be counted."""
    return len(os.listdir(f"/proc/{engine.process.pid}/fd")) if engine.is_corten else 0


@pytest.mark.parametrize("request_line", [
    "POST /containers/ghost/attach?stream=1&stdout=1&stdin=1", "GET /containers/ghost/logs?stdout=1&follow=1", "GET /events",
    "GET /containers/ghost/stats", "POST /containers/ghost/wait", "GET /containers/ghost/export", "GET /containers/ghost/archive?path=/",
    f"GET /images/get?names={BOX}", "GET /system/df"])
def test_a_client_that_vanishes(engine, request_line):
    create(engine, {"Image": BOX, "OpenStdin": True, "Cmd": ["sh", "-c", "while :; do echo line; sleep 0.01; done"]}, name="ghost")
    engine.api.post("/containers/ghost/start")
    before = handles(engine)
    for _ in range(20):
        s = engine.api.socket()
        s.sendall(f"{request_line} HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n".encode())
        s.recv(100)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        s.close()
    assert engine.api.get("/containers/ghost/json").json()["State"]["Running"] is True
    # Each of the four network sandboxes that are made ready meanwhile has two.
    eventually(lambda: handles(engine) <= before + 8, "descriptors that do not pile up")


def test_the_daemon_does_not_grow_by_requests(engine):
    if not engine.is_corten:
        pytest.skip("only our own memory is ours to promise")
    from pathlib import Path

    def size():
        rollup = Path(f"/proc/{engine.process.pid}/smaps_rollup").read_text()
        return int(re.search(r"(?m)^Pss:\s+(\d+)", rollup)[1])
    for _ in range(200):
        create(engine, {"Image": "nosuch", "Labels": {"x": "y" * 50000}})
    first = size()
    for _ in range(600):
        create(engine, {"Image": "nosuch", "Labels": {"x": "y" * 50000}})
    assert size() < first + 4096, "600 refused requests of 50 kB each stayed in memory"


@pytest.mark.corten_only
@pytest.mark.parametrize("request_line", [
    "POST /containers/loud/attach?stream=1&stdout=1", "GET /containers/loud/logs?stdout=1&follow=1", "GET /events", "GET /containers/loud/stats",
    "GET /containers/loud/export"])
def test_a_reader_that_never_reads_costs_no_memory(engine, request_line):
    """20 clients ask for what has no end and read nothing of it: the daemon waits for them, or drops what they miss."""
    create(engine, {"Image": BOX, "Cmd": ["sh", "-c", "head -c 4000000 /dev/urandom > /big; while :; do seq 1 2000; done"],
                    "HostConfig": {"LogConfig": {"Type": "json-file", "Config": {"max-size": "1m"}}}}, name="loud")
    engine.api.post("/containers/loud/start")
    deaf = []

    def resident():
        return int(re.search(r"(?m)^VmRSS:\s+(\d+)", open(f"/proc/{engine.process.pid}/status").read())[1])
    try:
        engine.api.get("/containers/loud/logs?stdout=1&tail=10")
        before = resident()
        for _ in range(20):
            deaf.append(engine.api.socket())
            deaf[-1].sendall(f"{request_line} HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n".encode())
        for _ in range(30):  # events for those who wait for them, and time for the others to fill
            engine.api.post("/containers/loud/rename?name=louder")
            engine.api.post("/containers/louder/rename?name=loud")
            assert engine.api.get("/containers/json").status == 200
        grown = resident() - before
        assert grown < 20 * 1024, f"{grown} kB for 20 readers that do not read"
    finally:
        for s in deaf:
            s.close()


# Takes the hierarchy of the cpu controller out of a daemon's sight, as on a kernel that is built without it.
HIDE_QUOTA = r"""umount "$(awk '/ - cgroup / && $NF ~ /(^|,)cpu(,|$)/ {print $5}' /proc/self/mountinfo)" && exec "$@" """


@pytest.mark.corten_only
@pytest.mark.skipif(cgroups.is_v2(), reason="the v1 controllers are asked here")
def test_a_quota_where_the_kernel_has_none(box_reference):
    """Without CFS bandwidth a quota is an error that names what lacks; without a quota containers start."""
    daemon = engines.Daemon("noquota", prefix=("unshare", "-m", "--propagation", "private", "sh", "-c", HIDE_QUOTA, "sh"))
    daemon.start()
    try:
        engines.pull(daemon, box_reference, BOX)
        client = daemon.client("docker")
        client.fails("run", "--rm", "--cpu-quota", "50000", BOX, "true", code=125, says="CONFIG_C\\w+|cpu.cfs_quota_us")
        assert client.ok("run", "--rm", BOX, "echo", "without") == "without"
        assert "WARNING: No cpu cfs quota support" in (daemon.api.get("/info").json()["Warnings"] or [])
    finally:
        daemon.stop()
