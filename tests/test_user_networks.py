"""Networks of one's own: containers find each other by name, join and leave while they run."""
import concurrent.futures
import json
import re
import socket
import subprocess
import sys
import time

import pytest
from support import names
from support.engines import BOX, free_port
from support.wait import eventually

pytestmark = pytest.mark.corten_only  # addresses, and the files of a daemon of ours

SERVE = "while :; do echo hello from $HOSTNAME | nc -l -p 80; done"


@pytest.fixture
def net(cli):
    cli.ok("network", "create", "net")
    return "net"


def sleeper(cli, name, *flags):
    return cli.ok("run", "-d", "--name", name, "--stop-timeout", "0", *flags, BOX, "sleep", "600")


def address_on(cli, container, network):
    return cli.inspect(container, f'NetworkSettings.Networks.{network}.IPAddress')


def answer_at(port):
    def once():
        try:
            with socket.create_connection(("127.0.0.1", port), 2) as s:
                s.settimeout(2)
                return s.recv(100).decode()
        except OSError:
            return ""
    return eventually(once, f"an answer at {port}")


def look_up(engine, container, name, kind="A", **more):
    return names.ask_in(engine.host_pid(container), name=name, kind=kind, **more)


def found(engine, container, name):
    reply = look_up(engine, container, name)
    assert reply["code"] == "NOERROR", reply
    return reply["answers"]


@pytest.fixture
def upstream(cli, engine):
    """A network whose gateway answers for the rest of the world, and the flags that make a container ask there."""
    cli.ok("network", "create", "served")
    gateway = json.loads(cli.ok("network", "inspect", "served"))[0]["IPAM"]["Config"][0]["Gateway"]
    server = names.Upstream(gateway, {"far.example": ["192.0.2.1"], "many.example": [f"198.51.100.{n}" for n in range(100)]})
    server.flags = ("--network", "served", "--dns", gateway)
    yield server
    server.close()


def test_containers_find_each_other_by_name(cli, engine, net):
    number = sleeper(cli, "one", "--network", net, "--network-alias", "first", "--network-alias", "Shared", "-h", "onehost")
    sleeper(cli, "two", "--network", net)
    here = address_on(cli, "one", net)
    for name in ("one", "first", "shared", "SHARED", number[:12], "onehost", "one.net", "first.net"):
        assert found(engine, "two", name) == [here], name
    assert found(engine, "one", "one") == [here]
    assert look_up(engine, "two", ".".join(reversed(here.split("."))) + ".in-addr.arpa", "PTR")["answers"] == ["one.net"]
    # There is such a name, but nothing of this kind: nobody else is asked.
    for kind in ("AAAA", "MX"):
        assert look_up(engine, "two", "one", kind) | {"id": 0} == {"id": 0, "code": "NOERROR", "truncated": False, "answers": []}
    assert look_up(engine, "two", "one", stream=True)["answers"] == [here]
    assert cli.ok("exec", "two", "ping", "-c1", "-W3", "first").count("1 packets received") == 1
    resolv = cli.ok("exec", "two", "cat", "/etc/resolv.conf")
    assert "nameserver 127.0.0.11" in resolv and "ndots:0" in resolv
    shown = cli.inspect("one", f"NetworkSettings.Networks.{net}")
    assert shown["DNSNames"] == ["one", "first", "Shared", number[:12], "onehost"] and shown["Aliases"] == ["first", "Shared"]


def test_containers_of_one_alias_are_all_found(cli, engine, net):
    for name in ("aa", "bb", "cc"):
        sleeper(cli, name, "--network", net, "--network-alias", "web")
    everyone = sorted(address_on(cli, name, net) for name in ("aa", "bb", "cc"))
    firsts = set()
    for _ in range(60):
        answers = found(engine, "aa", "web")
        assert sorted(answers) == everyone
        firsts.add(answers[0])
    assert sorted(firsts) == everyone, "the first of them is always the same"


def test_who_shares_no_network_is_not_found(cli, engine, upstream):
    cli.ok("network", "create", "other")
    sleeper(cli, "here", *upstream.flags)
    sleeper(cli, "there", "--network", "other")
    sleeper(cli, "plain")
    for name in ("there", "plain", "there.other"):
        assert look_up(engine, "here", name)["code"] == "NXDOMAIN", name
    address = ".".join(reversed(address_on(cli, "there", "other").split("."))) + ".in-addr.arpa"
    assert look_up(engine, "here", address, "PTR")["code"] == "NXDOMAIN"
    # The default bridge has no names, and no name server of ours.
    assert "127.0.0.11" not in cli.ok("exec", "plain", "cat", "/etc/resolv.conf")


