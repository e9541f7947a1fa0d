"""Every flag of `run`, seen to act: from inside the container, from its cgroup, or in inspect."""
import os
import re
import subprocess

import pytest
from support import cgroups, images
from support.engines import BOX, Daemon, pull
from support.wait import eventually

CAPABILITIES_DEFAULT = 0xA80425FB


def run(cli, *args, **more):
    return cli.ok("run", "--rm", *args, **more)


def started(cli, *flags, command=("sleep", "600")):
    """A container in the background; returns its id."""
    return cli.ok("run", "-d", *flags, BOX, *command)


def effective(status: str) -> int:
    return int(re.search(r"CapEff:\s+(\w+)", status)[1], 16)


# --- what runs -----------------------------------------------------------------------------------

def test_output_and_errors_stay_apart(cli):
    done = cli.run("run", "--rm", BOX, "sh", "-c", "echo out; echo err >&2")
    assert (done.code, done.out, done.err) == (0, "out\n", "err\n")


@pytest.mark.parametrize("code", [0, 1, 3, 42, 255])
def test_exit_code_is_the_programs(cli, code):
    assert cli.run("run", "--rm", BOX, "sh", "-c", f"exit {code}").code == code


def test_death_by_signal_is_128_and_the_signal(cli):
    started(cli, "--name", "victim")
    cli.ok("kill", "-s", "KILL", "victim")
    assert cli.ok("wait", "victim") == "137"
    assert cli.run("run", "--rm", BOX, "sh", "-c", "sh -c 'kill -15 $$'; exit $?").code == 143


@pytest.mark.parametrize("command, code, says", [
    (["nosuch-program"], 127, "executable file not found"),
    (["/no/such/file"], 127, "no such file or directory"),
    (["/etc/not-executable"], 126, "permission denied"),
    (["/etc"], 126, "permission denied|is a directory"),
])
def test_program_that_cannot_start(cli, command, code, says):
    cli.fails("run", "--rm", BOX, *command, code=code, says=says)


def test_unknown_flag_is_125(cli):
    cli.fails("run", "--no-such-flag", BOX, "true", code=125, says="no-such-flag")


def test_entrypoint(cli):
    assert run(cli, "--entrypoint", "/bin/echo", BOX, "a", "b") == "a b"


def test_environment(cli):
    out = run(cli, "-e", "ONE=1", "--env", "TWO=a b=c", "-e", "EMPTY=", BOX, "env").splitlines()
    assert {"ONE=1", "TWO=a b=c", "EMPTY="} <= set(out)
    assert "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" in out
    assert "HOME=/root" in out and any(re.fullmatch("HOSTNAME=[0-9a-f]{12}", e) for e in out)


def test_environment_taken_from_the_client(cli, monkeypatch):
    monkeypatch.setenv("TAKEN", "along")
    monkeypatch.delenv("ABSENT", raising=False)
    out = run(cli, "-e", "TAKEN", "-e", "ABSENT", BOX, "env").splitlines()
    assert "TAKEN=along" in out and not any(e.startswith("ABSENT") for e in out)


def test_env_file(cli, engine):
    listed = engine.folder() / "env"
    listed.write_text("# a comment\nFIRST=1\n\nSECOND=two words\nPATH=/bin\n")
    out = run(cli, "--env-file", listed, "-e", "FIRST=flag", BOX, "env").splitlines()
    assert {"FIRST=flag", "SECOND=two words", "PATH=/bin"} <= set(out) and "# a comment" not in out


def test_working_directory_is_made(cli):
    assert run(cli, "-w", "/not/there/yet", BOX, "pwd") == "/not/there/yet"


@pytest.mark.parametrize("user, uid, gid, groups", [
    ("1234", 1234, 0, {0}),
    ("1234:4321", 1234, 4321, {4321}),
    ("alice", 1000, 1000, {1000, 44, 50}),
    ("alice:staff", 1000, 50, {50}),
    ("1000", 1000, 1000, {1000, 44, 50}),
])
def test_user(cli, user, uid, gid, groups):
    out = run(cli, "-u", user, BOX, "sh", "-c", "id -u; id -g; grep Groups /proc/self/status").splitlines()
    assert (int(out[0]), int(out[1])) == (uid, gid)
    assert set(map(int, out[2].split()[1:])) >= groups


def test_unknown_user(cli):
    cli.fails("run", "--rm", "-u", "nosuch", BOX, "true", code=125, says="unable to find user nosuch")


def test_user_has_no_capabilities(cli):
    assert effective(run(cli, "-u", "1000", BOX, "cat", "/proc/self/status")) == 0


def test_group_add(cli):
    out = run(cli, "-u", "1234:1234", "--group-add", "video", "--group-add", "777", BOX, "grep", "Groups", "/proc/self/status")
    assert {"44", "777"} <= set(out.split())


def test_hostname_and_uts(cli):
    out = run(cli, "-h", "boxer", BOX, "sh", "-c", "hostname; cat /etc/hostname; grep boxer /etc/hosts").splitlines()
    assert out[:2] == ["boxer", "boxer"] and out[2].endswith("\tboxer")
    assert run(cli, "--uts", "host", BOX, "hostname") == os.uname().nodename


