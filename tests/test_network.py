"""Networking as it is seen from the container, from the host and from another machine."""
import json
import re
import resource
import socket
import subprocess
import threading

import pytest
from support.engines import BOX, free_port
from support.outside import Outside
from support.wait import eventually

SERVE = "while :; do echo hello from $HOSTNAME | nc -l -p 80; done"


def ask(address, port, timeout=3) -> str:
    with socket.create_connection((address, port), timeout=timeout) as s:
        s.settimeout(timeout)
        return s.recv(100).decode()


def asked(address, port):
    """`ask`, where a refusal means "not yet"."""
    try:
        return ask(address, port)
    except OSError as error:
        raise AssertionError(error)


@pytest.fixture
def outside():
    other = Outside()
    yield other
    other.close()


def address_of(cli, name):
    return cli.inspect(name, "NetworkSettings.Networks.bridge.IPAddress")


def test_inside_of_the_bridge_network(cli, engine):
    cli.ok("run", "-d", "--name", "in", BOX, "sleep", "600")
    found = cli.inspect("in", "NetworkSettings.Networks.bridge")
    prefix = engine.bip.split("/")[1]
    assert found["Gateway"] == engine.gateway and str(found["IPPrefixLen"]) == prefix
    out = cli.ok("exec", "in", "ip", "addr", "show", "eth0")
    assert f"inet {found['IPAddress']}/{prefix}" in out and found["MacAddress"] in out and "UP" in out
    assert f"default via {engine.gateway} dev eth0" in cli.ok("exec", "in", "ip", "route")
    assert "127.0.0.1/8" in cli.ok("exec", "in", "ip", "addr", "show", "lo")
    hosts = cli.ok("exec", "in", "cat", "/etc/hosts").splitlines()
    assert "127.0.0.1\tlocalhost" in hosts and f"{found['IPAddress']}\t{cli.inspect('in', 'Config.Hostname')}" in hosts


def test_outside_of_the_bridge_network(cli, engine):
    """The container's end has a peer on the host, and the peer hangs on the bridge."""
    cli.ok("run", "-d", "--name", "veth", BOX, "sleep", "600")
    index = cli.ok("exec", "veth", "cat", "/sys/class/net/eth0/iflink")
    links = subprocess.run(["ip", "-o", "link", "show", "master", engine.bridge], stdout=subprocess.PIPE, text=True).stdout
    assert re.search(rf"^{index}: ", links, re.M), f"{index} is not on {engine.bridge}:\n{links}"


def test_containers_reach_each_other_and_the_host(cli, engine):
    cli.ok("run", "-d", "--name", "server", BOX, "sh", "-c", SERVE)
    at = address_of(cli, "server")
    assert cli.ok("run", "--rm", BOX, "ping", "-c", "1", "-W", "2", at)
    eventually(lambda: "hello" in cli.run("run", "--rm", BOX, "sh", "-c", f"nc -w 2 {at} 80 < /dev/null").out, "the server's greeting")
    with socket.create_server((engine.gateway, 0)) as listener:
        threading.Thread(target=lambda: listener.accept()[0].sendall(b"from the host\n"), daemon=True).start()
        port = listener.getsockname()[1]
        assert cli.ok("run", "--rm", BOX, "sh", "-c", f"nc -w 2 {engine.gateway} {port} < /dev/null") == "from the host"
    assert "hello" in eventually(lambda: asked(at, 80), "the greeting from the host's side")


def test_addresses_are_unique_and_given_back(cli):
    for round in range(2):
        for n in range(4):
            cli.ok("run", "-d", "--name", f"n{n}", BOX, "sleep", "600")
        addresses = {address_of(cli, f"n{n}") for n in range(4)}
        assert len(addresses) == 4
        cli.ok("rm", "-f", "n0", "n1", "n2", "n3")


def test_nat_to_the_world(cli, outside):
    """The other machine has no route to the container's network: only a translated address gets an answer."""
    assert cli.ok("run", "--rm", BOX, "ping", "-c", "1", "-W", "3", outside.address)
    with outside.server(b"far away\n") as port:
        assert cli.ok("run", "--rm", BOX, "sh", "-c", f"nc -w 3 {outside.address} {port} < /dev/null") == "far away"
    assert outside.peers == [outside.host_address]


def test_published_port_from_everywhere(cli, engine, outside):
    port = free_port()
    cli.ok("run", "-d", "--name", "pub", "-p", f"{port}:80", BOX, "sh", "-c", SERVE)
    for where in ("127.0.0.1", engine.gateway, outside.host_address):
        assert "hello" in eventually(lambda: asked(where, port), f"an answer on {where}")
    assert "hello" in eventually(lambda: outside.ask(outside.host_address, port), "an answer to another machine")
    inside = f"nc -w 3 {engine.gateway} {port} < /dev/null"
    eventually(lambda: "hello" in cli.run("run", "--rm", BOX, "sh", "-c", inside).out, "an answer to another container")
    eventually(lambda: "hello" in cli.run("exec", "pub", "sh", "-c", inside).out, "an answer to itself")
    cli.ok("rm", "-f", "pub")
    with pytest.raises(OSError):
        ask("127.0.0.1", port, 1)


