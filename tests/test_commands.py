"""What the commands print: ps, top, stats, port, events, cp, diff, version, info, templates."""
import io
import json
import os
import re
import select
import tarfile
import time

import pytest
from support import cgroups
from support.engines import BOX
from support.wait import eventually


def run(cli, name, *command, flags=()):
    return cli.ok("run", "-d", "--name", name, *flags, BOX, *(command or ("sleep", "600")))


# --- version and info ----------------------------------------------------------------------------

def test_version(cli):
    out = cli.ok("version")
    assert re.search(r"(?m)^Client:", out) and re.search(r"(?m)^Server:", out) and re.search(r"API version:\s+1\.\d+", out)
    assert re.fullmatch(r"1\.\d+", cli.ok("version", "--format", "{{.Server.APIVersion}}"))
    assert json.loads(cli.ok("version", "--format", "{{json .Server}}"))["Os"] == "linux"


def test_info(cli):
    out = cli.ok("info")
    for key in ("Containers:", "Images:", "Storage Driver:", "Cgroup Version:", "Kernel Version:", "CPUs:", "Total Memory:"):
        assert key in out
    assert cli.ok("info", "--format", "{{.NCPU}} {{.OSType}}") == f"{os.cpu_count()} linux"
    assert cli.ok("info", "-f", "{{.CgroupVersion}}") == ("2" if cgroups.is_v2() else "1")


def test_info_counts(cli):
    run(cli, "up")
    cli.ok("create", "--name", "made", BOX)
    assert cli.ok("info", "-f", "{{.Containers}} {{.ContainersRunning}} {{.ContainersStopped}}") == "2 1 1"


# --- ps ------------------------------------------------------------------------------------------

def test_ps_table(cli):
    number = run(cli, "shown", "sleep", "12345", flags=["-p", "127.0.0.1::80"])
    header, row = cli.ok("ps").splitlines()
    assert re.match(r"CONTAINER ID +IMAGE +COMMAND +CREATED +STATUS +PORTS +NAMES$", header)
    assert re.match(rf'{number[:12]} +busybox +"sleep 12345" +(Less than a second|\d+ seconds?|About a minute) ago +Up .* +127\.0\.0\.1:\d+->80/tcp +shown$', row)


def test_ps_all_last_quiet_and_filters(cli):
    one = run(cli, "one", flags=["-l", "kind=a"])
    two = cli.ok("create", "--name", "two", "-l", "kind=b", BOX)
    run(cli, "three", "sh", "-c", "exit 3")
    cli.ok("wait", "three")

    def names(*flags):
        return cli.ok("ps", "--format", "{{.Names}}", *flags).split()
    assert names() == ["one"]
    assert names("-a") == ["three", "two", "one"]
    assert names("-n", "1") == ["three"] and names("-l") == ["three"]
    assert cli.ok("ps", "-q", "--no-trunc") == one
    assert names("-a", "--filter", "status=created") == ["two"]
    assert names("-a", "--filter", "exited=3") == ["three"]
    assert names("-a", "--filter", "label=kind=b") == ["two"] and names("-a", "-f", "label=kind") == ["two", "one"]
    assert names("-a", "--filter", "name=^t") == ["three", "two"]
    assert names("-a", "--filter", f"id={two[:6]}") == ["two"]
    assert names("-a", "--filter", f"ancestor={BOX}") == ["three", "two", "one"]
    assert names("-a", "--filter", "before=two") == ["one"] and names("-a", "--filter", "since=two") == ["three"]
    assert "Exited (3)" in cli.ok("ps", "-a", "-f", "name=three", "--format", "{{.Status}}")
    cli.fails("ps", "--filter", "nosuch=1", says="(?i)invalid filter")


def test_ps_formats(cli):
    number = run(cli, "fmt", flags=["-l", "a=b"])
    assert cli.ok("ps", "--format", "{{.ID}}|{{.Image}}|{{.Command}}|{{.State}}|{{.Label \"a\"}}") == f'{number[:12]}|busybox|"sleep 600"|running|b'
    assert json.loads(cli.ok("ps", "--format", "json"))["Names"] == "fmt"
    assert json.loads(cli.ok("ps", "--format", "{{json .}}"))["State"] == "running"
    assert cli.ok("ps", "--format", "table {{.Names}}\t{{.State}}").splitlines() == ["NAMES     STATE", "fmt       running"]
    assert cli.ok("ps", "--format", "{{upper .Names}} {{len .Names}}") == "FMT 3"
    cli.fails("ps", "--format", "{{.NoSuch}}", says="(?i)NoSuch|template")


def test_ps_size(cli):
    run(cli, "sized", "sh", "-c", "head -c 2000000 /dev/zero > /big; sleep 600")
    eventually(lambda: re.match(r"2\.?\d*MB \(virtual", cli.ok("ps", "-s", "--format", "{{.Size}}")), "the size")