def test_a_stopped_container_is_not_found(cli, engine, upstream):
    sleeper(cli, "asks", *upstream.flags)
    sleeper(cli, "goes", "--network", "served")
    assert found(engine, "asks", "goes")
    cli.ok("stop", "goes")
    assert look_up(engine, "asks", "goes")["code"] == "NXDOMAIN"
    cli.ok("start", "goes")
    assert found(engine, "asks", "goes") == [address_on(cli, "goes", "served")]


def test_a_renamed_container_is_found_by_its_new_name(cli, engine, upstream):
    sleeper(cli, "asks", *upstream.flags)
    sleeper(cli, "before", "--network", "served")
    cli.ok("rename", "before", "after")
    assert look_up(engine, "asks", "before")["code"] == "NXDOMAIN"
    assert found(engine, "asks", "after") == [address_on(cli, "after", "served")]


def test_other_names_are_asked_upstream(cli, engine, upstream):
    sleeper(cli, "asks", *upstream.flags)
    assert found(engine, "asks", "far.example") == ["192.0.2.1"]
    assert look_up(engine, "asks", "far.example", stream=True)["answers"] == ["192.0.2.1"]
    assert look_up(engine, "asks", "nowhere.example")["code"] == "NXDOMAIN"
    # What is too long for a datagram is asked again by a stream.
    assert look_up(engine, "asks", "many.example")["truncated"]
    assert len(look_up(engine, "asks", "many.example", stream=True)["answers"]) == 100
    # Asked from the container's own network, as the server was the user's choice.
    assert {client for _, _, client in upstream.asked} == {address_on(cli, "asks", "served")}
    assert "Address: 192.0.2.1" in cli.ok("exec", "asks", "nslookup", "far.example")


def test_a_server_that_fails_is_followed_by_the_next(cli, engine, upstream):
    gateway = upstream.flags[-1]
    failing = gateway.rsplit(".", 1)[0] + ".251"
    bridge = "br-" + json.loads(cli.ok("network", "inspect", "served"))[0]["Id"][:12]
    subprocess.run(["ip", "addr", "add", f"{failing}/32", "dev", bridge], check=True)
    bad = names.Upstream(failing, {}, failing=True)
    try:
        sleeper(cli, "asks", "--network", "served", "--dns", failing, "--dns", "127.0.0.9", "--dns", gateway)
        assert found(engine, "asks", "far.example") == ["192.0.2.1"]  # nobody listens at 127.0.0.9 of the container
        assert look_up(engine, "asks", "far.example", stream=True)["answers"] == ["192.0.2.1"]
        assert [name for name, _, _ in bad.asked] == ["far.example"] * 2
        sleeper(cli, "stuck", "--network", "served", "--dns", failing)
        assert look_up(engine, "stuck", "far.example")["code"] == "SERVFAIL"
    finally:
        bad.close()


def test_what_is_no_question_is_refused(cli, engine, net):
    sleeper(cli, "asks", "--network", net)
    pid = engine.host_pid("asks")
    good = names.question("asks")
    two = good[:4] + b"\0\2" + good[6:] + good[12:]
    for raw in (good[:-2], good + b"junk", two, good[:2] + b"\x29" + good[3:], good[:12] + b"\xc0\x0c\0\1\0\1"):
        assert names.ask_in(pid, raw=raw)["code"] == "FORMERR", raw
        assert names.ask_in(pid, raw=raw, stream=True)["code"] == "FORMERR", raw
    assert found(engine, "asks", "asks") == [address_on(cli, "asks", net)]


def test_a_container_may_have_a_name_server_of_its_own(cli, engine, net):
    """Port 53 is free in it: ours listens elsewhere, and is found all the same."""
    sleeper(cli, "one", "--network", net)
    sleeper(cli, "server", "--network", net)
    bind = ("import socket, sys\n"
            "held = [socket.socket(socket.AF_INET, kind) for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM)]\n"
            "[s.bind(('0.0.0.0', 53)) for s in held]\n"
            "print('bound', flush=True)\n"
            "sys.stdin.read()")
    own = subprocess.Popen(["nsenter", "-t", str(engine.host_pid("server")), "-n", sys.executable, "-c", bind], stdin=subprocess.PIPE,
                           stdout=subprocess.PIPE, text=True)
    with own:
        assert own.stdout.readline() == "bound\n"
        assert found(engine, "server", "one") == [address_on(cli, "one", net)]
        own.stdin.close()


