"""Confinement by the kernel's security modules: AppArmor in the runtime and in the engine."""
import os
import uuid
from pathlib import Path

import pytest

from support import apparmor, cgroups, engines
from support.bundles import message
from support.engines import BOX
from support.wait import eventually

pytestmark = pytest.mark.corten_only
WHY_NOT = apparmor.complaint()
confines = pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT or "-")
CURRENT = "cat /proc/self/attr/current"
MISSING = r'no profile \"corten-t-missing\" is loaded on this host'


@pytest.fixture(scope="module")
def profile():
    """One under which nothing below /tmp/denied can be written."""
    with apparmor.profile("deny /tmp/denied/** w") as name:
        yield name


@pytest.fixture
def name() -> str:
    return f"corten-t-{uuid.uuid4().hex[:12]}"


@pytest.fixture
def confined(bundle, profile):
    (bundle.root / "tmp" / "denied").mkdir()
    bundle.config["process"]["apparmorProfile"] = profile
    return bundle


# --- The runtime --------------------------------------------------------------------------------------------------


@confines
@pytest.mark.parametrize("no_new_privileges", [True, False])
def test_process_runs_under_its_profile(runtime, confined, name, profile, no_new_privileges):
    confined.config["process"]["noNewPrivileges"] = no_new_privileges
    confined.shell(f"{CURRENT}; touch /tmp/allowed && touch /tmp/denied/x 2>/dev/null || echo refused")
    assert runtime.output(name, confined) == f"{profile} (enforce)\nrefused\n"
    assert (confined.root / "tmp" / "allowed").exists() and not (confined.root / "tmp" / "denied" / "x").exists()


@confines
@pytest.mark.parametrize("wanted", ["", "unconfined"])
def test_process_without_a_profile_is_not_confined(runtime, confined, name, wanted):
    confined.config["process"]["apparmorProfile"] = wanted
    assert runtime.output(name, confined.shell(f"{CURRENT}; touch /tmp/denied/x")) == "unconfined\n"


@confines
def test_profile_holds_in_a_user_namespace(runtime, open_folder, bundle, profile, name):
    bundle.config["process"]["apparmorProfile"] = profile
    bundle.config["linux"]["namespaces"].append({"type": "user"})
    bundle.config["linux"]["uidMappings"] = bundle.config["linux"]["gidMappings"] = [{"containerID": 0, "hostID": 0, "size": 65536}]
    assert runtime.output(name, bundle.shell(CURRENT)) == f"{profile} (enforce)\n"


@confines
def test_exec_has_the_containers_profile_unless_it_is_told_another(runtime, confined, name, profile):
    runtime.start(name, confined.save("sleep", "1000"))
    assert runtime.ok("exec", name, "cat", "/proc/self/attr/current") == f"{profile} (enforce)\n"
    runtime.fails("exec", name, "touch", "/tmp/denied/x")
    assert runtime.ok("exec", "--apparmor", "unconfined", name, "cat", "/proc/self/attr/current") == "unconfined\n"
    runtime.ok("exec", "--apparmor", "unconfined", name, "touch", "/tmp/denied/x")
    missing = runtime.fails("exec", "--apparmor", "corten-t-missing", name, "true", says=MISSING, code=255)
    assert "process.apparmorProfile" in message(missing)


@confines
def test_profile_that_is_not_loaded_is_an_error_of_create_that_leaves_nothing(runtime, bundle, name):
    bundle.config["process"]["apparmorProfile"] = "corten-t-missing"
    before = apparmor.loaded()
    for command in ("create", "run"):
        done = runtime.fails(command, "--bundle", bundle.save("true").path, name, says=MISSING)
        assert "process.apparmorProfile" in message(done)
        assert not (runtime.root / name).exists()
        assert not [at for at in cgroups.mounts().values() if list(at.glob(f"**/{name}"))]
    assert apparmor.loaded() == before


@confines
@pytest.mark.parametrize("fake", ["file", "link"])
def test_cve_2019_16884_profile_is_not_written_to_files_of_the_image(runtime, confined, name, profile, fake):
    """The root has no procfs, and a file of its own where the label would go: the process would run unconfined."""
    for kind in ("proc", "sysfs", "cgroup"):
        confined.config["mounts"] = [m for m in confined.config["mounts"] if m["type"] != kind]
    confined.config["linux"]["maskedPaths"] = confined.config["linux"]["readonlyPaths"] = []
    files = [confined.root / "proc" / who / "attr" / where for who in ("self", "1") for where in ("exec", "apparmor/exec")]
    for at in files:
        at.parent.mkdir(parents=True, exist_ok=True)
        at.write_text("untouched\n") if fake == "file" else at.symlink_to("/dev/null")
    runtime.start(name, confined.save("sleep", "1000"))
    current = f"/proc/{runtime.state(name)['pid']}/attr/current"
    with open(current, encoding="utf-8") as label:
        assert label.read() == f"{profile} (enforce)\n"
    runtime.fails("exec", name, "touch", "/tmp/denied/x")
    assert fake == "link" or all(at.read_text() == "untouched\n" for at in files)