def test_name_and_label(cli):
    started(cli, "--name", "named.one", "--label", "a=b", "-l", "lonely", "--label", "x=y=z")
    assert cli.inspect("named.one", "Name") == "/named.one"
    assert cli.inspect("named.one", "Config.Labels") == {"a": "b", "lonely": "", "x": "y=z"}


def test_cidfile(cli, engine):
    noted = engine.folder() / "cid"
    number = started(cli, "--cidfile", noted)
    assert noted.read_text() == number
    cli.fails("run", "--cidfile", noted, BOX, "true", code=125, says="exists|found")


def test_detached_prints_the_id(cli):
    number = started(cli)
    assert re.fullmatch("[0-9a-f]{64}", number)
    assert cli.inspect(number[:12], "State.Running") is True


def test_rm_removes_it_after_the_end(cli):
    number = cli.ok("run", "-d", "--rm", BOX, "true")
    eventually(lambda: cli.run("inspect", number).code != 0, "removal by --rm")


# --- files ---------------------------------------------------------------------------------------

def test_bind_volume(cli, engine):
    source = engine.folder()
    (source / "in").write_text("from outside")
    assert run(cli, "-v", f"{source}:/data", BOX, "sh", "-c", "cat /data/in; echo inside > /data/out") == "from outside"
    assert (source / "out").read_text() == "inside\n"


def test_bind_volume_read_only(cli, engine):
    done = cli.fails("run", "--rm", "-v", f"{engine.folder()}:/data:ro", BOX, "touch", "/data/x", code=1)
    assert "Read-only file system" in done.err


def test_bind_volume_of_missing_source_makes_it(cli, engine):
    source = engine.folder() / "made" / "here"
    run(cli, "-v", f"{source}:/data", BOX, "true")
    assert source.is_dir()


def test_bind_a_file(cli, engine):
    source = engine.folder() / "file"
    source.write_text("content")
    assert run(cli, "-v", f"{source}:/etc/one/two", BOX, "cat", "/etc/one/two") == "content"


def test_named_volume_keeps_content(cli):
    run(cli, "-v", "kept:/data", BOX, "sh", "-c", "echo once > /data/x")
    assert run(cli, "-v", "kept:/elsewhere", BOX, "cat", "/elsewhere/x") == "once"


def test_named_volume_starts_with_the_images_files(cli):
    out = run(cli, "-v", "fresh:/home", BOX, "ls", "-ldn", "/home/alice")
    assert out.split()[2:4] == ["1000", "1000"]


def test_anonymous_volume(cli):
    started(cli, "--name", "anon", "-v", "/data")
    mount, = cli.inspect("anon", "Mounts")
    assert mount["Type"] == "volume" and re.fullmatch("[0-9a-f]{64}", mount["Name"]) and mount["Destination"] == "/data"
    cli.ok("rm", "-f", "-v", "anon")
    assert mount["Name"] not in cli.ok("volume", "ls", "-q")


def test_mount_bind_volume_and_tmpfs(cli, engine):
    source = engine.folder()
    (source / "f").write_text("bound")
    out = run(cli, "--mount", f"type=bind,source={source},target=/b,readonly", "--mount", "type=volume,source=v1,target=/v",
              "--mount", "type=tmpfs,target=/t,tmpfs-size=1048576,tmpfs-mode=0700", BOX, "sh", "-c",
              "cat /b/f; echo; grep -E ' /(b|v|t) ' /proc/self/mounts; stat -c %a /t")
    assert out.startswith("bound")
    lines = {line.split()[1]: line for line in out.splitlines() if line.count(" ") > 3}
    assert " ro," in lines["/b"] and " rw," in lines["/v"] and lines["/t"].startswith("tmpfs") and "size=1024k" in lines["/t"]
    assert out.endswith("700")


def test_mount_bind_of_missing_source_is_an_error(cli):
    cli.fails("run", "--rm", "--mount", "type=bind,source=/no/such,target=/b", BOX, "true", code=125, says="/no/such")


def test_tmpfs(cli):
    out = run(cli, "--tmpfs", "/scratch:size=2m,mode=1770", BOX, "sh", "-c", "grep /scratch /proc/self/mounts; stat -c %a /scratch")
    assert out.startswith("tmpfs /scratch tmpfs") and "size=2048k" in out and out.endswith("1770")
    for flag in ("nosuid", "nodev", "noexec"):
        assert flag in out


def test_read_only_root(cli):
    out = run(cli, "--read-only", "--tmpfs", "/tmp", BOX, "sh", "-c", "touch /x 2>&1; touch /tmp/x && touch /dev/shm/x && echo writable")
    assert "Read-only file system" in out and out.endswith("writable")


def test_cp_into_what_is_writable_of_a_read_only_container(cli, engine):
    folder = engine.folder()
    (folder / "f").write_text("x")
    started(cli, "--name", "sealed", "--read-only", "-v", "open:/open", "-v", "closed:/closed:ro")
    cli.ok("cp", folder / "f", "sealed:/open/f")
    assert cli.ok("exec", "sealed", "cat", "/open/f") == "x"
    cli.fails("cp", folder / "f", "sealed:/closed/f", code=1, says="mounted volume is marked read-only")
    cli.fails("cp", folder / "f", "sealed:/etc/f", code=1, says="container rootfs is marked read-only")