def test_links_are_names_for_one_container_alone(cli, engine, upstream):
    sleeper(cli, "linked", "--network", "served")
    sleeper(cli, "links", *upstream.flags, "--link", "linked:db", "--link", "linked")
    sleeper(cli, "other", *upstream.flags)
    here = address_on(cli, "linked", "served")
    assert found(engine, "links", "db") == [here] and found(engine, "links", "linked") == [here]
    assert look_up(engine, "other", "db")["code"] == "NXDOMAIN"
    assert cli.inspect("links", "NetworkSettings.Networks.served.Links") == ["linked:db", "linked"]
    cli.fails("run", "-d", "--name", "shares", "--network", "container:links", "--link", "linked:x", BOX, "true", code=125, says="links")
    cli.fails("run", "-d", "--name", "plain", "--link", "linked:x", BOX, "true", code=125,
              says="links on network bridge are not implemented")
    cli.ok("network", "disconnect", "served", "links")
    cli.ok("network", "connect", "--link", "linked:again", "served", "links")
    assert found(engine, "links", "again") == [here]
    cli.fails("run", "-d", "--name", "no", "--network", "served", "--link", "nobody:x", BOX, "true", code=125, says="nobody")


def test_nothing_leaves_an_internal_network(cli, engine):
    cli.ok("network", "create", "--internal", "inner")
    sleeper(cli, "aa", "--network", "inner")
    sleeper(cli, "bb", "--network", "inner")
    assert found(engine, "aa", "bb") == [address_on(cli, "bb", "inner")]
    assert look_up(engine, "aa", "far.example")["code"] == "SERVFAIL"


def test_joining_and_leaving_while_it_runs(cli, engine, net):
    cli.ok("network", "create", "more")
    sleeper(cli, "peer", "--network", "more")
    port = free_port()
    cli.ok("run", "-d", "--name", "moves", "--stop-timeout", "0", "-p", f"127.0.0.1:{port}:80", "--network", net, BOX, "sh", "-c", SERVE)
    hosts = cli.ok("exec", "moves", "cat", "/etc/hosts")
    cli.ok("network", "connect", "--alias", "guest", "more", "moves")
    joined = address_on(cli, "moves", "more")
    assert joined in cli.ok("exec", "moves", "ip", "addr", "show", "eth1")
    assert cli.ok("exec", "moves", "cat", "/etc/hosts").rstrip("\n").splitlines()[-1].startswith(joined + "\t")
    assert found(engine, "peer", "guest") == [joined] and found(engine, "moves", "peer") == [address_on(cli, "peer", "more")]

    cli.ok("network", "disconnect", net, "moves")
    eventually(lambda: "eth0" not in cli.ok("exec", "moves", "ip", "link"), "the first interface gone")
    assert "dev eth1" in cli.ok("exec", "moves", "ip", "route", "show", "default")
    assert list(cli.inspect("moves", "NetworkSettings.Networks")) == ["more"]
    assert cli.inspect("moves", "HostConfig.NetworkMode") == net
    assert address_on(cli, "moves", "more") in cli.ok("exec", "moves", "cat", "/etc/hosts") != hosts
    # Its port is published on the network that is left.
    assert "hello from" in answer_at(port)

    cli.ok("network", "disconnect", "more", "moves")
    assert cli.inspect("moves", "NetworkSettings.Networks") == {}
    cli.ok("network", "connect", net, "moves")
    back = cli.ok("exec", "moves", "ip", "addr", "show", "eth0")
    assert address_on(cli, "moves", net) in back and "hello from" in answer_at(port)
    cli.ok("restart", "moves")
    assert list(cli.inspect("moves", "NetworkSettings.Networks")) == [net]


def test_a_container_of_the_default_bridge_gets_names_when_it_joins(cli, engine, net):
    sleeper(cli, "named", "--network", net)
    sleeper(cli, "joins")
    assert "127.0.0.11" not in cli.ok("exec", "joins", "cat", "/etc/resolv.conf")
    cli.ok("network", "connect", net, "joins")
    assert "nameserver 127.0.0.11" in cli.ok("exec", "joins", "cat", "/etc/resolv.conf")
    assert found(engine, "joins", "named") == [address_on(cli, "named", net)]