@confines
@pytest.mark.parametrize("where", ["a link of the root", "a volume over it"])
def test_cve_2023_28642_proc_that_is_not_the_kernels_runs_nothing(runtime, confined, folder, name, where):
    if where == "a link of the root":
        (confined.root / "elsewhere").mkdir()
        (confined.root / "proc").rmdir()
        (confined.root / "proc").symlink_to("elsewhere")
    else:
        (folder / "volume").mkdir()
        confined.mount("/proc", folder / "volume")
    done = runtime.fails("run", "--bundle", confined.shell(CURRENT).path, name)
    assert "/proc" in message(done) and done.out == ""


@confines
def test_cve_2025_52881_exec_does_not_write_its_profile_where_the_container_says(runtime, confined, folder, name, profile):
    """The container mounts a tmpfs with files of those names over its /proc before the exec comes."""
    confined.config["process"]["capabilities"] = {k: ["CAP_SYS_ADMIN"] for k in ("bounding", "effective", "permitted")}
    script = ("mount -t tmpfs none /proc && mkdir -p /proc/self/attr/apparmor && "
              "touch /proc/self/attr/exec /proc/self/attr/apparmor/exec && touch /tmp/ready; exec sleep 1000")
    runtime.start(name, confined.shell(script))
    eventually((confined.root / "tmp" / "ready").exists, "the tmpfs over /proc")
    assert runtime.ok("exec", name, "cat", "/proc/self/attr/exec") == ""
    runtime.fails("exec", name, "touch", "/tmp/denied/x")


def test_profile_on_a_host_without_apparmor_is_an_error(runtime, bundle, name):
    if apparmor.ENABLED.exists():
        pytest.skip("this kernel has AppArmor")
    bundle.config["process"]["apparmorProfile"] = "corten-t-some"
    runtime.fails("run", "--bundle", bundle.save("true").path, name, says="this host has no AppArmor")
    bundle.config["process"]["apparmorProfile"] = "unconfined"
    assert runtime.output(name, bundle.shell("echo runs")) == "runs\n"
    runtime.start(name, bundle.save("sleep", "1000"))
    runtime.fails("exec", "--apparmor", "corten-t-some", name, "true", says="process.apparmorProfile", code=255)
    runtime.fails("exec", "--process-label", "u:r:t:s0", name, "true", says="process.selinuxLabel", code=255)


# --- The engine ---------------------------------------------------------------------------------------------------

DEFAULT = "corten-default"
# Files that docker-default denies, which the container's own capabilities and masks leave open here. Opened, not changed.
OPEN_ALL = ("--cap-add", "SYS_ADMIN", "--cap-add", "SYS_RAWIO",
            "--security-opt", "systempaths=unconfined", "--security-opt", "seccomp=unconfined")
DENIED = (": > /proc/sysrq-trigger", ": >> /proc/sys/kernel/domainname", ": >> /proc/sys/vm/swappiness", ": < /proc/kcore",
          "ls /sys/firmware/acpi > /dev/null", "mount -t tmpfs none /mnt")


@confines
def test_container_has_the_default_profile_and_its_execs_too(cli):
    cli.ok("run", "-d", "--name", "box", BOX, "sleep", "1000")
    assert cli.inspect("box", "AppArmorProfile") == DEFAULT
    for options in ((), ("--privileged",), ("-u", "1000")):
        assert cli.ok("exec", *options, "box", "cat", "/proc/self/attr/current") == f"{DEFAULT} (enforce)"
    assert cli.ok("exec", "box", "cat", "/proc/1/attr/current") == f"{DEFAULT} (enforce)"
    cli.ok("stop", "-t", "0", "box")
    assert "name=apparmor" in cli.json("info", "--format", "{{json .SecurityOptions}}")


@confines
def test_default_profile_denies_what_capabilities_and_masks_leave_open(cli):
    script = "mkdir -p /mnt; " + "; ".join(f"({rule}) 2>/dev/null && echo '{rule}'" for rule in DENIED) + "; :"
    assert cli.ok("run", "--rm", *OPEN_ALL, BOX, "sh", "-c", script) == ""
    out = cli.ok("run", "--rm", *OPEN_ALL, "--security-opt", "apparmor=unconfined", BOX, "sh", "-c", script)
    assert out.splitlines() == list(DENIED)


