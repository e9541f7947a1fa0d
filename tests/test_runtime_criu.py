"""corten-runtime checkpoint and restore: what runc's options promise, by CRIU where that works."""
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
from pathlib import Path

import pytest

from support import host
from support.bundles import Bundle, complaint_of_criu, in_user_namespace
from support.wait import SLOWNESS, eventually

pytestmark = pytest.mark.corten_only
COUNTER = "i=0; while sleep 0.1; do i=$((i+1)); echo $i > /tmp/n; done"


WHY_NOT = complaint_of_criu()
works = pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT or "-")


@pytest.fixture
def counter(bundle):
    (bundle.root / "tmp").chmod(0o777)
    return bundle.shell(COUNTER)


def number(bundle) -> int:
    text = (bundle.root / "tmp" / "n").read_text() if (bundle.root / "tmp" / "n").exists() else ""
    return int(text or 0)


def counts_on(bundle):
    before = number(bundle)
    eventually(lambda: number(bundle) > before + 2, f"counting from {before} on")


def running(runtime, name, bundle):
    runtime.start(name, bundle)
    eventually(lambda: number(bundle) > 2, "a few numbers")


def restore(runtime, name, bundle, images, *options):
    runtime.made.add(name)
    return runtime.run("restore", "--detach", "--bundle", bundle.path, "--image-path", images, *options, name)


@works
def test_counter_goes_on_where_it_was(runtime, counter, folder):
    running(runtime, "count", counter)
    runtime.ok("checkpoint", "--image-path", folder / "images", "--work-path", folder / "work", "count")
    runtime.fails("state", "count", says="container does not exist")
    assert (folder / "images" / "inventory.img").exists() and (folder / "work" / "dump.log").exists()
    stopped = number(counter)
    done = restore(runtime, "count", counter, folder / "images", "--pid-file", folder / "pid")
    assert done.code == 0, done
    state = runtime.state("count")
    assert state["status"] == "running" and state["pid"] == int((folder / "pid").read_text())
    eventually(lambda: number(counter) > stopped, "the next number")
    assert number(counter) < stopped + 200, "it began anew or jumped"
    counts_on(counter)


@works
def test_restored_container_is_one_like_others(runtime, counter, folder):
    """exec, pause, kill and delete work, its limits hold and it is in its group."""
    counter.config["linux"]["resources"]["pids"] = {"limit": 50}
    counter.save()
    running(runtime, "like", counter)
    runtime.ok("checkpoint", "--image-path", folder / "images", "like")
    assert restore(runtime, "like", counter, folder / "images").code == 0
    assert runtime.ok("exec", "like", "cat", "/proc/1/cgroup").strip().endswith("/like")
    runtime.ok("pause", "like")
    assert runtime.state("like")["status"] == "paused"
    runtime.ok("resume", "like")
    assert '"limit":50' in runtime.ok("events", "--stats", "like").replace(" ", "")
    runtime.ok("kill", "like", "KILL")
    eventually(lambda: runtime.state("like")["status"] == "stopped", "the end")
    runtime.ok("delete", "like")
    assert not [path for path in host.cgroups() if path.endswith("/like")]


@works
def test_restored_container_has_nothing_of_the_host_open(runtime, counter, folder):
    """Of its restorer's, and of CRIU's, with which it was made."""
    running(runtime, "closed", counter)
    runtime.ok("checkpoint", "--image-path", folder / "images", "closed")
    runtime.prefix = ["bash", "-c", 'exec 3</etc 7</ 20</sys/fs/cgroup; exec "$@"', "leaking"]
    done = restore(runtime, "closed", counter, folder / "images")
    assert done.code == 0, done
    pid = runtime.state("closed")["pid"]
    assert set(os.listdir(f"/proc/{pid}/fd")) == {"0", "1", "2"}
    assert "3" not in runtime.ok("exec", "closed", "ls", "/proc/1/fd").split()


@works
def test_leave_running_saves_and_goes_on(runtime, counter, folder):
    running(runtime, "stay", counter)
    runtime.ok("checkpoint", "--leave-running", "--image-path", folder / "images", "stay")
    assert runtime.state("stay")["status"] == "running"
    counts_on(counter)


@works
def test_dump_after_a_pre_dump_restores(runtime, counter, folder):
    running(runtime, "pre", counter)
    runtime.ok("checkpoint", "--pre-dump", "--image-path", folder / "before", "pre")
    assert runtime.state("pre")["status"] == "running"
    runtime.ok("checkpoint", "--parent-path", "../before", "--image-path", folder / "images", "pre")
    assert (folder / "images" / "parent").exists()
    done = restore(runtime, "pre", counter, folder / "images")
    assert done.code == 0, done
    counts_on(counter)


