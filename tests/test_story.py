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


# Not in the notes; what `corten explain` has to show.
LIMITS = ("--memory", "256m", "--memory-reservation", "64m", "--cpus", "0.5", "--cpuset-cpus", "0", "--pids-limit", "99", "-p", "127.0.0.1::80", "-p", "80")


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
    # The notes look at a bridge without ports: sandboxes that are kept ready would hang on it.
    daemon = engines.Daemon("story", bridge=bridge, bip=bip, extra=("--prepared-sandboxes", "0")).start()
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
    # Of a container that was removed just now the kernel may still be taking the interface away.
    eventually(lambda: not mine or ports_of(engine.bridge) == {}, "a bridge without ports")
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
    with Outside() as world, Terminal(client, "run", "-i", "-t", "--name", f"notes-{command}", *LIMITS, "debian", "/bin/bash", rows=24, columns=80) as term:
        term.shell("export PS1='$ '")
        hostname = term.shell("hostname")
        found = client.inspect(f"notes-{command}")
        number, pid = found["Id"], found["State"]["Pid"]
        engine.seen.add(number)

        # From the outside: a veth hangs on the bridge.
        index = term.shell("cat /sys/class/net/eth0/iflink")
        assert index in ports_of(engine.bridge), f"the other end of eth0 is not on {engine.bridge}"
        veth = ports_of(engine.bridge)[index]
        assert index not in ports_before, "a port of the bridge that was there before"

        # From the outside: supervisor → bash, with no daemon between that could take it along.
        names = parents(pid)
        assert names[0] == "bash"
        if mine:
            assert names[1].startswith("corten-shim"), names

        # From the outside: a directory with the id in every hierarchy, and bash's pid in its tasks.
        where = cgroups.paths(pid)
        for controller in hierarchies():
            folder = where[controller]
            assert number in str(folder), f"{controller}: {folder}"
            listed = "tasks" if (folder / "tasks").exists() else "cgroup.procs"
            assert str(pid) in (folder / listed).read_text().split()
        inside = os.stat(f"/proc/{pid}/ns/net").st_ino

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
            explained(engine, number, pid, veth, address, where)

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
        assert not os.path.exists(f"/sys/class/net/{veth}") and index not in ports_of(engine.bridge)
        assert inside not in network_namespaces(), "the network namespace"
        assert address not in shell("nft", "list", "ruleset"), "a firewall rule"
        assert number not in Path("/proc/self/mountinfo").read_text()
        assert not mine or not list(engine.work.rglob(f"*{number}*")), "files of it"
        return True
    eventually(gone, "the removal of everything")


def hierarchies() -> list:
    """Every controller of v1 that this machine has mounted, of whatever kernel; on v2 the only hierarchy there is."""
    if cgroups.is_v2():
        return [""]
    known = [name for line in Path("/proc/self/cgroup").read_text().splitlines() for name in line.split(":")[1].split(",")]
    return [name for name in known if name and not name.startswith("name=") and name in cgroups.mounts()]


def network_namespaces() -> set:
    """The numbers of all that a process lives in, or that a descriptor or a mount holds."""
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            found.add(os.stat(process / "ns/net").st_ino)
            found.update(int(m[1]) for link in os.listdir(process / "fd") if (m := re.match(r"net:\[(\d+)\]", os.readlink(process / "fd" / link))))
        except OSError:
            continue  # it has ended
    return found