def test_inspect_templates(cli):
    number = run(cli, "tpl", flags=["-e", "A=1", "-p", "127.0.0.1::80"])
    assert cli.ok("inspect", "-f", "{{.Id}}", "tpl") == number
    assert cli.ok("inspect", "-f", "{{range .Config.Env}}{{println .}}{{end}}", "tpl").splitlines()[0] == "A=1"
    assert cli.ok("inspect", "-f", "{{if .State.Running}}yes{{else}}no{{end}}", "tpl") == "yes"
    assert cli.ok("inspect", "-f", '{{(index (index .NetworkSettings.Ports "80/tcp") 0).HostIp}}', "tpl") == "127.0.0.1"
    assert cli.ok("inspect", "-f", "{{json .Config.Cmd}}", "tpl") == '["sleep","600"]'
    assert re.match(r"10\.|172\.", cli.ok("inspect", "-f", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", "tpl"))
    assert [c["Name"] for c in cli.json("inspect", "tpl", "--type", "container")] == ["/tpl"]


# --- top, stats, port ----------------------------------------------------------------------------

def test_top(cli, engine):
    run(cli, "topped", "sh", "-c", "sleep 1234 & sleep 5678; true")
    eventually(lambda: "sleep 5678" in cli.ok("top", "topped"), "both processes")
    lines = cli.ok("top", "topped").splitlines()
    assert lines[0].split()[:3] == ["UID", "PID", "PPID"] and len(lines) == 4
    assert str(engine.host_pid("topped")) in {line.split()[1] for line in lines[1:]}
    assert cli.ok("top", "topped", "-o", "pid,comm").splitlines()[0].split() == ["PID", "COMMAND"]
    cli.ok("stop", "-t", "0", "topped")
    cli.fails("top", "topped", code=1, says="is not running")


def test_stats(cli):
    run(cli, "measured", "sh", "-c", "x=$(head -c 5000000 /dev/zero | tr '\\0' x); while :; do :; done", flags=["--memory", "64m"])
    eventually(lambda: float(cli.ok("stats", "--no-stream", "--format", "{{.CPUPerc}}", "measured").rstrip("%")) > 20, "a busy loop's share")
    line = json.loads(cli.ok("stats", "--no-stream", "--format", "json", "measured"))
    assert line["Name"] == "measured" and line["MemUsage"].endswith("/ 64MiB") and int(line["PIDs"]) >= 1
    assert re.match(r"[\d.]+[kKM]?i?B / ", line["NetIO"])


def test_stats_streams(engine, docker):
    run(docker, "streamed")
    with engine.api.socket() as s:
        s.sendall(b"GET /v1.43/containers/streamed/stats?stream=1 HTTP/1.1\r\nHost: d\r\n\r\n")
        got = b""
        while got.count(b'"preread"') < 2:
            got += s.recv(65536)


def test_stats_of_a_stopped_container(engine, docker):
    docker.ok("create", "--name", "off", BOX)
    found = engine.api.get("/containers/off/stats?stream=0")
    assert found.status == 200 and found.json()["name"] == "/off"


def test_port(cli):
    run(cli, "ported", flags=["-p", "127.0.0.1::80", "-p", "127.0.0.1::53/udp"])
    assert set(re.sub(r":\d+$", "", line) for line in cli.ok("port", "ported").splitlines()) == {"80/tcp -> 127.0.0.1", "53/udp -> 127.0.0.1"}
    assert re.fullmatch(r"127\.0\.0\.1:\d+", cli.ok("port", "ported", "53/udp"))
    cli.fails("port", "ported", "81", code=1, says="(?i)no public port")


# --- events --------------------------------------------------------------------------------------

def test_events_of_a_run(cli):
    since = time.time()
    number = cli.ok("run", "-d", "--name", "eventful", "-l", "mine=1", BOX, "sh", "-c", "exit 3")
    cli.ok("wait", "eventful")
    cli.ok("rename", "eventful", "renamed")
    cli.ok("rm", "renamed")
    lines = cli.ok("events", "--since", f"{since:.6f}", "--until", f"{time.time() + 0.5:.6f}", "--filter", f"container={number}",
                   "--format", "{{json .}}").splitlines()
    events = [json.loads(line) for line in lines]
    actions = [e["Action"] for e in events if e["Type"] == "container"]
    assert [a for a in actions if a != "attach"] == ["create", "start", "die", "rename", "destroy"]
    died = next(e for e in events if e["Action"] == "die")
    assert died["Actor"]["ID"] == number and died["Actor"]["Attributes"]["exitCode"] == "3"
    assert died["Actor"]["Attributes"]["mine"] == "1" and died["Actor"]["Attributes"]["image"] == BOX
    assert int(died["timeNano"]) // 10**9 == died["time"]


def test_events_come_live_and_filtered(cli):
    process = cli.popen("events", "--filter", "event=start", "--filter", "type=container", "--format", "{{.Action}} {{.Actor.Attributes.name}}")
    try:
        def seen():
            # Only what happens after the client has subscribed comes: start one after the other until it has.
            cli.ok("run", "-d", "--name", f"live{time.monotonic_ns()}", BOX, "true")
            return select.select([process.stdout], [], [], 1)[0]
        eventually(seen, "an event")
        assert re.match(rb"start live\d+\n", process.stdout.readline())
    finally:
        process.kill()
        process.wait(10)


def test_events_of_kill_stop_pause_exec(cli):
    since = time.time()
    run(cli, "ev")
    cli.ok("pause", "ev")
    cli.ok("unpause", "ev")
    cli.ok("exec", "ev", "true")
    cli.ok("stop", "-t", "0", "ev")
    out = cli.ok("events", "--since", f"{since:.6f}", "--until", f"{time.time() + 0.5:.6f}", "--filter", "container=ev", "--format", "{{.Action}}")
    actions = out.splitlines()
    for wanted in ("create", "start", "pause", "unpause", "exec_create: true", "exec_start: true", "exec_die", "kill", "die", "stop"):
        assert any(a.strip() == wanted for a in actions), f"{wanted} is not in {actions}"


# --- cp and diff ---------------------------------------------------------------------------------

def test_cp_in_and_out(cli, engine):
    folder = engine.folder()
    (folder / "one").write_text("content")
    os.chmod(folder / "one", 0o640)
    run(cli, "copied")
    cli.ok("cp", folder / "one", "copied:/tmp/")
    assert cli.ok("exec", "copied", "cat", "/tmp/one") == "content"
    assert cli.ok("exec", "copied", "stat", "-c", "%a", "/tmp/one") == "640"
    cli.ok("cp", folder / "one", "copied:/tmp/two")
    cli.ok("cp", "copied:/tmp/two", folder / "back")
    assert (folder / "back").read_text() == "content"
    cli.ok("cp", "copied:/etc", folder / "etc")
    assert (folder / "etc" / "passwd").exists()
    cli.ok("cp", folder / "etc", "copied:/copy")
    assert "alice" in cli.ok("exec", "copied", "cat", "/copy/passwd")


def test_cp_of_a_stopped_container(cli, engine):
    folder = engine.folder()
    (folder / "f").write_text("x")
    cli.ok("create", "--name", "cold", BOX, "cat", "/f")
    cli.ok("cp", folder / "f", "cold:/f")
    assert cli.ok("start", "-a", "cold") == "x"
    cli.ok("cp", "cold:/etc/passwd", folder / "passwd")
    assert "alice" in (folder / "passwd").read_text()


def test_cp_streams(cli):
    run(cli, "streamy")
    done = cli.run("cp", "streamy:/etc/passwd", "-")
    with tarfile.open(fileobj=io.BytesIO(done.raw)) as archive:
        assert archive.getnames() == ["passwd"]
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        info = tarfile.TarInfo("from-stdin")
        info.size = 3
        archive.addfile(info, io.BytesIO(b"abc"))
    cli.ok("cp", "-", "streamy:/tmp", input=made.getvalue())
    assert cli.ok("exec", "streamy", "cat", "/tmp/from-stdin") == "abc"


def test_cp_of_what_is_missing(cli, engine):
    run(cli, "mm")
    cli.fails("cp", "mm:/no/such", engine.folder(), code=1, says="(?i)could not find the file /no/such")
    cli.fails("cp", "/no/such", "mm:/", code=1, says="(?i)no such file")
    cli.fails("cp", "nosuch:/etc", engine.folder(), code=1, says="(?i)no such container")


def test_cp_stays_inside_the_container(cli, engine):
    """A link that points out of the container is resolved inside it, in both directions."""
    folder = engine.folder()
    (folder / "payload").write_text("x")
    run(cli, "links", "sh", "-c", "ln -s / /escape; ln -s /../../../etc/hostname /up; mkdir -p /tmp/corten-in; touch /ready; sleep 600")
    eventually(lambda: cli.run("exec", "links", "test", "-e", "/ready").code == 0, "the links")
    cli.ok("cp", folder / "payload", "links:/escape/tmp/corten-in/payload")
    assert cli.ok("exec", "links", "cat", "/tmp/corten-in/payload") == "x" and not os.path.exists("/tmp/corten-in")
    cli.ok("cp", "-L", "links:/up", folder / "out")
    assert (folder / "out").read_text() != open("/etc/hostname").read()


def test_diff(cli):
    run(cli, "changed", "sh", "-c", "echo x > /added; rm /etc/group; echo y >> /etc/passwd; touch /ready; sleep 600")
    eventually(lambda: "A /ready" in cli.ok("diff", "changed"), "the changes")
    assert {"A /added", "D /etc/group", "C /etc/passwd", "C /etc"} <= set(cli.ok("diff", "changed").splitlines())


# --- help ----------------------------------------------------------------------------------------

@pytest.mark.parametrize("verb", ["run", "ps", "pull", "exec", "cp", "logs", "images", "network", "volume"])
def test_help(cli, verb):
    out = cli.ok(verb, "--help")
    assert "Usage:" in out and verb in out


def test_unknown_command(cli):
    done = cli.run("nosuchverb")
    assert done.code != 0 and "nosuchverb" in done.err
