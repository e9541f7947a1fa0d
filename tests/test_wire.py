"""What the docker command 28 says on the wire, request by request: API 1.50, also where that command is not installed.

The sequences are those of `docker run`, `exec`, `attach`, `cp`, `logs` and `stats`, each on the connections it uses.
"""
import http.client
import io
import json
import socket
import tarfile
import urllib.parse

import pytest
from support import http as wire
from support.engines import BOX
from support.wait import eventually

V = "/v1.50"
CREATE = json.loads("""{"Hostname":"","Domainname":"","User":"","AttachStdin":false,"AttachStdout":true,"AttachStderr":true,"Tty":false,"OpenStdin":false,
"StdinOnce":false,"Env":null,"Cmd":null,"Image":"","Volumes":{},"WorkingDir":"","Entrypoint":null,"OnBuild":null,"Labels":{},"HostConfig":{"Binds":null,
"ContainerIDFile":"","LogConfig":{"Type":"","Config":{}},"NetworkMode":"default","PortBindings":{},"RestartPolicy":{"Name":"no","MaximumRetryCount":0},
"AutoRemove":false,"VolumeDriver":"","VolumesFrom":null,"ConsoleSize":[40,120],"CapAdd":null,"CapDrop":null,"CgroupnsMode":"","Dns":[],"DnsOptions":[],
"DnsSearch":[],"ExtraHosts":null,"GroupAdd":null,"IpcMode":"","Cgroup":"","Links":null,"OomScoreAdj":0,"PidMode":"","Privileged":false,
"PublishAllPorts":false,"ReadonlyRootfs":false,"SecurityOpt":null,"UTSMode":"","UsernsMode":"","ShmSize":0,"Isolation":"","CpuShares":0,"Memory":0,
"NanoCpus":0,"CgroupParent":"","BlkioWeight":0,"BlkioWeightDevice":[],"BlkioDeviceReadBps":[],"BlkioDeviceWriteBps":[],"BlkioDeviceReadIOps":[],
"BlkioDeviceWriteIOps":[],"CpuPeriod":0,"CpuQuota":0,"CpuRealtimePeriod":0,"CpuRealtimeRuntime":0,"CpusetCpus":"","CpusetMems":"","Devices":[],
"DeviceCgroupRules":null,"DeviceRequests":null,"MemoryReservation":0,"MemorySwap":0,"MemorySwappiness":-1,"OomKillDisable":false,"PidsLimit":0,
"Ulimits":[],"CpuCount":0,"CpuPercent":0,"IOMaximumIOps":0,"IOMaximumBandwidth":0,"MaskedPaths":null,"ReadonlyPaths":null},
"NetworkingConfig":{"EndpointsConfig":{"default":{"IPAMConfig":null,"Links":null,"Aliases":null,"MacAddress":"","DriverOpts":null,"GwPriority":0,
"NetworkID":"","EndpointID":"","Gateway":"","IPAddress":"","IPPrefixLen":0,"IPv6Gateway":"","GlobalIPv6Address":"","GlobalIPv6PrefixLen":0,"DNSNames":null}}}}""")