@confines
def test_default_profile_leaves_containers_their_work(docker):
    """Signals and traces among their own processes, shared memory, control groups."""
    script = ("sleep 1000 & kill -0 $! && cat /proc/$!/environ > /dev/null && kill $! && : > /dev/shm/x && umount /dev/shm && "
              "ls /sys/fs/cgroup > /dev/null && : >> /proc/self/oom_score_adj && echo fine")
    assert docker.ok("run", "--rm", "--init", "--cap-add", "SYS_ADMIN", BOX, "sh", "-c", script).splitlines()[-1] == "fine"


@confines
@pytest.mark.parametrize("options", [("--privileged",), ("--security-opt", "apparmor=unconfined")])
def test_privileged_and_unconfined_containers_have_no_profile(cli, options):
    cli.ok("run", "-d", "--name", "free", *options, BOX, "sleep", "1000")
    assert cli.inspect("free", "AppArmorProfile") == "unconfined"
    for which in ("1", "self"):
        assert cli.ok("exec", "free", "cat", f"/proc/{which}/attr/current") == "unconfined"


@confines
def test_profile_of_ones_own(cli, profile):
    cli.ok("run", "-d", "--name", "own", "--privileged", "--security-opt", f"apparmor={profile}", BOX, "sleep", "1000")
    assert cli.inspect("own", "AppArmorProfile") == profile
    assert cli.ok("exec", "own", "cat", "/proc/self/attr/current") == f"{profile} (enforce)"
    cli.ok("exec", "own", "mkdir", "/tmp/denied")
    cli.fails("exec", "own", "touch", "/tmp/denied/x")


@confines
def test_profile_that_is_not_loaded_is_an_error_of_start_that_leaves_nothing(cli, engine):
    done = cli.fails("run", "--name", "odd", "--security-opt", "apparmor=corten-t-missing", BOX, "true",
                     says='no profile "corten-t-missing" is loaded on this host')
    assert "process.apparmorProfile" in done.err
    found = engine.api.get("/containers/odd/json").json()
    assert found["State"]["Status"] == "created" and found["State"]["Pid"] == 0
    assert not [at for at in cgroups.mounts().values() if (at / "corten" / found["Id"]).exists()]


@confines
def test_volume_over_proc_runs_nothing(cli, engine):
    cli.fails("run", "--name", "fake", "-v", f"{engine.folder()}:/proc", BOX, "true", says="/proc")
    assert engine.api.get("/containers/fake/json").json()["State"]["Status"] == "created"


@confines
def test_default_profile_that_was_taken_away_is_loaded_again(docker):
    if os.environ.get("CORTEN_TEST_EXCLUSIVE") != "1":
        pytest.skip("containers of other daemons on this host may need the profile")
    (apparmor.LOADED.parent / ".remove").write_text(DEFAULT)
    assert DEFAULT not in apparmor.loaded()
    assert docker.ok("run", "--rm", BOX, "cat", "/proc/self/attr/current") == f"{DEFAULT} (enforce)"
    assert DEFAULT in apparmor.loaded()


@confines
def test_without_its_parser_the_daemon_warns_and_gives_no_profile(box_reference):
    hiding = ["unshare", "-m", "sh", "-c", 'mount -t tmpfs none /sys/kernel/security; exec "$@"', "hiding"]
    hidden = engines.Daemon("noparser", prefix=hiding)
    try:
        engines.pull(hidden.start(), box_reference, BOX)
        info = hidden.api.get("/info").json()
        assert "apparmor" not in "".join(info["SecurityOptions"]) and "apparmor_parser" in "".join(info["Warnings"])
        assert "apparmor_parser" in hidden.logs()
        docker = hidden.client("docker")
        assert docker.ok("run", "--name", "bare", BOX, "cat", "/proc/self/attr/current") == "unconfined"
        assert docker.inspect("bare", "AppArmorProfile") == ""
    finally:
        hidden.stop()


def test_profiles_of_modules_that_the_host_has_not_are_refused(cli, engine):
    if not apparmor.ENABLED.exists():
        cli.fails("create", "--security-opt", "apparmor=some", BOX, says="this host has no AppArmor")
    if not Path("/sys/fs/selinux/enforce").exists():
        cli.fails("create", "--security-opt", "label=type:some_t", BOX, says="this host has no SELinux")
    assert engine.containers() == []
    options = ("--security-opt", "apparmor=unconfined", "--security-opt", "label=disable", "--security-opt", "label:disable")
    assert cli.ok("run", "--name", "fine", *options, BOX, "echo", "runs") == "runs"
    assert cli.inspect("fine", "ProcessLabel") == cli.inspect("fine", "MountLabel") == ""
