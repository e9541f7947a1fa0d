"""The notes this project started from, walked through once from beginning to end.

An engineer installs the engine, looks at what it did to the host, pulls an image, runs a shell in
it, and looks again from both sides. Every step below is one of the notes' steps, and what they
found with ifconfig, brctl, route, ps, pstree and cat is what is checked here.
"""
import json
import os
import re
import subprocess
from pathlib import Path

import pytest
from support import cgroups, engines, images, paths
from support.outside import Outside
from support.terminal import Terminal
from support.wait import eventually


def shell(*argv) -> str:
    return subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True).stdout


def own_network():
    """The notes' bridge and address where the host has them free, else ones like them."""
    used = shell("ip", "-4", "-o", "addr")
    bridge = "ctnstory" if os.path.exists("/sys/class/net/docker0") else "docker0"
    return bridge, "172.31.42.1/16" if " 172.17." in used else "172.17.42.1/16"


@pytest.fixture(scope="module")
def host_engine(session_engine):
    if engines.KIND != "corten":
        yield session_engine
        return
    bridge, bip = own_network()
    daemon = engines.Daemon("story", bridge=bridge, bip=bip).start()
    yield daemon
    daemon.stop()


def ports_of(bridge) -> dict:
    """Interface index → name of everything that is plugged into a bridge."""
    links = json.loads(shell("ip", "-j", "link", "show", "master", bridge) or "[]")
    return {str(link["ifindex"]): link["ifname"] for link in links}


def parents(pid: int) -> list:
    """The command names from a process up to PID 1."""
    names = []
    while pid > 1:
        stat = Path(f"/proc/{pid}/stat").read_text()
        names.append(stat[stat.index("(") + 1:stat.rindex(")")])
        pid = int(stat.rpartition(")")[2].split()[1])
    return names