@pytest.mark.parametrize("user, asked, owner", [("", "", "1234:5678"), ("", "&copyUIDGID=1", "1234:5678"), ("77:88", "", "1234:5678"),
                                                ("77:88", "&copyUIDGID=1", "77:88"), ("alice", "&copyUIDGID=true", "1000:1000")])
def test_owner_of_what_is_copied_in(docker, engine, user, asked, owner):
    started(docker, "--name", "owned", "-u", user)
    archive = images.tar([images.text("f", "x", uid=1234, gid=5678)])
    done = engine.api.request("PUT", f"/containers/owned/archive?path=/tmp{asked}", archive, {"Content-Type": "application/x-tar"})
    assert done.status == 200, done
    assert docker.ok("exec", "owned", "stat", "-c", "%u:%g", "/tmp/f") == owner


def test_owner_that_is_not_there(docker, engine):
    docker.ok("create", "--name", "nobody", "-u", "nosuch", BOX)
    done = engine.api.request("PUT", "/containers/nobody/archive?path=/tmp&copyUIDGID=1", images.tar([images.text("f", "x")]), {"Content-Type": "application/x-tar"})
    assert done.status == 400 and "nosuch" in done.json()["message"], done


def test_shm_size(cli):
    assert "size=131072k" in run(cli, "--shm-size", "128m", BOX, "grep", "/dev/shm", "/proc/self/mounts")


# --- network -------------------------------------------------------------------------------------

def test_network_none(cli):
    assert run(cli, "--network", "none", BOX, "ls", "/sys/class/net") == "lo"


def test_network_host(cli):
    assert set(run(cli, "--network", "host", BOX, "ls", "/sys/class/net").split()) >= {"lo"}
    assert run(cli, "--network", "host", BOX, "readlink", "/proc/self/ns/net") == os.readlink("/proc/self/ns/net")


def test_network_of_another_container(cli):
    started(cli, "--name", "owner")
    address = cli.inspect("owner", "NetworkSettings.Networks.bridge.IPAddress")
    assert address in run(cli, "--network", "container:owner", BOX, "ip", "-4", "addr", "show", "eth0")


def test_files_of_another_containers_network_are_shared(cli):
    started(cli, "--name", "owner")
    started(cli, "--name", "guest", "--network", "container:owner")
    cli.ok("exec", "owner", "sh", "-c", "echo 192.0.2.9 added >> /etc/hosts")
    assert cli.ok("exec", "guest", "tail", "-n", "1", "/etc/hosts") == "192.0.2.9 added"
    assert cli.inspect("guest", "HostsPath") == cli.inspect("owner", "HostsPath")


def test_ports_with_the_hosts_network_are_warned_of(cli):
    done = cli.run("create", "--network", "host", "-p", "80:80", BOX, "true")
    assert done.code == 0 and "Published ports are discarded when using host network mode" in done.err


@pytest.mark.parametrize("flags, says", [
    (["--uts", "host", "-h", "x"], "conflicting options: hostname and the UTS mode"),
    (["--network", "host", "--ip", "192.0.2.1"], "invalid config for network host"),
    (["--network", "none", "--ip", "192.0.2.1"], "invalid config for network none"),
])
def test_flags_that_contradict_each_other(cli, flags, says):
    cli.fails("create", *flags, BOX, "true", says=says)


@pytest.mark.corten_only
@pytest.mark.parametrize("mode", ["host", "none"])
def test_mac_address_without_an_interface(cli, mode):
    cli.fails("create", "--network", mode, "--mac-address", "02:42:ac:11:00:09", BOX, "true", says="conflicting options: mac-address and the network mode")


def test_mac_address_and_ip(cli):
    assert "02:42:ac:11:aa:09" in run(cli, "--mac-address", "02:42:ac:11:aa:09", BOX, "cat", "/sys/class/net/eth0/address")
    cli.ok("network", "create", "--subnet", "10.213.77.0/24", "addressed")
    assert "10.213.77.44/24" in run(cli, "--network", "addressed", "--ip", "10.213.77.44", BOX, "ip", "-4", "addr", "show", "eth0")


def test_network_disabled(docker, engine):
    number = engine.api.post("/containers/create", {"Image": BOX, "Cmd": ["ls", "/sys/class/net"], "NetworkDisabled": True}).json()["Id"]
    assert docker.ok("start", "-a", number) == "lo"


def test_network_of_a_missing_container(cli):
    cli.fails("run", "--rm", "--network", "container:nosuch", BOX, "true", code=125, says="[Nn]o such container")


def test_unknown_network(cli):
    cli.fails("run", "--rm", "--network", "nosuch", BOX, "true", code=125, says="network nosuch not found")


def test_dns_flags(cli):
    out = run(cli, "--dns", "192.0.2.53", "--dns", "192.0.2.54", "--dns-search", "example.test", "--dns-option", "ndots:3",
              BOX, "cat", "/etc/resolv.conf")
    lines = [line for line in out.splitlines() if line and not line.startswith("#")]
    assert lines == ["nameserver 192.0.2.53", "nameserver 192.0.2.54", "search example.test", "options ndots:3"]


