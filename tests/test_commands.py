"""What the commands print: ps, top, stats, port, events, cp, diff, version, info, templates."""
import gzip
import io
import json
import os
import re
import select
import tarfile
import time
import urllib.parse

import pytest
from support import cgroups, engines, http
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


def test_info_of_the_daemon(engine):
    info = engine.api.get("/info").json()
    assert "runc" in info["Runtimes"] and info["DriverStatus"][0][0] == "Backing Filesystem"
    listeners = info["NEventsListener"]
    with engine.api.socket() as s:
        s.sendall(b"GET /events HTTP/1.1\r\nHost: d\r\n\r\n")
        http.read_until(s, b"\r\n\r\n")
        assert engine.api.get("/info").json()["NEventsListener"] == listeners + 1
    for supported, warning in (("SwapLimit", "swap limit"), ("CpuCfsQuota", "cpu cfs quota"), ("CPUSet", "cpuset")):
        assert info[supported] != (f"WARNING: No {warning} support" in (info["Warnings"] or []))


@pytest.mark.corten_only
def test_info_of_proxies(tmp_path):
    """What images are pulled through, without the password."""
    daemon = engines.Daemon("proxied", environment={"HTTPS_PROXY": "http://me:secret@proxy.example:3128", "no_proxy": "localhost,.example"})
    daemon.start()
    try:
        info = daemon.api.get("/info").json()
        assert info["HttpsProxy"] == "http://xxxxx:xxxxx@proxy.example:3128" and info["NoProxy"] == "localhost,.example"
    finally:
        daemon.stop()


def test_where_the_layers_are(engine, docker):
    """Docker's names for the directories of an overlay, in which the files really are."""
    run(docker, "layered", "sh", "-c", "echo x > /written; sleep 600")
    data = docker.inspect("layered", "GraphDriver.Data")
    eventually(lambda: os.path.exists(os.path.join(data["UpperDir"], "written")), "the file in the upper directory")
    lower = data["LowerDir"].split(":")
    assert any(os.path.exists(os.path.join(folder, "etc/passwd")) for folder in lower) and os.path.isdir(data["WorkDir"])
    assert os.path.exists(os.path.join(data["MergedDir"], "written"))
    image = engine.api.get(f"/images/{BOX}/json").json()["GraphDriver"]["Data"]
    assert image["UpperDir"] in lower


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
    assert names("-a", "--filter", "name=^(o|th)[nr]") == ["three", "one"] and names("-a", "--filter", "name=w.$") == ["two"]
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


def test_ps_raw_and_quiet(cli):
    number = run(cli, "rawly", flags=["-l", "a=b"])
    lines = cli.ok("ps", "--format", "raw").splitlines()
    assert lines[0] == f"container_id: {number[:12]}" and "names: rawly" in lines and "labels: a=b" in lines and "ports:" in lines
    assert cli.ok("ps", "-q", "--format", "raw") == f"container_id: {number[:12]}"
    assert cli.ok("ps", "-q", "--format", "table {{.Names}}") == number[:12]
    lines = cli.ok("images", "--format", "raw", BOX).splitlines()
    assert lines[:2] == [f"repository: {BOX}", "tag: latest"] and lines[2].startswith("image_id: ")


def test_stats(cli):
    run(cli, "measured", "sh", "-c", "x=$(head -c 5000000 /dev/zero | tr '\\0' x); while :; do :; done", flags=["--memory", "64m"])
    eventually(lambda: float(cli.ok("stats", "--no-stream", "--format", "{{.CPUPerc}}", "measured").rstrip("%")) > 2, "a busy loop's share")
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


def told(engine, since, **filters):
    """The events of one engine since then, as (type, action, actor's attributes)."""
    query = urllib.parse.quote(json.dumps(filters))
    lines = engine.api.get(f"/events?since={since:.6f}&until={time.time():.6f}&filters={query}").body.splitlines()
    return [(e["Type"], e["Action"], e["Actor"]["Attributes"]) for e in map(json.loads, lines)]


@pytest.mark.parametrize("network, kind", [("bridge", "bridge"), ("host", "host"), ("none", "null"), ("own", "bridge")])
def test_events_of_networks(engine, docker, network, kind):
    docker.ok("network", "create", "own")
    since = time.time()
    number = docker.ok("run", "-d", "--name", "joined", "--network", network, BOX, "true")
    docker.ok("wait", "joined")
    wanted = {"container": number, "name": network, "type": kind}

    def both():
        return [a for t, a, attributes in told(engine, since, type=["network"]) if attributes == wanted] == ["connect", "disconnect"]
    eventually(both, f"a connect and a disconnect of {network}")