def test_a_changed_resolv_conf_stays(cli, engine, net):
    cli.ok("run", "-d", "--name", "own", "--stop-timeout", "0", BOX, "sh", "-c", "sleep 600")
    cli.ok("exec", "own", "sh", "-c", "echo nameserver 192.0.2.53 > /etc/resolv.conf")
    cli.ok("network", "connect", net, "own")
    assert cli.ok("exec", "own", "cat", "/etc/resolv.conf").strip() == "nameserver 192.0.2.53"
    cli.ok("restart", "own")
    assert cli.ok("exec", "own", "cat", "/etc/resolv.conf").strip() == "nameserver 192.0.2.53"


def test_networks_are_joined_before_the_start(cli, engine, net):
    """What compose does: out of the network of `create`, and in again with aliases."""
    cli.ok("network", "create", "more")
    cli.ok("create", "--name", "made", "--stop-timeout", "0", "--network", net, BOX, "sleep", "600")
    cli.ok("network", "disconnect", net, "made")
    assert cli.inspect("made", "NetworkSettings.Networks") == {}
    cli.ok("network", "connect", "--alias", "again", net, "made")
    cli.ok("network", "connect", "more", "made")
    cli.ok("start", "made")
    assert found(engine, "made", "again") == [address_on(cli, "made", net)]
    links = cli.ok("exec", "made", "ip", "-o", "link")
    assert re.findall(r"(eth\d)@", links) == ["eth0", "eth1"]
    sleeper(cli, "alone", "--network", net)
    cli.ok("stop", "alone")
    cli.ok("network", "disconnect", net, "alone")
    cli.ok("start", "alone")
    assert re.findall(r"^\d+: (\w+)", cli.ok("exec", "alone", "ip", "-o", "link"), re.M) == ["lo"]


def test_what_cannot_be_joined(cli, engine, net):
    cli.ok("network", "create", "more")
    sleeper(cli, "hosts", "--network", "host")
    sleeper(cli, "none", "--network", "none")
    sleeper(cli, "in", "--network", net)
    sleeper(cli, "shares", "--network", "container:in")
    connect = lambda network, container, **config: engine.api.post(  # noqa: E731
        f"/networks/{network}/connect", {"Container": container, "EndpointConfig": config})
    for container in ("hosts", "shares"):
        assert connect(net, container).status == 403, container
    assert "private (none) mode" in connect(net, "none").json()["message"]
    assert connect("host", "in").status == 403 and connect("none", "in").status == 403
    assert "already exists in network net" in connect(net, "in").json()["message"]
    assert connect("nowhere", "in").status == 404 and connect(net, "nobody").status == 404
    for config, name in (({"GwPriority": 5}, "gw-priority"), ({"DriverOpts": {"a.b": "c"}}, "a.b"),
                         ({"IPAMConfig": {"IPv6Address": "fd00::5"}}, "ip6")):
        reply = connect("more", "in", **config)
        assert reply.status == 501 and name in reply.json()["message"], reply
    assert connect("bridge", "in", Aliases=["x"]).status == 400
    assert list(cli.inspect("in", "NetworkSettings.Networks")) == [net]
    cli.ok("network", "disconnect", "none", "none")
    assert connect(net, "none").status == 200


def test_networks_that_are_not_made(cli, engine):
    def create(**body):
        return engine.api.post("/networks/create", body)

    for body, status in (({"Name": ""}, 400), ({"Name": "a/b"}, 400), ({"Name": "bridge"}, 403),
                         ({"Name": "x", "Driver": "overlay"}, 501), ({"Name": "x", "EnableIPv6": True}, 501),
                         ({"Name": "x", "EnableIPv4": False}, 501), ({"Name": "x", "Ingress": True}, 501),
                         ({"Name": "x", "Scope": "swarm"}, 501), ({"Name": "x", "ConfigOnly": True}, 501),
                         ({"Name": "x", "IPAM": {"Driver": "dhcp"}}, 501), ({"Name": "x", "IPAM": {"Options": {"a": "b"}}}, 501),
                         ({"Name": "x", "IPAM": {"Config": [{"Subnet": "10.249.1.0/24"}, {"Subnet": "10.249.2.0/24"}]}}, 501),
                         ({"Name": "x", "IPAM": {"Config": [{"Subnet": "10.249.1.0/24", "AuxiliaryAddresses": {"r": "10.249.1.9"}}]}}, 501),
                         ({"Name": "x", "IPAM": {"Config": [{"Subnet": "10.249.1.7/24"}]}}, 400),
                         ({"Name": "x", "IPAM": {"Config": [{"Subnet": "fd00::/64"}]}}, 400),
                         ({"Name": "x", "Options": {"com.docker.network.bridge.gateway_mode_ipv4": "routed"}}, 501)):
        reply = create(**body)
        assert reply.status == status and reply.json()["message"], (body, reply)
    assert {n["Name"] for n in engine.api.get("/networks").json()} == {"bridge", "host", "none"}