def test_add_host(cli, engine):
    out = run(cli, "--add-host", "db:192.0.2.7", "--add-host", "me:host-gateway", BOX, "cat", "/etc/hosts").splitlines()
    assert "192.0.2.7\tdb" in out and f"{engine.gateway}\tme" in out


def test_expose_and_publish_all(cli):
    started(cli, "--name", "pub", "--expose", "8080", "--expose", "53/udp", "-P")
    ports = cli.inspect("pub", "NetworkSettings.Ports")
    assert set(ports) == {"8080/tcp", "53/udp"}
    assert all(int(binding["HostPort"]) > 1023 for bindings in ports.values() for binding in bindings)


def test_expose_without_publishing(cli):
    started(cli, "--name", "exposed", "--expose", "8080")
    assert cli.inspect("exposed", "NetworkSettings.Ports") == {"8080/tcp": None}


# --- privileges ----------------------------------------------------------------------------------

def test_capabilities_dropped_and_added(cli):
    status = run(cli, "--cap-drop", "CHOWN", "--cap-drop", "cap_kill", "--cap-add", "NET_ADMIN", BOX, "cat", "/proc/self/status")
    assert effective(status) == CAPABILITIES_DEFAULT & ~(1 << 0) & ~(1 << 5) | 1 << 12


def test_all_capabilities_dropped(cli):
    status = run(cli, "--cap-drop", "ALL", BOX, "cat", "/proc/self/status")
    assert re.findall(r"Cap\w+:\s+(\w+)", status) == ["0" * 16] * 5


def test_unknown_capability(cli):
    cli.fails("run", "--rm", "--cap-add", "NOSUCH", BOX, "true", code=125, says="(?i)invalid cap.*NOSUCH")


def test_privileged(cli):
    out = run(cli, "--privileged", BOX, "sh", "-c", "cat /proc/self/status; grep ' /sys ' /proc/self/mounts; ls /dev")
    mine = effective(open("/proc/self/status").read())
    assert effective(out) & mine == mine and "Seccomp:\t0" in out
    assert re.search(r"/sys sysfs rw", out) and "loop-control" in out


def test_seccomp_unconfined(cli):
    assert "Seccomp:\t0" in run(cli, "--security-opt", "seccomp=unconfined", BOX, "cat", "/proc/self/status")


def test_seccomp_profile_from_a_file(cli, engine):
    profile = engine.folder() / "profile.json"
    profile.write_text('{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 95}]}')
    done = cli.run("run", "--rm", "--security-opt", f"seccomp={profile}", BOX, "mkdir", "/x")
    assert done.code == 1 and re.search("(?i)not supported", done.err), done


def test_seccomp_profile_of_a_privileged_container(cli, engine):
    profile = engine.folder() / "profile.json"
    profile.write_text('{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 95}]}')
    started(cli, "--name", "strict", "--privileged", "--security-opt", f"seccomp={profile}")
    for done in (cli.run("run", "--rm", "--privileged", "--security-opt", f"seccomp={profile}", BOX, "mkdir", "/x"), cli.run("exec", "strict", "mkdir", "/x")):
        assert done.code == 1 and re.search("(?i)not supported", done.err), done


def test_no_new_privileges(cli):
    assert "NoNewPrivs:\t1" in run(cli, "--security-opt", "no-new-privileges", BOX, "cat", "/proc/self/status")
    assert "NoNewPrivs:\t0" in run(cli, BOX, "cat", "/proc/self/status")


def test_systempaths_unconfined(cli):
    command = (BOX, "sh", "-c", "grep -cE ' /proc/(sys|bus|kcore) ' /proc/self/mounts")
    assert cli.run("run", "--rm", "--security-opt", "systempaths=unconfined", *command).out == "0\n"
    assert int(cli.run("run", "--rm", *command).out) >= 2


def test_device(cli):
    out = run(cli, "--device", "/dev/zero:/dev/mine:r", BOX, "sh", "-c", "stat -c %t:%T /dev/mine; head -c 3 /dev/mine | od -An -tx1")
    assert out.split() == ["1:5", "00", "00", "00"]
    refused = cli.run("run", "--rm", "--device", "/dev/loop-control:/dev/mine:r", BOX, "sh", "-c", "echo > /dev/mine")
    assert refused.code == 1 and "Operation not permitted" in refused.err, refused


def test_device_cgroup_rule(cli):
    command = (BOX, "sh", "-c", "mknod /made c 10 237 && : < /made")
    assert "Operation not permitted" in cli.run("run", "--rm", *command).err
    allowed = cli.run("run", "--rm", "--device-cgroup-rule", "c 10:237 rwm", *command)
    assert "Operation not permitted" not in allowed.err, allowed


def test_device_that_is_missing(cli):
    cli.fails("run", "--rm", "--device", "/dev/nosuch", BOX, "true", says="/dev/nosuch")


def test_ulimit(cli):
    out = run(cli, "--ulimit", "nofile=100:200", "--ulimit", "core=0", BOX, "sh", "-c", "ulimit -Sn; ulimit -Hn; ulimit -c")
    assert out.split() == ["100", "200", "0"]


