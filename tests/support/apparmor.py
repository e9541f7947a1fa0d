"""AppArmor of the host, and profiles for a test."""
import contextlib
import shutil
import subprocess
import uuid
from pathlib import Path

ENABLED = Path("/sys/module/apparmor/parameters/enabled")
LOADED = Path("/sys/kernel/security/apparmor/profiles")


def complaint() -> str:
    """Why containers cannot be confined here, "" where they can."""
    if not ENABLED.exists() or ENABLED.read_text().strip() != "Y":
        return "this kernel has no AppArmor: packaging/vm.sh has a machine that does"
    return "" if shutil.which("apparmor_parser") else "no apparmor_parser on this machine: packaging/debian-packages has it for packaging/vm.sh"


def loaded() -> set:
    return {line.rsplit(" ", 1)[0] for line in LOADED.read_text().splitlines()}


def parser(option: str, text: str):
    subprocess.run(["apparmor_parser", "--skip-cache", option], input=text, text=True, check=True)


@contextlib.contextmanager
def profile(*rules):
    """The name of a profile that allows everything but what the rules deny; loaded as long as the context lasts."""
    name = f"corten-t-{uuid.uuid4().hex[:12]}"
    allowed = ("file", "network", "capability", "mount", "umount", "pivot_root", "signal", "ptrace", "unix")
    text = f"profile {name} flags=(attach_disconnected,mediate_deleted) {{\n" + "".join(f"  {rule},\n" for rule in (*allowed, *rules)) + "}\n"
    parser("--add", text)
    try:
        yield name
    finally:
        parser("--remove", text)