def test_published_on_one_address_only(cli, outside):
    cli.ok("run", "-d", "--name", "local", "-p", "127.0.0.1::80", BOX, "sh", "-c", SERVE)
    port = int(cli.ok("port", "local", "80").rpartition(":")[2])
    assert "hello" in eventually(lambda: asked("127.0.0.1", port), "an answer on loopback")
    with pytest.raises(OSError):
        ask(outside.host_address, port, 1)
    assert outside.ask(outside.host_address, port) == ""


UDP_ECHO = """use IO::Socket::INET; my $s = IO::Socket::INET->new(LocalPort => 53, Proto => "udp") or die $!;
while (1) { $s->recv(my $data, 100); $s->send("pong $data"); }"""


def test_published_udp(cli, outside, debian):
    """A datagram to the published port arrives inside, and the answer comes back from where it was sent to."""
    cli.ok("run", "-d", "--name", "udp", "-p", "53535:53/udp", debian, "perl", "-e", UDP_ECHO)

    def answered():
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.settimeout(1)
            s.connect((outside.host_address, 53535))
            try:
                s.send(b"ping\n")
                return s.recv(100) == b"pong ping\n"
            except OSError as error:
                raise AssertionError(error)
    eventually(answered, "the answer")


def test_port_ranges_and_several_ports(cli):
    base = free_port()
    cli.ok("run", "-d", "--name", "range", "-p", f"127.0.0.1:{base}-{base + 2}:80-82", BOX, "sleep", "600")
    assert {line.split(" -> ")[0]: line.rpartition(":")[2] for line in cli.ok("port", "range").splitlines()} == {
        "80/tcp": str(base), "81/tcp": str(base + 1), "82/tcp": str(base + 2)}


@pytest.mark.parametrize("published", ["x:80", "80:x", "99999:80", "1:2:3:4", "80/nosuch", "127.0.0.999:1:80"])
def test_bad_ports(cli, published):
    cli.fails("run", "--rm", "-p", published, BOX, "true", says="(?i)invalid|not.*valid|out of range")


def test_network_list_and_inspect(cli, engine):
    names = {line.split("|")[0]: line for line in cli.ok("network", "ls", "--format", "{{.Name}}|{{.Driver}}|{{.Scope}}").splitlines()}
    assert names["bridge"] == "bridge|bridge|local" and names["host"] == "host|host|local" and names["none"] == "none|null|local"
    cli.ok("run", "-d", "--name", "member", BOX, "sleep", "600")
    found = cli.json("network", "inspect", "bridge")[0]
    assert found["IPAM"]["Config"][0]["Gateway"] == engine.gateway
    assert [m["Name"] for m in found["Containers"].values()] == ["member"]
    assert cli.ok("network", "inspect", "-f", "{{.Driver}}", "host") == "host"
    cli.fails("network", "inspect", "nosuch", code=1, says="(?i)network nosuch not found")
    cli.fails("network", "rm", "bridge", code=1, says="(?i)pre-defined network")


def test_host_name_resolution_file(cli):
    found = cli.ok("run", "--rm", BOX, "cat", "/etc/resolv.conf")
    assert re.search(r"(?m)^nameserver \d", found) and not re.search(r"(?m)^nameserver 127\.", found)


# --- large ranges --------------------------------------------------------------------------------

def translated(daemon) -> int:
    """How many ports the table of this daemon leads to containers."""
    done = subprocess.run(["nft", "-j", "list", "table", "ip", f"corten_{daemon.bridge}"], stdout=subprocess.PIPE, text=True, check=True)
    return sum(len(entry["map"].get("elem", [])) for entry in json.loads(done.stdout)["nftables"] if "map" in entry)


@pytest.mark.corten_only
def test_thousands_of_ports(daemon):
    """They are published, survive the daemon's end and its rules, and go with the container."""
    if resource.getrlimit(resource.RLIMIT_NOFILE)[1] < 12000:
        pytest.skip("a daemon here may not hold that many ports")
    docker = daemon.client("docker")
    docker.ok("run", "-d", "--name", "wide", "-p", "127.0.0.1:20000-24999:20000-24999", BOX, "sh", "-c",
              "while :; do echo last | nc -l -p 24999; done", timeout=120)
    docker.ok("run", "-d", "--name", "wider", "-p", "20000-24999:20000-24999/udp", BOX, "sleep", "600", timeout=120)
    eventually(lambda: asked("127.0.0.1", 24999) == "last\n", "the last port")
    assert translated(daemon) == 10000
    daemon.restart()
    assert translated(daemon) == 10000
    eventually(lambda: asked("127.0.0.1", 24999) == "last\n", "the last port after the daemon's restart")
    docker.ok("rm", "-f", "wide", "wider", timeout=60)
    assert translated(daemon) == 0