class Connection(wire.UnixConnection):
    """Kept alive over several requests, as Go's client keeps its own."""

    def ask(self, method, path, body=None):
        headers = {"User-Agent": "Docker-Client/28.2.2 (linux)", "Host": "api.moby.localhost"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        self.request(method, path, json.dumps(body).encode() if body is not None else (b"" if method == "POST" else None), headers)
        return self.getresponse()

    def expect(self, status, method, path, body=None):
        reply = self.ask(method, path, body)
        text = reply.read()
        assert reply.status == status, (method, path, reply.status, text)
        return json.loads(text) if text and reply.headers["Content-Type"] == "application/json" else text


class Stream:
    """A connection that was taken over; what came with the headers is read first."""

    def __init__(self, engine, path, body=None):
        self.socket = engine.api.socket()
        data = json.dumps(body).encode() if body is not None else b""
        kind = "application/json" if body is not None else "text/plain"
        self.socket.sendall(f"POST {V}{path} HTTP/1.1\r\nHost: api.moby.localhost\r\nUser-Agent: Docker-Client/28.2.2 (linux)\r\n"
                            f"Content-Length: {len(data)}\r\nConnection: Upgrade\r\nContent-Type: {kind}\r\nUpgrade: tcp\r\n\r\n".encode() + data)
        head, _, self.early = wire.read_until(self.socket, b"\r\n\r\n").partition(b"\r\n\r\n")
        self.head = head.decode()
        assert self.head.startswith("HTTP/1.1 101 UPGRADED"), self.head

    def kind(self):
        return next(line.split(": ")[1] for line in self.head.splitlines() if line.startswith("Content-Type: "))

    def rest(self) -> bytes:
        with self.socket:
            return self.early + wire.read_all(self.socket)


@pytest.fixture
def connection(engine):
    made = Connection(engine.api.path)
    ping = made.ask("HEAD", "/_ping")
    ping.read()
    assert ping.status == 200 and ping.headers["Content-Length"] == "0" and ping.headers["Ostype"] == "linux"
    assert tuple(map(int, ping.headers["Api-Version"].split("."))) >= (1, 50)
    yield made
    made.close()


def created(connection, *command, name="", host=None, **config) -> str:
    body = {**CREATE, "Image": BOX, "Cmd": list(command), **config, "HostConfig": {**CREATE["HostConfig"], **(host or {})}}
    reply = connection.expect(201, "POST", f"{V}/containers/create" + (f"?name={name}" if name else ""), body)
    assert set(reply) == {"Id", "Warnings"} and reply["Warnings"] == []
    return reply["Id"]


def test_run_in_a_terminal(engine, connection):
    """`run -it --rm`: attach on a second connection, the wait's headers before the start, resize, and the end by both."""
    number = created(connection, "sh", "-c", "read line; stty size; echo got $line; exit 3", Tty=True, OpenStdin=True, StdinOnce=True,
                     AttachStdin=True, host={"AutoRemove": True})
    stream = Stream(engine, f"/containers/{number}/attach?stderr=1&stdin=1&stdout=1&stream=1")
    assert stream.kind() == "application/vnd.docker.raw-stream"
    wait = connection.ask("POST", f"{V}/containers/{number}/wait?condition=removed")
    assert wait.status == 200 and wait.headers["Transfer-Encoding"] == "chunked"
    third = Connection(engine.api.path)
    third.expect(204, "POST", f"{V}/containers/{number}/start")
    third.expect(200, "POST", f"{V}/containers/{number}/resize?h=33&w=99")
    stream.socket.sendall(b"hello\n")
    output = stream.rest()
    assert b"33 99\r\n" in output and output.endswith(b"got hello\r\n")
    assert json.loads(wait.read()) == {"StatusCode": 3}
    assert third.ask("GET", f"{V}/containers/{number}/json").status == 404
    third.close()


def test_run_without_input(engine, connection):
    """`run`: the client closes its half at once, and the output still comes, in frames."""
    number = created(connection, "sh", "-c", "echo out; sleep 0.2; echo err >&2; exit 4")
    stream = Stream(engine, f"/containers/{number}/attach?stderr=1&stdout=1&stream=1")
    assert stream.kind() == "application/vnd.docker.multiplexed-stream"
    stream.socket.shutdown(socket.SHUT_WR)
    wait = connection.ask("POST", f"{V}/containers/{number}/wait?condition=next-exit")
    third = Connection(engine.api.path)
    third.expect(204, "POST", f"{V}/containers/{number}/start")
    assert sorted(wire.frames(stream.rest())) == [(1, b"out\n"), (2, b"err\n")]
    assert json.loads(wait.read()) == {"StatusCode": 4}
    third.expect(204, "DELETE", f"{V}/containers/{number}")
    third.close()


def test_run_in_the_background(engine, connection):
    """`run -d`: the client drops its wait; that ends nothing."""
    number = created(connection, "sleep", "600")
    second = Connection(engine.api.path)
    waiting = second.ask("POST", f"{V}/containers/{number}/wait?condition=next-exit")
    assert waiting.status == 200
    connection.expect(204, "POST", f"{V}/containers/{number}/start")
    waiting.close()
    second.close()
    assert connection.expect(200, "GET", f"{V}/containers/{number}/json")["State"]["Running"] is True


def test_a_missing_image_is_pulled_and_asked_for_again(connection, registry, box_tar):
    from support import images
    name, _, tag = registry.push("wired", "1", images.image([box_tar, images.tar([images.text("wired", "x")])])).rpartition(":")
    body = {**CREATE, "Image": f"{name}:{tag}", "Cmd": ["true"]}
    assert connection.expect(404, "POST", f"{V}/containers/create", body)["message"] == f"No such image: {name}:{tag}"
    pulled = connection.ask("POST", f"{V}/images/create?fromImage={urllib.parse.quote(name, safe='')}&tag={tag}")
    assert pulled.status == 200
    lines = [json.loads(line) for line in pulled.read().splitlines()]
    assert lines[0]["status"] == "Pulling from wired" and lines[-1]["status"] == f"Status: Downloaded newer image for {name}:{tag}"
    connection.expect(201, "POST", f"{V}/containers/create", body)


@pytest.mark.parametrize("tty", [False, True])
def test_exec(engine, connection, tty):
    """The resize of a terminal may come before the process is there, and is no error."""
    number = created(connection, "sleep", "600")
    connection.expect(204, "POST", f"{V}/containers/{number}/start")
    connection.expect(200, "GET", f"{V}/containers/{number}/json")
    wish = {"User": "", "Privileged": False, "Tty": tty, "ConsoleSize": [40, 120] if tty else None, "AttachStdin": False, "AttachStderr": True,
            "AttachStdout": True, "DetachKeys": "", "Env": None, "WorkingDir": "", "Cmd": ["sh", "-c", "echo out; exit 5"]}
    made = connection.expect(201, "POST", f"{V}/containers/{number}/exec", wish)["Id"]
    stream = Stream(engine, f"/exec/{made}/start", {"Detach": False, "Tty": tty, "ConsoleSize": [40, 120] if tty else None})
    if tty:
        reply = connection.ask("POST", f"{V}/exec/{made}/resize?h=40&w=120")
        reply.read()
        assert reply.status == 200
        assert stream.rest() == b"out\r\n"
    else:
        stream.socket.shutdown(socket.SHUT_WR)
        assert list(wire.frames(stream.rest())) == [(1, b"out\n")]
    eventually(lambda: connection.expect(200, "GET", f"{V}/exec/{made}/json")["ExitCode"] == 5, "the exit code")


def test_exec_in_the_background(connection):
    number = created(connection, "sleep", "600")
    connection.expect(204, "POST", f"{V}/containers/{number}/start")
    made = connection.expect(201, "POST", f"{V}/containers/{number}/exec", {"Cmd": ["touch", "/done"], "Detach": True})["Id"]
    assert connection.expect(200, "POST", f"{V}/exec/{made}/start", {"Detach": True, "Tty": False}) == b""
    eventually(lambda: connection.ask("HEAD", f"{V}/containers/{number}/archive?path=%2Fdone").read() == b"", "an answer")
    eventually(lambda: connection.expect(200, "GET", f"{V}/exec/{made}/json")["Running"] is False, "its end")


def test_attach_again(engine, connection):
    """`attach`: wait, inspect, attach, inspect, and two resizes that make the program draw anew."""
    number = created(connection, "sh", Tty=True, OpenStdin=True)
    connection.expect(204, "POST", f"{V}/containers/{number}/start")
    second = Connection(engine.api.path)
    waiting = second.ask("POST", f"{V}/containers/{number}/wait")
    assert connection.expect(200, "GET", f"{V}/containers/{number}/json")["Config"]["Tty"] is True
    stream = Stream(engine, f"/containers/{number}/attach?stderr=1&stdin=1&stdout=1&stream=1")
    connection.expect(200, "GET", f"{V}/containers/{number}/json")
    for size in ("h=25&w=81", "h=24&w=80"):
        connection.expect(200, "POST", f"{V}/containers/{number}/resize?{size}")
    stream.socket.sendall(b"stty size; exit 6\n")
    assert b"24 80\r\n" in stream.rest()
    assert json.loads(waiting.read()) == {"StatusCode": 6}
    second.close()


def test_copying(engine, connection):
    """`cp`: HEAD for what is there, PUT of a chunked archive, GET of one; what is missing has docker's words."""
    number = created(connection, "true", name="copied")
    where = connection.ask("HEAD", f"{V}/containers/{number}/archive?path=%2Ftmp")
    assert where.status == 200 and where.headers["X-Docker-Container-Path-Stat"] and where.read() == b""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as made:
        entry = tarfile.TarInfo("file")
        entry.size = 3
        made.addfile(entry, io.BytesIO(b"abc"))
    second = http.client.HTTPConnection("localhost")
    second.sock = engine.api.socket()
    second.request("PUT", f"{V}/containers/{number}/archive?noOverwriteDirNonDir=true&path=%2Ftmp", iter([archive.getvalue()]),
                   {"Content-Type": "text/plain"}, encode_chunked=True)
    reply = second.getresponse()
    assert reply.status == 200 and reply.read() == b""
    second.close()
    got = connection.expect(200, "GET", f"{V}/containers/{number}/archive?path=%2Ftmp%2Ffile")
    with tarfile.open(fileobj=io.BytesIO(got)) as read:
        assert read.extractfile("file").read() == b"abc"
    missing = connection.expect(404, "GET", f"{V}/containers/copied/archive?path=%2Fnosuch")
    assert missing["message"] == "Could not find the file /nosuch in container copied"


def test_logs_and_stats(connection):
    number = created(connection, "sh", "-c", "echo one; echo two; echo three; echo four >&2; sleep 600")
    connection.expect(204, "POST", f"{V}/containers/{number}/start")

    def written():
        assert connection.expect(200, "GET", f"{V}/containers/{number}/json")["Config"]["Tty"] is False
        lines = connection.expect(200, "GET", f"{V}/containers/{number}/logs?stderr=1&stdout=1&tail=all")
        last = connection.expect(200, "GET", f"{V}/containers/{number}/logs?stdout=1&tail=2&timestamps=1")
        return sorted(wire.frames(lines)) == [(1, b"one\n"), (1, b"three\n"), (1, b"two\n"), (2, b"four\n")] and \
            [text.split()[1] for _, text in wire.frames(last)][-1:] == [b"three"]
    eventually(written, "all lines")
    stats = connection.expect(200, "GET", f"{V}/containers/{number}/stats?stream=0")
    assert stats["id"] == number and stats["cpu_stats"]["online_cpus"] >= 1 and stats["memory_stats"]["usage"] > 0


def test_lifecycle_statuses(connection):
    number = created(connection, "sleep", "600", name="alive")
    for status, request in ((204, "start"), (304, "start"), (204, "pause"), (204, "unpause"), (204, "restart?t=0"), (204, "kill?signal=KILL"), (304, "stop?t=0")):
        connection.expect(status, "POST", f"{V}/containers/{number}/{request}")
        if request.startswith("kill"):
            eventually(lambda: not connection.expect(200, "GET", f"{V}/containers/alive/json")["State"]["Running"], "the end")
    connection.expect(204, "POST", f"{V}/containers/{number}/rename?name=renamed")
    connection.expect(204, "DELETE", f"{V}/containers/renamed?v=1")
    assert connection.expect(404, "GET", f"{V}/containers/renamed/json")["message"] == "No such container: renamed"


def test_inspect_tries_every_kind(connection):
    """`inspect NAME` of nothing: each kind says 404, cleanly."""
    for path in ("/containers/nosuch/json", "/images/nosuch/json", "/networks/nosuch?verbose=false&scope=", "/volumes/nosuch", "/plugins/nosuch/json"):
        assert connection.expect(404, "GET", V + path)["message"]


def test_json_keys_are_told_without_their_case(connection):
    """Go's decoder does not look at it, and there are clients that rely on that."""
    body = {"image": BOX, "CMD": ["true"], "hostconfig": {"memory": 64 << 20, "restartPolicy": {"name": "on-failure", "MAXIMUMRETRYCOUNT": 2}},
            "labels": {"Case": "kept"}}
    number = connection.expect(201, "POST", f"{V}/containers/create", body)["Id"]
    found = connection.expect(200, "GET", f"{V}/containers/{number}/json")
    assert found["HostConfig"]["Memory"] == 64 << 20 and found["HostConfig"]["RestartPolicy"] == {"Name": "on-failure", "MaximumRetryCount": 2}
    assert found["Config"]["Cmd"] == ["true"] and found["Config"]["Labels"] == {"Case": "kept"}
    both = connection.expect(201, "POST", f"{V}/containers/create", {"Image": BOX, "image": "nosuch", "Cmd": ["true"]})["Id"]
    assert connection.expect(200, "GET", f"{V}/containers/{both}/json")["Config"]["Image"] == BOX


@pytest.mark.parametrize("version, warned, kept", [("1.43", False, "02:00:00:00:00:77"), ("1.50", True, "02:00:00:00:00:77")])
def test_the_mac_address_of_a_container_is_that_of_its_network(connection, version, warned, kept):
    body = {"Image": BOX, "Cmd": ["sleep", "600"], "MacAddress": kept}
    reply = connection.expect(201, "POST", f"/v{version}/containers/create", body)
    assert bool(reply["Warnings"]) is warned
    connection.expect(204, "POST", f"{V}/containers/{reply['Id']}/start")
    found = connection.expect(200, "GET", f"{V}/containers/{reply['Id']}/json")
    assert found["NetworkSettings"]["Networks"]["bridge"]["MacAddress"] == kept
    body["NetworkingConfig"] = {"EndpointsConfig": {"bridge": {"MacAddress": "02:00:00:00:00:78"}}}
    if warned:
        assert "must match" in connection.expect(400, "POST", f"/v{version}/containers/create", body)["message"]
    else:
        connection.expect(201, "POST", f"/v{version}/containers/create", body)