@pytest.mark.corten_only
def test_default_ulimits_are_lowered_to_what_may_be_set(box_reference):
    """Without CAP_SYS_RESOURCE nobody can raise a hard limit: a default gives way, what was asked for is refused."""
    poor = ("prlimit", "--nofile=3000:3000", "setpriv", "--bounding-set=-sys_resource")
    daemon = Daemon("ulimit", extra=["--default-ulimit", "nofile=5000:6000", "--default-ulimit", "core=0:0"], prefix=poor).start()
    try:
        pull(daemon, box_reference, BOX)
        client, show = daemon.client("docker"), ("sh", "-c", "ulimit -Sn; ulimit -Hn; ulimit -c")
        started(client, "--name", "limited")
        assert client.ok("run", "--rm", BOX, *show).split() == ["3000", "3000", "0"]
        assert client.ok("exec", "limited", *show).split() == ["3000", "3000", "0"]
        assert client.ok("run", "--rm", "--ulimit", "nofile=10:20", BOX, *show).split() == ["10", "20", "0"]
        client.fails("run", "--rm", "--ulimit", "nofile=5000:6000", BOX, "true", says="(?i)nofile|rlimit|not permitted")
    finally:
        daemon.stop()


def test_sysctl(cli):
    assert run(cli, "--sysctl", "net.core.somaxconn=123", BOX, "cat", "/proc/sys/net/core/somaxconn") == "123"
    assert run(cli, "--sysctl", "kernel.msgmax=9000", BOX, "cat", "/proc/sys/kernel/msgmax") == "9000"


def test_sysctl_of_the_host_is_refused(cli):
    cli.fails("run", "--rm", "--sysctl", "vm.swappiness=3", BOX, "true", says="vm.swappiness")


def test_oom_score(cli):
    assert run(cli, "--oom-score-adj", "321", BOX, "cat", "/proc/self/oom_score_adj") == "321"


def test_pid_namespaces(cli):
    started(cli, "--name", "other", command=("sleep", "4321"))
    assert "sleep 4321" in run(cli, "--pid", "container:other", BOX, "ps")
    assert run(cli, "--pid", "host", BOX, "readlink", "/proc/self/ns/pid") == os.readlink("/proc/self/ns/pid")
    assert run(cli, BOX, "sh", "-c", "echo $$") == "1"


def test_ipc_namespaces(cli):
    started(cli, "--name", "giver", "--ipc", "shareable")
    cli.ok("exec", "giver", "sh", "-c", "echo shared > /dev/shm/x")
    assert run(cli, "--ipc", "container:giver", BOX, "cat", "/dev/shm/x") == "shared"
    assert run(cli, "--ipc", "host", BOX, "readlink", "/proc/self/ns/ipc") == os.readlink("/proc/self/ns/ipc")
    started(cli, "--name", "keeper", "--ipc", "private")
    cli.fails("run", "--rm", "--ipc", "container:keeper", BOX, "true", code=125, says="shareable|non-shareable|not.*share")


def test_no_ipc_at_all(cli):
    assert cli.run("run", "--rm", "--ipc", "none", BOX, "grep", "/dev/shm", "/proc/self/mounts").out == ""


@pytest.mark.skipif(cgroups.is_v2(), reason="v2's default is the other one")
def test_cgroup_namespaces(cli):
    own = os.readlink("/proc/self/ns/cgroup")
    assert run(cli, "--cgroupns", "host", BOX, "readlink", "/proc/self/ns/cgroup") == own
    assert run(cli, "--cgroupns", "private", BOX, "readlink", "/proc/self/ns/cgroup") != own


def test_user_namespace_of_the_host(cli):
    assert run(cli, "--userns", "host", BOX, "readlink", "/proc/self/ns/user") == os.readlink("/proc/self/ns/user")


def test_init_reaps_and_forwards(cli):
    out = run(cli, "--init", BOX, "sh", "-c", "tr '\\0' ' ' < /proc/1/cmdline; echo $$")
    assert "init" in out.split()[0] and out.split()[-1] != "1"
    cli.ok("run", "-d", "--init", "--name", "orphans", BOX, "sh", "-c", "(sh -c 'sleep 0.1' &) ; exec sleep 600")
    eventually(lambda: "\nsleep 0.1" not in cli.ok("exec", "orphans", "ps", "-o", "args"), "the orphan's end")
    assert " Z " not in cli.ok("exec", "orphans", "ps", "-o", "stat,args").replace("\n", " ")
    started(cli, "--init", "--name", "forward", command=("sh", "-c", "trap 'exit 7' TERM; echo ready; while :; do sleep 0.1; done"))
    eventually(lambda: cli.ok("logs", "forward") == "ready", "the trap")
    cli.ok("stop", "forward")
    assert cli.inspect("forward", "State.ExitCode") == 7


def test_init_is_left_out_where_it_is_not_the_first_process(cli):
    started(cli, "--name", "plain", "--init", "--pid", "host", command=("sleep", "4322"))
    assert "init" not in cli.ok("top", "plain", "-o", "pid,args")


# --- limits --------------------------------------------------------------------------------------

def limit(cli, engine, flags, controller, name):
    return cgroups.read(engine.host_pid(started(cli, *flags)), controller, name)