@pytest.mark.parametrize("command", ["docker", "corten"])
def test_the_notes(host_engine, debian_reference, command):
    engine = host_engine
    if command == "corten" and not (paths.BIN / "corten").exists():
        pytest.skip("no corten command")
    client = engine.client(command)
    network, prefix = engine.gateway, engine.bip.split("/")[1]
    mine = engine.is_corten

    # The daemon runs, and has made its directories.
    if mine:
        assert int(engine.pidfile.read_text()) == engine.process.pid
        assert engine.data.is_dir() and any(engine.data.iterdir()) and engine.run.is_dir()

    # A bridge with the address, nothing plugged into it yet, and a route to its network.
    assert f"inet {network}/{prefix}" in shell("ip", "addr", "show", engine.bridge)
    ports_before = ports_of(engine.bridge)
    net16 = ".".join(network.split(".")[:2]) + ".0.0/16"
    if prefix == "16":
        assert net16 in shell("ip", "route", "show", "dev", engine.bridge)

    # Pull the image from a registry; the engine now lists it.
    out = client.ok("pull", debian_reference, timeout=300)
    assert "Status: " in out
    client.ok("tag", debian_reference, "debian")
    assert client.ok("images", "--format", "{{.Repository}}:{{.Tag}}", "debian") == "debian:latest"

    # Run a shell in a terminal.
    with Outside() as world, Terminal(client, "run", "-i", "-t", "--name", f"notes-{command}", "debian", "/bin/bash", rows=24, columns=80) as term:
        term.shell("export PS1='$ '")
        hostname = term.shell("hostname")
        found = client.inspect(f"notes-{command}")
        number, pid = found["Id"], found["State"]["Pid"]
        engine.seen.add(number)

        # From the outside: a veth hangs on the bridge.
        index = term.shell("cat /sys/class/net/eth0/iflink")
        assert index in ports_of(engine.bridge), f"the other end of eth0 is not on {engine.bridge}"
        veth = ports_of(engine.bridge)[index]
        assert mine or index not in ports_before, "a port of the bridge that was there before"

        # From the outside: supervisor → bash, with no daemon between that could take it along.
        names = parents(pid)
        assert names[0] == "bash"
        if mine:
            assert names[1].startswith("corten-shim"), names

        # From the outside: a directory with the id in every hierarchy, and bash's pid in its tasks.
        where = cgroups.paths(pid)
        for controller in ("blkio", "cpu", "cpuacct", "cpuset", "devices", "freezer", "memory", "pids") if not cgroups.is_v2() else [""]:
            if controller not in cgroups.mounts():
                continue
            folder = where[controller]
            assert number in str(folder), f"{controller}: {folder}"
            listed = "cgroup.procs" if cgroups.is_v2() else "tasks"
            assert str(pid) in (folder / listed).read_text().split()

        # From the inside: the name, the address, the way out, the hosts file, and bash as PID 1.
        assert hostname == number[:12]
        address = re.search(rf"inet ([\d.]+)/{prefix}", term.shell("ip -4 addr show eth0"))[1]
        assert address == found["NetworkSettings"]["Networks"]["bridge"]["IPAddress"] != network
        assert address.split(".")[:2] == network.split(".")[:2]
        assert f"default via {network} dev eth0" in term.shell("ip route")
        hosts = term.shell("cat /etc/hosts")
        assert "127.0.0.1\tlocalhost" in hosts and f"{address}\t{hostname}" in hosts
        listing = term.shell("ps -ef")
        assert re.search(r"^root +1 +0 .*(/bin/)?bash$", listing, re.M), listing

        # From the inside: ping and TCP to the host and, translated, beyond it.
        assert " 0% packet loss" in term.shell(f"ping -c 1 -W 2 {network}")
        assert " 0% packet loss" in term.shell(f"ping -c 1 -W 2 {world.address}")
        with world.server(b"from beyond\n") as port:
            assert term.shell(f"cat < /dev/tcp/{world.address}/{port}") == "from beyond"
        assert world.peers == [world.host_address]

        # A file goes in and comes back.
        carried = engine.folder() / "carried"
        carried.write_text("over the border")
        client.ok("cp", carried, f"notes-{command}:/root/carried")
        assert term.shell("cat /root/carried; echo") == "over the border"
        term.shell("echo and back >> /root/carried")
        client.ok("cp", f"notes-{command}:/root/carried", carried)
        assert carried.read_text() == "over the borderand back\n"

        # The window changes its size.
        term.resize(50, 120)
        eventually(lambda: term.shell("stty size") == "50 120", "the new size")

        # All of it in one view.
        if mine:
            explained(engine, number, pid, veth, address)

        # Detach; the shell stays. Attach again; it is the same shell.
        term.shell("note=remembered")
        term.detach()
        assert client.inspect(number, "State.Running") is True
        with Terminal(client, "attach", number, rows=50, columns=120) as again:
            assert again.shell("echo $note") == "remembered"
            again.line("exit")
            assert again.ends() == 0

    # After `exit` and `rm` everything of it is gone.
    eventually(lambda: not os.path.exists(f"/proc/{pid}"), "the process's end")
    eventually(lambda: client.inspect(number, "State.Status") == "exited", "the exit")
    client.ok("rm", number)

    def gone():
        for folder in where.values():
            assert number not in str(folder) or not folder.exists(), folder
        assert mine or index not in ports_of(engine.bridge)
        assert number not in Path("/proc/self/mountinfo").read_text()
        assert not mine or not list(engine.work.rglob(f"*{number}*")), "files of it"
        return True
    eventually(gone, "the removal of everything")


def explained(engine, number, pid, veth, address):
    """`corten explain` says what the eight commands above said."""
    corten = engine.client("corten")
    text = corten.ok("explain", number)
    for fact in (veth, engine.bridge, address, engine.gateway, str(pid), "bash", number[:12], "eth0", "overlay"):
        assert fact in text, f"explain does not say {fact}:\n{text}"
    facts = json.loads(corten.ok("explain", "--format", "json", number))
    flat = json.dumps(facts)
    for fact in (number, veth, engine.bridge, address, "-json.log"):
        assert fact in flat, f"explain --format json does not say {fact}"
    assert images.digest_of(images.debian_tar(paths.CACHE)) in flat or "layer" in flat.lower()