@works
def test_bind_mounts_and_pipes_are_given_anew(runtime, bundle, folder):
    """Standard output is a pipe of whoever restores, and a bind mount shows the source of the bundle."""
    (folder / "shared").mkdir()
    (bundle.root / "shared").mkdir()
    bundle.mount("/shared", folder / "shared")
    bundle.shell("while sleep 0.1; do echo tick; echo x > /shared/seen; done")
    reads, writes = os.pipe()
    subprocess.run(runtime.argv("create", "--bundle", bundle.path, "piped"), check=True, stdin=subprocess.DEVNULL, stdout=writes, stderr=writes)
    runtime.made.add("piped")
    runtime.ok("start", "piped")
    assert os.read(reads, 4) == b"tick"
    runtime.ok("checkpoint", "--image-path", folder / "images", "piped")
    os.close(writes), os.close(reads)
    (folder / "shared" / "seen").unlink()
    reads, writes = os.pipe()
    subprocess.run(runtime.argv("restore", "--detach", "--bundle", bundle.path, "--image-path", folder / "images", "piped"),
                   check=True, stdin=subprocess.DEVNULL, stdout=writes, stderr=writes)
    os.close(writes)
    assert b"tick" in os.read(reads, 100)
    eventually(lambda: (folder / "shared" / "seen").exists(), "the file in the bind mount")
    os.close(reads)


@works
def test_places_of_mounts_in_mounts_are_made_again(runtime, counter, folder):
    """One is in the source of another, which the destination's link leads into; sources may begin in the bundle."""
    for source in ("outer", "inner"):
        (counter.path / source).mkdir()
    (counter.root / "real").mkdir()
    (counter.root / "place").symlink_to("/real")
    counter.mount("/place", "./outer")
    counter.mount("/place/for/nested", folder / "bundle" / ".." / "bundle" / "inner")
    counter.save()
    running(runtime, "nested", counter)
    runtime.ok("checkpoint", "--image-path", folder / "images", "nested")
    shutil.rmtree(counter.path / "outer" / "for")
    done = restore(runtime, "nested", counter, folder / "images")
    assert done.code == 0, done
    counts_on(counter)
    runtime.ok("exec", "nested", "touch", "/place/for/nested/here")
    assert (counter.path / "inner" / "here").exists()


@works
def test_options_of_criu_come_from_the_file_that_an_annotation_names(runtime, counter, folder):
    (folder / "criu.conf").write_text("log-file=own.log\n")
    counter.config["annotations"] = {"org.criu.config": str(folder / "criu.conf")}
    running(runtime, "told", counter.save())
    runtime.ok("checkpoint", "--image-path", folder / "images", "--work-path", folder / "work", "told")
    assert (folder / "work" / "own.log").exists() and not (folder / "work" / "dump.log").exists()
    done = restore(runtime, "told", counter, folder / "images", "--work-path", folder / "again")
    assert done.code == 0 and (folder / "again" / "own.log").exists(), done
    counts_on(counter)


@works
def test_restore_in_the_foreground_waits_and_cleans_up(runtime, counter, folder):
    running(runtime, "front", counter)
    runtime.ok("checkpoint", "--image-path", folder / "images", "front")
    runtime.made.add("front")
    with open(folder / "shown", "wb") as shown:  # CRIU wants a file of the mode that the old one had
        waiter = subprocess.Popen(runtime.argv("restore", "--bundle", counter.path, "--image-path", folder / "images", "front"),
                                  stdin=subprocess.DEVNULL, stdout=shown, stderr=shown)
    counts_on(counter)
    waiter.send_signal(signal.SIGTERM)  # PID 1 of a container ignores it
    runtime.ok("kill", "front", "KILL")
    assert waiter.wait(60 * SLOWNESS) == 137
    runtime.fails("state", "front", says="container does not exist")


@works
def test_restore_that_fails_leaves_nothing(runtime, counter, folder):
    running(runtime, "broken", counter)
    runtime.ok("checkpoint", "--image-path", folder / "images", "broken")
    (folder / "images" / "core-1.img").write_bytes(b"none")
    before = host.mounts(), host.cgroups()
    done = restore(runtime, "broken", counter, folder / "images")
    assert done.code == 1 and "criu failed" in done.err and str(folder / "images" / "restore.log") in done.err, done
    runtime.fails("state", "broken", says="container does not exist")
    assert (host.mounts(), host.cgroups()) == before


def test_checkpoint_that_fails_says_what_criu_said_and_the_container_runs_on(runtime, counter, folder):
    """A socket whose other end is outside stops CRIU everywhere without --ext-unix-sk, if the kernel does not."""
    if not shutil.which("criu"):
        pytest.skip(WHY_NOT)
    outside, inside = socket.socketpair()
    runtime.made.add("fails")
    runtime.ok("create", "--bundle", counter.path, "fails", stdin=inside)
    inside.close()
    runtime.ok("start", "fails")
    eventually(lambda: number(counter) > 2, "a few numbers")
    done = runtime.fails("checkpoint", "--image-path", folder / "images", "--work-path", folder / "work", "fails", says="criu failed")
    assert re.search(r"Error \(.*\(log file: " + re.escape(str(folder / "work" / "dump.log")), done.err), done.err
    assert os.listdir(folder / "images") == [] and os.listdir(folder / "work") == ["dump.log"]
    assert runtime.state("fails")["status"] == "running"
    counts_on(counter)
    outside.close()