def test_events_of_volumes(engine, docker):
    since = time.time()
    number = docker.ok("run", "-d", "--name", "voluminous", "-v", "kept:/data", BOX, "true")
    docker.ok("wait", "voluminous")
    docker.ok("rm", "voluminous")
    docker.ok("volume", "rm", "kept")
    told_of = [(a, attributes.get("container")) for _, a, attributes in told(engine, since, type=["volume"])]
    assert told_of == [("create", None), ("mount", number), ("unmount", number), ("destroy", None)]


def test_events_of_prunes_and_saves(engine, docker):
    since = time.time()
    for kind in ("container", "network", "volume", "image"):
        docker.ok(kind, "prune", "-f")
    engine.api.post("/build/prune")
    docker.ok("save", "-o", engine.folder() / "saved.tar", BOX)
    events = told(engine, since)
    for kind in ("container", "network", "volume", "image", "builder"):
        assert [attributes for t, a, attributes in events if (t, a) == (kind, "prune")] == [{"reclaimed": "0"}], (kind, events)
    number = engine.api.get(f"/images/{BOX}/json").json()["Id"]
    assert [attributes for t, a, attributes in events if a == "save"] == [{"name": number}] or not engine.is_corten


def test_every_label_filter_of_events_counts(engine, docker):
    since = time.time()
    docker.ok("create", "--name", "both", "-l", "a=1", "-l", "b=2", BOX)
    docker.ok("create", "--name", "one", "-l", "a=1", BOX)
    assert [attributes["name"] for _, _, attributes in told(engine, since, label=["a=1", "b=2"], event=["create"])] == ["both"]


# --- prune and df ----------------------------------------------------------------------------------

def names_of(cli, kind):
    return set(cli.ok(kind, "ls", *(["-a"] if kind == "container" else []), "--format", "{{.Name" + ("s" if kind == "container" else "") + "}}").split())


def test_container_prune(cli):
    run(cli, "running")
    run(cli, "ended", "sh", "-c", "echo x > /file")
    cli.ok("wait", "ended")
    cli.ok("create", "--name", "kept", "-l", "keep", BOX)
    ended = cli.inspect("ended", "Id")
    assert "Total reclaimed space: 0B" in cli.ok("container", "prune", "-f", "--filter", "until=1h")
    out = cli.ok("container", "prune", "-f", "--filter", "label!=keep")
    assert ended in out and re.search(r"Total reclaimed space: \d", out)
    assert names_of(cli, "container") == {"running", "kept"}
    cli.fails("container", "prune", "-f", "--filter", "nosuch=1", says="(?i)invalid filter")


def test_network_prune(cli):
    for name in ("used", "unused"):
        cli.ok("network", "create", name)
    cli.ok("network", "create", "--label", "keep", "labelled")
    run(cli, "user", flags=["--network", "used"])
    assert "unused" in cli.ok("network", "prune", "-f", "--filter", "label!=keep").split()
    assert names_of(cli, "network") == {"bridge", "host", "none", "used", "labelled"}
    assert "labelled" in cli.ok("network", "prune", "-f").split()


def test_volume_prune(cli):
    cli.ok("volume", "create", "named")
    cli.ok("volume", "create", "--label", "keep", "labelled")
    run(cli, "user", flags=["-v", "held:/data"])
    anonymous = cli.ok("volume", "create")
    out = cli.ok("volume", "prune", "-f")
    assert anonymous in out and names_of(cli, "volume") == {"named", "labelled", "held"}
    assert "named" in cli.ok("volume", "prune", "-f", "-a", "--filter", "label!=keep").split()
    assert names_of(cli, "volume") == {"labelled", "held"}


def test_system_prune(cli):
    run(cli, "running")
    cli.ok("create", "--name", "made", BOX)
    cli.ok("network", "create", "unused")
    cli.ok("volume", "create", "named")
    anonymous = cli.ok("volume", "create")
    cli.fails("system", "prune", "-f", "--volumes", "--filter", "until=1h", code=1, says='"until" filter is not supported with "--volumes"')
    assert names_of(cli, "container") == {"running", "made"} and "unused" in names_of(cli, "network")
    assert "Total reclaimed space:" in cli.ok("system", "prune", "-f", "--filter", "label=nosuch")
    assert names_of(cli, "container") == {"running", "made"}
    out = cli.ok("system", "prune", "-f")
    assert "unused" in out and names_of(cli, "container") == {"running"} and anonymous in names_of(cli, "volume")
    assert anonymous in cli.ok("system", "prune", "-f", "--volumes")
    assert names_of(cli, "volume") == {"named"} and names_of(cli, "network") == {"bridge", "host", "none"}
    assert cli.ok("images", "-q", BOX)


