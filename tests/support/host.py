"""What an engine can leave on a host, as a set that can be subtracted."""
import json
import os
import re
import subprocess
from pathlib import Path

# On a machine that is ours alone, anything that appears is a leak; on a shared one only what
# carries our marks is.
EXCLUSIVE = os.environ.get("CORTEN_TEST_EXCLUSIVE", "").lower() in ("1", "true", "yes")
OURS = re.compile(r"corten-t-|\bctn\d+")
SESSION = re.compile(rb"CORTEN_TEST_SESSION=(\d+)")
os.environ["CORTEN_TEST_SESSION"] = str(os.getpid())  # what this run starts can be told from what others do


def is_strangers(environment: bytes) -> bool:
    """Of another run of these tests, which still goes on."""
    session = SESSION.search(environment)
    return bool(session) and int(session[1]) != os.getpid() and os.path.exists(f"/proc/{int(session[1])}")


def strangers_marks() -> set:
    """What the interfaces and folders of other runs have in their names."""
    marks = set()
    for entry in Path("/proc").iterdir():
        try:
            environment = (entry / "environ").read_bytes() if entry.name.isdigit() else b""
        except OSError:
            continue
        if is_strangers(environment):
            marks.add(f"ctn{int(SESSION.search(environment)[1]) % 10000}")
            marks.update(run.decode() for run in re.findall(rb"CORTEN_TEST_RUN=([^\0]+)", environment))
    return marks


def processes() -> set:
    """(pid, command line) of every process of ours: by what it runs, or by whose environment it has."""
    found = set()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
            environment = (entry / "environ").read_bytes()
            cgroups = (entry / "cgroup").read_text()
            stat = (entry / "stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue
        if stat == "Z":
            continue
        if is_strangers(environment):
            continue
        marked = b"CORTEN_TEST_RUN=" in environment or re.search(r"/cortend? .*corten-t-", line)
        contained = re.search(r"[0-9a-f]{64}", cgroups)
        if marked or contained or (EXCLUSIVE and re.search(r"\b(cortend|corten-shim|corten-init)\b", line)):
            found.add((int(entry.name), line, re.search(r"[0-9a-f]{64}", cgroups)[0] if contained else ""))
    return found


def mounts() -> set:
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    return {" ".join(line.split()[3:5]) for line in lines}


def links() -> set:
    """Every interface, with the bridge it hangs on."""
    found = set()
    for name in os.listdir("/sys/class/net"):
        try:
            found.add(f"{name} on {os.path.basename(os.readlink(f'/sys/class/net/{name}/master'))}")
        except OSError:
            found.add(name)
    return found


def tables() -> set:
    done = subprocess.run(["nft", "-j", "list", "tables"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    if done.returncode != 0 or not done.stdout:
        return set()
    items = [i["table"] for i in json.loads(done.stdout)["nftables"] if "table" in i]
    return {f"{t['family']} {t['name']}" for t in items}


def namespaces() -> set:
    try:
        return set(os.listdir("/run/netns"))
    except FileNotFoundError:
        return set()


def cgroups() -> set:
    """All but `corten`, which the daemons of a host share and nobody removes."""
    found = set()
    for folder, names, _ in os.walk("/sys/fs/cgroup"):
        found.update(os.path.join(folder, n) for n in names if n != "corten")
    return found


def loops() -> set:
    done = subprocess.run(["losetup", "-n", "-O", "NAME,BACK-FILE"], stdout=subprocess.PIPE, text=True)
    return set(done.stdout.splitlines())


def state() -> dict:
    return {"process": processes(), "mount": mounts(), "link": links(), "nft table": tables(),
            "network namespace": namespaces(), "cgroup": cgroups(), "loop device": loops()}


def left_behind(before: dict, after: dict, ids=(), names=()) -> list:
    """What is in `after` and was not in `before`, as sentences.

    `ids` are containers that the tests made and `names` further marks of theirs (bridges, folders):
    on a shared machine only things that carry one of them count.
    """
    marks, others = set(ids) | set(names), strangers_marks()

    def ours(kind, item):
        shown = " ".join(map(str, item)) if isinstance(item, tuple) else str(item)
        if any(mark in shown for mark in others):
            return False
        if EXCLUSIVE or OURS.search(shown) or any(m in shown for m in marks):
            return True
        return kind == "process" and not item[2]

    return [f"{kind}: {item}" for kind in after for item in sorted(after[kind] - before.get(kind, set()), key=str) if ours(kind, item)]