@works
def test_container_in_a_user_namespace_goes_on(runtime, open_folder):
    """Its root is nobody on the host, and reads the images although only the host's root may."""
    box = Bundle(open_folder / "bundle")
    in_user_namespace(box)
    for stream in ("out", "err"):  # criu opens standard streams that are files anew, as the container's root
        (runtime.root.parent / stream).touch()
        (runtime.root.parent / stream).chmod(0o666)
    running(runtime, "mapped", box.shell(COUNTER))
    runtime.ok("checkpoint", "--pre-dump", "--image-path", open_folder / "before", "mapped")
    runtime.ok("checkpoint", "--parent-path", "../before", "--image-path", open_folder / "images", "mapped")
    assert (open_folder / "images").stat().st_mode & 0o777 == 0o700
    stopped = number(box)
    done = restore(runtime, "mapped", box, open_folder / "images")
    assert done.code == 0, done
    eventually(lambda: number(box) > stopped, "the next number")
    pid = runtime.state("mapped")["pid"]
    assert Path(f"/proc/{pid}/uid_map").read_text().split() == ["0", "100000", "65536"]
    assert runtime.ok("exec", "mapped", "id", "-u").strip() == "0"
    counts_on(box)


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


@works
def test_memory_is_handed_on_while_the_container_goes_on_elsewhere(runtime, counter, folder):
    """--lazy-pages: the old one ends when its last page was fetched for the new one, by `criu lazy-pages`."""
    running(runtime, "here", counter)
    port, (ready, told) = free_port(), os.pipe()
    saving = subprocess.Popen(runtime.argv("checkpoint", "--lazy-pages", "--page-server", f"127.0.0.1:{port}", "--status-fd", told,
                                           "--image-path", folder / "images", "here"), pass_fds=[told])
    os.close(told)
    assert os.read(ready, 10) == b"\0" and os.read(ready, 10) == b"", "told once, and closed"
    os.close(ready)
    assert (folder / "images" / "inventory.img").exists() and saving.poll() is None
    stopped = number(counter)
    fetching = subprocess.Popen(["criu", "lazy-pages", "--page-server", "--address", "127.0.0.1", "--port", str(port), "-D", folder / "images"])
    done = restore(runtime, "there", counter, folder / "images", "--lazy-pages")
    assert done.code == 0, done
    assert saving.wait(60 * SLOWNESS) == 0 and fetching.wait(60 * SLOWNESS) == 0
    runtime.fails("state", "here", says="container does not exist")
    eventually(lambda: number(counter) > stopped, "the next number")
    assert number(counter) < stopped + 200, "it began anew or jumped"
    counts_on(counter)


def test_without_criu_the_error_says_so(runtime, counter, folder):
    running(runtime, "none", counter)
    with tempfile.TemporaryDirectory(dir=folder) as empty:
        done = subprocess.run(["unshare", "-m", "sh", "-c", 'for d in /usr/sbin /usr/local/sbin /sbin; do mount --bind "$0" "$d"; done; exec "$@"', empty,
                               *runtime.argv("checkpoint", "--image-path", folder / "images", "none")],
                              env={"PATH": "/usr/bin:/bin"}, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 1 and "there is no criu in the PATH" in done.stderr, done
    assert runtime.state("none")["status"] == "running" and not (folder / "images").exists()


@pytest.mark.parametrize("options,says", [
    (("--manage-cgroups-mode", "loose"), "--manage-cgroups-mode: loose is none of"),
    (("--empty-ns", "ipc"), "--empty-ns: criu can only leave network empty"),
    (("--parent-path", "/etc"), "--parent-path: /etc is absolute"),
    (("--parent-path", "../nowhere"), "--parent-path")])
def test_options_that_make_no_sense_are_refused(runtime, counter, folder, options, says):
    if not shutil.which("criu"):
        pytest.skip(WHY_NOT)
    running(runtime, "senseless", counter)
    runtime.fails("checkpoint", "--image-path", folder / "images", *options, "senseless", says=says)
    assert runtime.state("senseless")["status"] == "running"
    counts_on(counter)


def test_only_what_runs_is_checkpointed(runtime, counter, folder):
    runtime.create("made", counter)
    runtime.fails("checkpoint", "--image-path", folder / "images", "made", says="it is created")
    runtime.fails("checkpoint", "--image-path", folder / "images", "nobody", says="container does not exist")


def test_restore_without_images_makes_nothing(runtime, counter, folder):
    done = restore(runtime, "empty", counter, folder / "nowhere")
    assert done.code == 1 and (str(folder / "nowhere") in done.err or "criu" in done.err), done
    runtime.fails("state", "empty", says="container does not exist")