@pytest.mark.skipif(cgroups.is_v2(), reason="the v1 files; v2's are tested beside them")
@pytest.mark.parametrize("flags, controller, name, value", [
    (["--memory", "64m"], "memory", "memory.limit_in_bytes", str(64 << 20)),
    (["--memory", "64m"], "memory", "memory.memsw.limit_in_bytes", str(128 << 20)),
    (["--memory", "64m", "--memory-swap", "96m"], "memory", "memory.memsw.limit_in_bytes", str(96 << 20)),
    (["--memory", "64m", "--memory-reservation", "32m"], "memory", "memory.soft_limit_in_bytes", str(32 << 20)),
    (["--cpus", "1.5"], "cpu", "cpu.cfs_quota_us", "150000"),
    (["--cpu-period", "50000", "--cpu-quota", "25000"], "cpu", "cpu.cfs_period_us", "50000"),
    (["--cpu-period", "50000", "--cpu-quota", "25000"], "cpu", "cpu.cfs_quota_us", "25000"),
    (["--cpu-shares", "512"], "cpu", "cpu.shares", "512"),
    (["-c", "256"], "cpu", "cpu.shares", "256"),
    (["--cpuset-cpus", "0"], "cpuset", "cpuset.cpus", "0"),
    (["--cpuset-mems", "0"], "cpuset", "cpuset.mems", "0"),
    (["--pids-limit", "77"], "pids", "pids.max", "77"),
])
def test_limit_on_v1(cli, engine, flags, controller, name, value):
    assert limit(cli, engine, flags, controller, name) == value


@pytest.mark.skipif(not cgroups.is_v2(), reason="this machine has cgroup v1")
@pytest.mark.parametrize("flags, name, value", [
    (["--memory", "64m"], "memory.max", str(64 << 20)),
    (["--memory", "64m", "--memory-swap", "96m"], "memory.swap.max", str(32 << 20)),
    (["--memory", "64m", "--memory-reservation", "32m"], "memory.low", str(32 << 20)),
    (["--cpus", "1.5"], "cpu.max", "150000 100000"),
    (["--cpu-period", "50000", "--cpu-quota", "25000"], "cpu.max", "25000 50000"),
    (["--cpuset-cpus", "0"], "cpuset.cpus", "0"),
    (["--pids-limit", "77"], "pids.max", "77"),
])
def test_limit_on_v2(cli, engine, flags, name, value):
    assert limit(cli, engine, flags, "", name) == value


@pytest.mark.skipif(cgroups.is_v2(), reason="real-time group scheduling is a v1 thing")
def test_real_time_budget(cli, engine):
    root = cgroups.mounts().get("cpu")
    if not root or not (root / "cpu.rt_runtime_us").exists():
        cli.fails("run", "--rm", "--cpu-rt-runtime", "1000", BOX, "true", code=125, says="(?i)real.?time|rt")
        pytest.skip("this kernel has no real-time groups; the refusal was checked")
    if not engine.is_corten:
        pytest.skip("dockerd needs --cpu-rt-runtime of its own first")
    pid = engine.host_pid(started(cli, "--cpu-rt-period", "1000000", "--cpu-rt-runtime", "10000"))
    assert cgroups.read(pid, "cpu", "cpu.rt_runtime_us") == "10000"


def test_blkio_weight(cli, engine):
    """Applied where the kernel has weights, else refused or warned about by name."""
    done = cli.run("run", "-d", "--blkio-weight", "300", BOX, "sleep", "600")
    folders = cgroups.paths(engine.host_pid(done.out.strip())) if done.code == 0 else {}
    files = [folders[c] / n for c, n in (("blkio", "blkio.weight"), ("blkio", "blkio.bfq.weight"), ("", "io.weight"), ("", "io.bfq.weight")) if c in folders]
    values = [f.read_text() for f in files if f.exists()]
    if not values:
        assert done.code in (0, 125)
        assert done.code == 125 or re.search("(?i)blkio|weight|block", done.err), done
        pytest.skip("this kernel has no block weights; the refusal or the warning was checked")
    # io.weight counts from 1 to 10000 what the others count from 10 to 1000.
    assert any("300" in value or value.strip() == "default 2930" for value in values), values


def test_memory_limit_kills(cli):
    done = cli.run("run", "--name", "greedy", "--memory", "16m", "--memory-swap", "16m", BOX, "sh", "-c",
                   "head -c 64m /dev/zero | tail | wc -c >/dev/null; x=$(head -c 60000000 /dev/zero | tr '\\0' x); echo survived")
    assert "survived" not in done.out and done.code != 0
    assert cli.inspect("greedy", "State.OOMKilled") is True


@pytest.mark.parametrize("memory", ["4m", "1k", "6291455"])
def test_too_little_memory(cli, memory):
    cli.fails("run", "--rm", "--memory", memory, BOX, "true", code=125, says="(?i)minimum memory limit")


@pytest.mark.skipif(cgroups.is_v2(), reason="v1's files: v2 has neither")
@pytest.mark.parametrize("flags, name, value", [(["--memory-swappiness", "7"], "memory.swappiness", "7"),
                                                (["--oom-kill-disable"], "memory.oom_control", "oom_kill_disable 1")])