def explained(engine, number, pid, veth, address, where):
    """`corten explain` says what the eight commands above said, and what they cannot show."""
    corten = engine.client("corten")
    facts = json.loads(corten.ok("explain", "--format", "json", number))
    network16 = ".".join(address.split(".")[:2]) + ".0.0/16"

    endpoint = facts["Network"]["Endpoints"][0]
    report = endpoint["Report"]
    assert (endpoint["Ip"], endpoint["Gateway"], endpoint["HostInterface"]) == (address, engine.gateway, veth)
    assert report["HostInterface"]["Master"] == report["Bridge"]["Name"] == engine.bridge
    assert f"{engine.gateway}/16" in report["Bridge"]["Addresses"]
    assert [i["Addresses"] for i in report["Interfaces"] if i["Name"] == "eth0"] == [[f"{address}/16"]]
    assert {f"default via {engine.gateway} dev eth0", f"{network16} dev eth0 src {address}"} == set(report["Routes"])
    rules = "\n".join(report["Rules"])
    assert re.search(rf"postrouting: .*{re.escape(network16)}.* masquerade", rules), rules
    assert re.search(rf"@ports \"?tcp . \d+ : {re.escape(address)} . 80", rules), rules
    assert report["TableLoaded"] is True and report["Table"] in shell("nft", "list", "tables").replace("table ", "")

    processes = facts["Processes"]
    assert processes["Daemon"] == engine.process.pid
    shell_of_it = next(p for p in processes["Container"] if p["Pid"] == pid)
    assert shell_of_it["InnerPid"] == 1 and shell_of_it["Parent"] == processes["Supervisor"]["Pid"] and "bash" in shell_of_it["Command"]

    group = facts["Cgroup"]
    assert {k: v for k, v in group["Directories"].items() if k in hierarchies()} == {k: str(where[k]) for k in hierarchies()}
    assert group["Memory"]["Limit"] == 256 << 20 and group["Memory"]["Reservation"] == 64 << 20 and 0 < group["Memory"]["Usage"] < 256 << 20
    assert (group["Cpu"]["Quota"], group["Cpu"]["Period"], group["Cpu"]["Cpus"]) == ("50000", "100000", "0") and group["Cpu"]["UsageNs"] > 0
    assert group["Pids"]["Current"] >= 1 and group["Pids"]["Limit"] == 99
    assert {"ReadBytes", "WrittenBytes"} <= set(group["BlockIo"])

    for kind, entry in facts["Namespaces"].items():
        assert entry["Id"] == os.readlink(f"/proc/{pid}/ns/{kind}"), kind
    assert {"mnt", "net", "pid", "ipc", "uts"} <= {kind for kind, entry in facts["Namespaces"].items() if not entry["Shared"]}

    storage = facts["Storage"]
    layer = images.digest_of(images.debian_tar(paths.CACHE))
    assert [each["DiffId"] for each in storage["Layers"]] == [layer]
    assert os.path.exists(os.path.join(storage["Layers"][0]["Path"], "etc/debian_version"))
    assert os.path.exists(os.path.join(storage["Upper"], "root/carried"))
    mounted = {each["Target"]: each for each in facts["Mounts"]}
    table = [line.split()[4] for line in Path(f"/proc/{pid}/mountinfo").read_text().splitlines()]
    assert set(table) == set(mounted)
    assert mounted["/"]["Type"] == "overlay" and mounted["/proc"]["Type"] == "proc" and mounted["/dev"]["Type"] == "tmpfs" and mounted["/sys"]["ReadOnly"]
    assert mounted["/etc/hosts"]["Source"] == f"{facts['Files']['Directory']}/hosts"

    files = facts["Files"]
    assert files["Log"] == f"{engine.data}/containers/{number}/{number}-json.log" and os.path.exists(files["Log"])
    assert files["State"] == f"{engine.data}/corten.db" and os.path.exists(files["Runtime"])
    assert len(facts["TimingsMs"]) >= 3 and all(time >= 0 for time in facts["TimingsMs"].values())

    text = corten.ok("explain", number)
    for fact in (veth, engine.bridge, address, engine.gateway, str(pid), "bash", number[:12], "eth0", "overlay", "masquerade", "quota 50000 of 100000 us",
                 "256MiB", "CPUs 0", layer, storage["Upper"], "/etc/resolv.conf", files["Log"], "last start"):
        assert fact in text, f"explain does not say {fact}:\n{text}"