def test_df(cli):
    run(cli, "writer", "sh", "-c", "head -c 3000000 /dev/zero > /data/file; head -c 2000000 /dev/zero > /own; touch /ready; sleep 600", flags=["-v", "full:/data"])
    eventually(lambda: cli.run("exec", "writer", "test", "-e", "/ready").code == 0, "the files")
    rows = [line.split() for line in cli.ok("system", "df", "--format", "{{.Type}}|{{.TotalCount}}|{{.Active}}|{{.Size}}").replace(" ", "").split("\n")]
    kinds = {row[0].split("|")[0]: row[0].split("|")[1:] for row in rows}
    assert kinds["Containers"][:2] == ["1", "1"] and kinds["LocalVolumes"] == ["1", "1", "3MB"]
    out = cli.ok("system", "df", "-v")
    assert re.search(r"(?m)^REPOSITORY +TAG +IMAGE ID +CREATED +SIZE +SHARED SIZE +UNIQUE SIZE +CONTAINERS$", out)
    assert re.search(r"(?m)^\S*busybox +latest +\w{12} .* 1$", out)
    assert re.search(r"(?m)^CONTAINER ID +IMAGE +COMMAND +LOCAL VOLUMES +SIZE +CREATED +STATUS +NAMES$", out)
    assert re.search(r'(?m)^\w{12} +busybox +"sh -c .*" +1 +2\.?\d*MB +.* ago +Up .* +writer$', out)
    assert re.search(r"(?m)^VOLUME NAME +LINKS +SIZE$\nfull +1 +3MB$", out)
    assert re.search(r"(?m)^Build cache usage: 0B$", out)
    assert cli.ok("system", "df", "-v", "--format", "{{range .Volumes}}{{.Name}} {{.Links}}{{end}}") == "full 1"


def test_df_of_one_type(engine):
    """The others are not even looked for: they are null."""
    for kind, member in (("container", "Containers"), ("image", "Images"), ("volume", "Volumes"), ("build-cache", "BuildCache")):
        usage = engine.api.get(f"/v1.43/system/df?type={kind}").json()
        lists = {name for name in ("Containers", "Images", "Volumes", "BuildCache") if usage.get(name) is not None}
        assert lists == {member}


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


def test_archive_is_packed_for_who_asks(engine, docker):
    docker.ok("create", "--name", "packed", BOX)
    plain = engine.api.get("/containers/packed/archive?path=/etc/passwd", headers={"Accept-Encoding": "gzip;q=0"})
    packed = engine.api.get("/containers/packed/archive?path=/etc/passwd", headers={"Accept-Encoding": "deflate;q=0.5, gzip"})
    assert "Content-Encoding" not in plain.headers and packed.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(packed.body) == plain.body
    missing = engine.api.get("/containers/packed/archive?path=/nosuch", headers={"Accept-Encoding": "gzip"})
    assert missing.status == 404 and "Content-Encoding" not in missing.headers and missing.message


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


@pytest.mark.corten_only
def test_what_the_stock_command_has_and_ours_has_not(corten):
    for verb, advice in (("build", "bootstrap"), ("compose", "DOCKER_HOST"), ("context", "-H"), ("swarm", "swarm"), ("plugin", "plugins")):
        corten.fails(verb, "ls", code=1, says=f"corten {verb} is not implemented: .*{advice}")
    corten.fails("start", "--checkpoint", "x", "y", says="--checkpoint is not supported: checkpoints")
    corten.fails("pull", "--disable-content-trust=false", "x", says="signatures")
    assert "No such image" in corten.fails("run", "--rm", "--pull", "never", "--disable-content-trust", "nosuch:1").err


@pytest.mark.parametrize("flags", [["-D"], ["--debug"], ["-l", "warn"], ["--log-level=fatal"], ["-c", "default"], ["--context", "default"]])
def test_global_flags(cli, flags):
    assert BOX in cli.ok(*flags, "images")


def test_global_flags_that_are_wrong(cli):
    cli.fails("-l", "loud", "images", code=1, says="(?i)unable to parse logging level: loud")
    cli.fails("--context", "nosuch", "images", code=1, says="nosuch")


def test_unknown_command(cli):
    done = cli.run("nosuchverb")
    assert done.code != 0 and "nosuchverb" in done.err