def test_memory_without_and_with_swap(cli, engine, flags, name, value):
    assert value in limit(cli, engine, ["--memory", "64m", *flags], "memory", name).splitlines()


def test_pids_limit_acts(cli):
    done = cli.run("run", "--rm", "--pids-limit", "4", BOX, "sh", "-c", "for i in 1 2 3 4 5 6 7 8; do sleep 5 & done; wait")
    assert re.search("can't fork|Resource temporarily unavailable", done.err), done


def test_cgroup_parent(cli, engine):
    number = started(cli, "--cgroup-parent", "/corten-t-parent")
    pid = engine.host_pid(number)
    assert "/corten-t-parent/" + number in open(f"/proc/{pid}/cgroup").read()
    parents = {folder.parent for folder in cgroups.paths(pid).values() if folder.name == number}
    cli.ok("rm", "-f", number)
    for parent in parents:  # the parent is the user's, not the engine's
        if parent.exists():
            parent.rmdir()


# --- the rest ------------------------------------------------------------------------------------

def test_stop_signal_and_timeout(cli):
    started(cli, "--name", "usr", "--stop-signal", "SIGUSR1", "--stop-timeout", "5",
            command=("sh", "-c", "trap 'exit 33' USR1; while :; do sleep 0.1; done"))
    assert cli.inspect("usr", "Config.StopSignal") == "SIGUSR1" and cli.inspect("usr", "Config.StopTimeout") == 5
    eventually(lambda: "sleep" in cli.ok("top", "usr"), "the loop")
    cli.ok("stop", "usr")
    assert cli.inspect("usr", "State.ExitCode") == 33


def test_stop_timeout_ends_in_a_kill(cli):
    started(cli, "--name", "deaf", "--stop-timeout", "1", command=("sh", "-c", "trap '' TERM; echo deaf; while :; do sleep 0.1; done"))
    eventually(lambda: cli.ok("logs", "deaf") == "deaf", "the trap")
    cli.ok("stop", "deaf")
    assert cli.inspect("deaf", "State.ExitCode") == 137


def test_attach_to_one_stream(cli):
    done = cli.run("run", "--rm", "-a", "stderr", BOX, "sh", "-c", "echo out; echo err >&2")
    assert (done.code, done.out, done.err) == (0, "", "err\n")


def test_label_file(cli, engine):
    listed = engine.folder() / "labels"
    listed.write_text("# a comment\none=1\nempty=\nbare\n")
    cli.ok("create", "--name", "labelled", "--label-file", listed, "--label", "two=2", "--label", "alone", BOX)
    labels = cli.inspect("labelled", "Config.Labels")
    assert labels.items() >= {"one": "1", "two": "2", "empty": "", "alone": ""}.items()
    assert "bare" not in labels, "a line without '=' is none, as it is to docker"


def test_volumes_from(cli, engine):
    folder = engine.folder()
    started(cli, "--name", "source", "-v", "given:/volume", "-v", f"{folder}:/bind:ro")
    cli.ok("exec", "source", "sh", "-c", "echo shared > /volume/f")
    assert run(cli, "--volumes-from", "source", BOX, "sh", "-c", "cat /volume/f; touch /bind/x 2>&1 || true").splitlines()[0] == "shared"
    cli.fails("run", "--rm", "--volumes-from", "source:ro", BOX, "touch", "/volume/g", says="(?i)read-only")
    cli.fails("run", "--rm", "--volumes-from", "nosuch", BOX, "true", says="(?i)no such container")


@pytest.mark.parametrize("way", ["Mounts", "Binds"])
@pytest.mark.parametrize("version, writable", [("1.43", True), ("1.44", False)])
def test_what_is_mounted_below_a_read_only_bind(docker, engine, version, writable, way):
    folder = engine.folder()
    (folder / "below").mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "below", str(folder / "below")], check=True)
    try:
        mount = {"Type": "bind", "Source": str(folder), "Target": "/x", "ReadOnly": True}
        host = {"Mounts": [mount]} if way == "Mounts" else {"Binds": [f"{folder}:/x:ro"]}
        body = {"Image": BOX, "Cmd": ["touch", "/x/below/f"], "HostConfig": host}
        number = engine.api.post(f"/v{version}/containers/create", body).json()["Id"]
        assert (docker.run("start", "-a", number).code == 0) is writable
        docker.ok("rm", number)
    finally:
        subprocess.run(["umount", str(folder / "below")], check=True)


@pytest.mark.client(24)
def test_read_only_that_must_be_recursive(cli, engine):
    folder = engine.folder()
    flags = f"type=bind,src={folder},dst=/x,readonly,bind-propagation=rprivate,bind-recursive=readonly"
    cli.fails("run", "--rm", "--mount", flags, BOX, "touch", "/x/f", says="(?i)read-only")


@pytest.mark.corten_only
def test_read_only_that_cannot_be_recursive(engine):
    mount = {"Type": "bind", "Source": "/tmp", "Target": "/x", "BindOptions": {"ReadOnlyForceRecursive": True}}
    done = engine.api.post("/containers/create", {"Image": BOX, "Cmd": ["true"], "HostConfig": {"Mounts": [mount]}})
    assert done.status == 400 and "ReadOnlyForceRecursive" in done.json()["message"], done