def test_prune_takes_what_the_filters_say(cli, engine):
    cli.ok("network", "create", "--label", "keep=yes", "kept")
    cli.ok("network", "create", "--label", "go", "gone")
    cli.ok("network", "create", "used")
    sleeper(cli, "user", "--network", "used")
    prune = lambda **filters: engine.api.post("/networks/prune?filters=" + json.dumps(filters).replace(" ", "")).json()  # noqa: E731
    assert prune(until=["24h"]) == {"NetworksDeleted": None}
    assert prune(label=["go=no"]) == {"NetworksDeleted": None}
    assert prune(**{"label!": ["keep=yes"]}) == {"NetworksDeleted": ["gone"]}
    assert {n["Name"] for n in engine.api.get("/networks").json()} == {"bridge", "host", "none", "kept", "used"}
    assert prune() == {"NetworksDeleted": ["kept"]}


def test_names_in_filters_are_expressions(cli):
    for name in ("alpha", "beta", "alphabet"):
        cli.ok("network", "create", name)
        cli.ok("volume", "create", name)
    for kind in ("network", "volume"):
        def named(expression):
            return sorted(cli.ok(kind, "ls", "-f", f"name={expression}", "--format", "{{.Name}}").split())
        assert named("^alpha$") == ["alpha"] and named("alpha") == ["alpha", "alphabet"] and named("bet") == ["alphabet", "beta"]
        assert named("^(beta|nosuch)$") == ["beta"] and named("[") == []


def test_many_networks_at_once_are_different(engine):
    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        replies = list(pool.map(lambda n: engine.api.post("/networks/create", {"Name": "shared" if n % 2 else f"own{n}"}, timeout=60), range(12)))
    assert sorted(r.status for r in replies) == [201] * 7 + [409] * 5
    subnets = [engine.api.get(f"/networks/{r.json()['Id']}").json()["IPAM"]["Config"][0]["Subnet"] for r in replies if r.status == 201]
    assert len(set(subnets)) == 7


def test_a_network_that_goes_while_a_container_starts(engine, docker):
    """It goes before, or it is in use: the daemon lives, and who started is on it."""
    for n in range(6):
        docker.ok("network", "create", "racy")
        docker.ok("create", "--name", "racer", "--network", "racy", "--stop-timeout", "0", BOX, "sleep", "600")
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            started = pool.submit(engine.api.post, "/containers/racer/start", timeout=60)
            time.sleep(n * 0.003)
            removed = pool.submit(engine.api.delete, "/networks/racy", timeout=60)
        assert (started.result().status, removed.result().status) in ((204, 403), (404, 204)), (started.result(), removed.result())
        docker.ok("rm", "-f", "racer")
        engine.api.delete("/networks/racy")


def test_a_daemon_that_dies_while_a_container_leaves(daemon):
    """Whatever was written by then: the container is on the network or not, and both sides say the same."""
    docker = daemon.client("docker")
    docker.ok("network", "create", "left")
    docker.ok("run", "-d", "--name", "leaver", "--stop-timeout", "0", BOX, "sleep", "600")
    for n in range(6):
        if "left" not in docker.inspect("leaver", "NetworkSettings.Networks"):
            docker.ok("network", "connect", "left", "leaver")
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            pool.submit(docker.run, "network", "disconnect", "left", "leaver")
            time.sleep(0.02 + n * 0.006)
            daemon.kill()
        daemon.start()
        mine = docker.inspect("leaver", "NetworkSettings.Networks").get("left")
        members = json.loads(docker.ok("network", "inspect", "left"))[0]["Containers"]
        assert bool(members) <= bool(mine), "an endpoint that no command can take away"
        if mine:
            docker.ok("network", "disconnect", "left", "leaver")
        assert json.loads(docker.ok("network", "inspect", "left"))[0]["Containers"] == {}
    docker.ok("rm", "-f", "leaver")
    docker.ok("network", "rm", "left")
