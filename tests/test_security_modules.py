"""Confinement by the kernel's security modules: AppArmor in the runtime and in the engine."""
import uuid

import pytest

from support import apparmor, cgroups
from support.bundles import message
from support.wait import eventually

pytestmark = pytest.mark.corten_only
WHY_NOT = apparmor.complaint()
confines = pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT or "-")
CURRENT = "cat /proc/self/attr/current"
MISSING = r'no profile \\"corten-t-missing\\" is loaded on this host'


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
    script = ("mount -t tmpfs none /proc && mkdir -p /proc/self/attr/apparmor && touch /proc/self/attr/exec /proc/self/attr/apparmor/exec && "
              "touch /tmp/ready; exec sleep 1000")
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