def test_bind_that_shows_the_data_root_lets_go(cli, engine):
    """Else what is mounted in it, for other containers too, could not be taken down while this one runs."""
    cli.ok("create", "--name", "host", "-v", "/:/host", BOX)
    cli.ok("create", "--name", "other", "-v", "/etc:/host", BOX)
    assert cli.inspect("host", "Mounts")[0]["Propagation"] == "rslave"
    assert cli.inspect("other", "Mounts")[0]["Propagation"] == "rprivate"


# --- update --------------------------------------------------------------------------------------

@pytest.mark.parametrize("policy, status, says", [
    ({"Name": "sometimes"}, 400, "unknown policy 'sometimes'"),
    ({"Name": "always", "MaximumRetryCount": 3}, 400, "maximum retry count can only be used with 'on-failure'"),
    ({"Name": "on-failure", "MaximumRetryCount": -3}, 400, "maximum retry count cannot be negative"),
])
def test_update_to_a_bad_restart_policy(docker, engine, policy, status, says):
    number = started(docker)
    done = engine.api.post(f"/containers/{number}/update", {"RestartPolicy": policy})
    assert done.status == status and says in done.json()["message"], done
    assert docker.inspect(number, "HostConfig.RestartPolicy.Name") in ("", "no")


def test_update_of_the_restart_policy_with_rm(docker, engine):
    number = started(docker, "--rm")
    done = engine.api.post(f"/containers/{number}/update", {"RestartPolicy": {"Name": "always"}})
    assert done.status == 409 and "AutoRemove is enabled" in done.json()["message"], done


@pytest.mark.corten_only
@pytest.mark.parametrize("limits", [{"MemorySwappiness": 10}, {"Ulimits": [{"Name": "nofile", "Soft": 1, "Hard": 1}]}, {"OomKillDisable": True},
                                    {"BlkioDeviceReadBps": [{"Path": "/dev/null", "Rate": 1}]}, {"KernelMemory": 10 << 20}])
def test_update_of_what_cannot_be_changed_names_it(docker, engine, limits):
    done = engine.api.post(f"/containers/{started(docker)}/update", limits)
    assert done.status == 501 and next(iter(limits)) in done.json()["message"], done


# --- health --------------------------------------------------------------------------------------

def test_health_start_period_and_interval(cli):
    """In the start period probes come at their own pace, and failures do not count."""
    started(cli, "--name", "slow", "--health-cmd", "test -e /up", "--health-interval", "1h", "--health-retries", "1",
            "--health-start-period", "1h", "--health-start-interval", "100ms")
    eventually(lambda: len(cli.inspect("slow", "State.Health.Log") or []) >= 3, "three early probes")
    assert cli.inspect("slow", "State.Health.Status") == "starting" and cli.inspect("slow", "State.Health.FailingStreak") == 0
    cli.ok("exec", "slow", "touch", "/up")
    eventually(lambda: cli.inspect("slow", "State.Health.Status") == "healthy", "health")


def test_platform(cli):
    assert run(cli, "--platform", "linux/amd64", BOX, "echo", "ok") == "ok"
    cli.fails("run", "--rm", "--platform", "linux/s390x", "--pull", "never", BOX, "true", code=125)


def test_pull_policy(cli, box_reference, engine):
    cli.fails("run", "--rm", "--pull", "never", "nosuch-image:1", "true", code=125, says="(?i)no such image")
    done = cli.run("run", "--rm", "--pull", "always", box_reference, "echo", "ran")
    assert done.code == 0 and done.out.endswith("ran\n"), done


def test_missing_image_is_pulled(cli, registry, box_tar):
    reference = registry.push("fetched", "1", images.image([box_tar, images.tar([images.text("note", "hello\n")])]))
    done = cli.run("run", "--rm", reference, "cat", "/note")
    assert (done.code, done.out) == (0, "hello\n"), done
    assert "Unable to find image" in done.err and "Pulling from fetched" in done.err


def test_log_driver_none(cli):
    started(cli, "--name", "mute", "--log-driver", "none", command=("echo", "x"))
    cli.ok("wait", "mute")
    cli.fails("logs", "mute", says="does not support reading|logging driver")


@pytest.mark.corten_only
@pytest.mark.parametrize("published", ["[::1]:80:80", "[::]:80:80"])
def test_ports_on_ipv6_addresses_are_refused_at_create(cli, published):
    cli.fails("create", "-p", published, BOX, code=1, says="publish on ::1? is not implemented")


@pytest.mark.corten_only
@pytest.mark.parametrize("flags", [["--gpus", "all"], ["--runtime", "kata"], ["--volume-driver", "nfs"], ["--isolation", "hyperv"], ["--link", "other"],
                                   ["--storage-opt", "other=1"], ["--link-local-ip", "169.254.1.1"]])
def test_unsupported_flag_is_named(cli, flags):
    done = cli.fails("run", "--rm", *flags, BOX, "true", code=125)
    assert re.search(flags[0].lstrip("-").replace("-", "[- ]"), done.err), done
