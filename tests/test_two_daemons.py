"""Two daemons side by side on one host: the same names and ports inside, nothing in common outside."""
import os
import re
import shutil
import socket
import subprocess

import pytest
from support import engines
from support.engines import BOX
from support.wait import eventually

pytestmark = pytest.mark.corten_only


@pytest.fixture(scope="module")
def pair(box_reference):
    both = [engines.Daemon(name).start() for name in ("left", "right")]
    try:
        for each in both:
            engines.pull(each, box_reference, BOX)
        yield both
    finally:
        for each in both:
            each.stop()


@pytest.fixture
def clients(pair):
    yield [each.client("docker") for each in pair]
    for each in pair:
        each.clean({f"{BOX}:latest"} | {t for i in each.api.get("/images/json").json() for t in i["RepoTags"]})


def test_same_names_different_worlds(pair, clients):
    left, right = clients
    ids = [c.ok("run", "-d", "--name", "same", "-v", "shared:/v", BOX, "sh", "-c", f"echo {i} > /v/who; sleep 600") for i, c in enumerate(clients)]
    assert ids[0] != ids[1]
    for i, c in enumerate(clients):
        assert c.ok("ps", "-q", "--no-trunc") == ids[i]
        eventually(lambda: c.run("exec", "same", "cat", "/v/who").out == f"{i}\n", "the volume's owner")
        address = c.inspect("same", "NetworkSettings.Networks.bridge.IPAddress")
        assert address.split(".")[:2] == pair[i].gateway.split(".")[:2]
    left.ok("rm", "-f", "same")
    assert right.ok("exec", "same", "echo", "untouched") == "untouched"
    assert ids[1] in right.ok("ps", "-q", "--no-trunc")


def test_a_port_of_one_is_taken_for_the_other(clients):
    left, right = clients
    left.ok("run", "-d", "--name", "port", "-p", "127.0.0.1::80", BOX, "sh", "-c", "while :; do echo from-left | nc -l -p 80; done")
    port = int(left.ok("port", "port", "80").rpartition(":")[2])
    right.fails("run", "-d", "--name", "port", "-p", f"127.0.0.1:{port}:80", BOX, "sleep", "600", code=125)

    def answer():
        try:
            with socket.create_connection(("127.0.0.1", port), 2) as s:
                return s.recv(100) == b"from-left\n"
        except OSError:
            return False
    eventually(answer, "the left one's answer")


def test_the_end_of_one_leaves_the_other_alone(pair, clients):
    left, right = clients
    right.ok("run", "-d", "--name", "stays", "-p", "127.0.0.1::80", BOX, "sh", "-c", "while :; do echo right | nc -l -p 80; done")
    left.ok("run", "-d", "--name", "stays", BOX, "sleep", "600")
    port = int(right.ok("port", "stays", "80").rpartition(":")[2])
    pair[0].restart("terminate")
    pair[0].restart("kill")
    assert right.ok("exec", "stays", "echo", "here") == "here" and left.ok("exec", "stays", "echo", "too") == "too"

    def answer():
        try:
            with socket.create_connection(("127.0.0.1", port), 2) as s:
                return s.recv(100) == b"right\n"
        except OSError:
            return False
    eventually(answer, "the right one's published port")
    rules = subprocess.run(["nft", "list", "ruleset"], stdout=subprocess.PIPE, text=True).stdout
    assert pair[0].bridge in rules and pair[1].bridge in rules


@pytest.mark.parametrize("what", ["data", "socket", "pidfile"])
def test_a_third_on_the_same_place_is_refused(pair, what):
    """The second daemon on one data root, socket or pid file says so and leaves the first one alone."""
    first = pair[0]
    third = engines.Daemon("third")
    if what == "data":
        third.data = first.data
    elif what == "socket":
        third.socket, third.host = first.socket, first.host
    else:
        third.pidfile = first.pidfile
    try:
        third.start(wait=False)
        assert third.process.wait(20) != 0, "a second daemon started on the first one's place"
        assert re.search("(?i)in use|already|locked|running|another", third.logs()), third.logs()
        assert first.api.alive()
        assert int(first.pidfile.read_text()) == first.process.pid
    finally:
        third.terminate()
        third.remove_network()
        shutil.rmtree(third.work, ignore_errors=True)
    assert os.path.exists(first.socket)
