#!/usr/bin/python3
"""Takes one defence of the runtime out after the other, and shows that the tests named after it fail then.

    tests/mutants/run.py [--list] [--work DIR] [NAME…]

A mutant is a patch beside this file; the lines above its diff name the defence and the tests: a program of unit tests
with its filter, or a test of pytest. Each is applied to a copy of the tree, in build/mutants, of which only what changed
is built again. First the tests must pass there as it is. A test that passes although the defence is out, one that does
not run, and a patch that does not apply any more or does not compile are failures of this program. As root; the first
run builds the runtime. The other programs, with which every test module checks the host, are those of $CORTEN_BIN or
build/release/bin.
"""
import argparse
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
BUILT = Path(os.environ.get("CORTEN_BIN") or ROOT / "build" / "release" / "bin")
OTHERS = ["corten", "cortend", "corten-init", "corten-shim"]
DEADLINE = 600


@dataclass
class Mutant:
    name: str
    patch: Path
    defence: str
    tests: list

    @staticmethod
    def read(patch: Path) -> "Mutant":
        head = patch.read_text().partition("\n--- ")[0]
        said = dict(line.split(": ", 1) for line in head.splitlines() if line.startswith("Defence"))
        return Mutant(patch.stem, patch, said["Defence"], re.findall(r"(?m)^Test: (.+)$", head))


class Problem(Exception):
    """What a row of the table says instead of how the tests did."""


def is_pytest(test: str) -> bool:
    """A file and a test in it; otherwise it is a program and a filter."""
    return "::" in test


class Copy:
    """Of the tree, with a build of its own."""

    def __init__(self, path: Path):
        self.path, self.bin = path, path / "build" / "release" / "bin"
        path.mkdir(parents=True, exist_ok=True)
        self.renew()

    def run(self, *argv, **more) -> subprocess.CompletedProcess:
        return subprocess.run([str(word) for word in argv], cwd=self.path, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, errors="replace", **more)

    def renew(self):
        """Makes it what the tree is now. Files that are the same keep their times, so that nothing is built for them."""
        listed = subprocess.check_output(["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=ROOT, text=True)
        names = {name for name in listed.split("\0") if name and (ROOT / name).is_file()}
        for name in names:
            source, target = ROOT / name, self.path / name
            if target.is_file() and target.read_bytes() == source.read_bytes():
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
            shutil.copymode(source, target)
        for folder in {self.path / name.split("/")[0] for name in names if "/" in name}:
            for path in folder.rglob("*"):
                if path.is_file() and "__pycache__" not in path.parts and str(path.relative_to(self.path)) not in names:
                    path.unlink()

    def build(self, tests):
        """What these tests run."""
        targets = {"corten-runtime" if is_pytest(test) else test.partition(" ")[0] for test in tests}
        for command in (["--preset", "release"], ["--build", "build/release", "--target", *sorted(targets)]):
            done = self.run("cmake", *command)
            if done.returncode != 0:
                raise Problem("does not compile:\n" + "\n".join(done.stdout.splitlines()[-25:]))

    def take_others(self):
        for name in OTHERS:
            if not (BUILT / name).is_file():
                raise Problem(f"there is no {name} in {BUILT}: build it first")
            shutil.copy(BUILT / name, self.bin / name)

    def apply(self, mutant):
        done = self.run("patch", "-p1", "--forward", "--no-backup-if-mismatch", "-r", "-", "-i", mutant.patch)
        if done.returncode != 0:
            raise Problem(f"the patch does not apply any more: make it anew\n{done.stdout}")

    def passes(self, test: str) -> bool:
        """Whether it does. A test that is not there, or is skipped, is a problem."""
        if not is_pytest(test):
            program, _, selection = test.partition(" ")
            done = self.run(self.bin / program, f"--gtest_filter={selection}", timeout=DEADLINE)
            ran, skipped = re.search(r"Running [1-9]\d* test", done.stdout), "SKIPPED" in done.stdout
        else:
            more = {"env": {**os.environ, "CORTEN_BIN": str(self.bin), "PYTHONDONTWRITEBYTECODE": "1"}}
            done = self.run("/usr/bin/python3", "-m", "pytest", "-x", "-q", "--timeout=120", test, timeout=DEADLINE, **more)
            ran, skipped = done.returncode in (0, 1), re.search(r"\d+ skipped", done.stdout)
        if not ran or skipped and done.returncode == 0:
            raise Problem(f"{test} did not run:\n" + "\n".join(done.stdout.splitlines()[-15:]))
        return done.returncode == 0

    def check_unchanged(self, mutants):
        """Before anything is taken out: what fails now would fail then too, and show nothing."""
        tests = dict.fromkeys(test for mutant in mutants for test in mutant.tests)
        self.build(tests)
        self.take_others()
        for test in tests:
            if not self.passes(test):
                raise Problem(f"{test} fails as the tree is")

    def judge(self, mutant) -> list:
        """(test, what it came to) of each of its tests."""
        try:
            self.apply(mutant)
            self.build(mutant.tests)
            return [(test, "passes although it must fail" if self.passes(test) else "fails as it must") for test in mutant.tests]
        except Problem as problem:
            return [(test, str(problem)) for test in mutant.tests]
        finally:
            self.renew()


def short(test: str) -> str:
    """As the table shows it: the test's own name."""
    return test.partition("::" if is_pytest(test) else " ")[2]


def chosen(names, parser) -> list:
    mutants = [Mutant.read(path) for path in sorted(HERE.glob("*.patch"))]
    unknown = set(names) - {m.name for m in mutants}
    if unknown:
        parser.error(f"there is no mutant {', '.join(sorted(unknown))}")
    return [m for m in mutants if not names or m.name in names]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--list", action="store_true", help="name the defences and end")
    parser.add_argument("--work", type=Path, default=ROOT / "build" / "mutants", help="where the copy is")
    parser.add_argument("names", nargs="*")
    options = parser.parse_args()
    mutants = chosen(options.names, parser)
    if options.list:
        print("\n".join(f"{m.name}: {m.defence}" for m in mutants))
        return 0
    copy = Copy(options.work)
    try:
        copy.check_unchanged(mutants)
    except Problem as problem:
        print(f"the tree as it is: {problem}", file=sys.stderr)
        return 1
    rows = []
    for mutant in mutants:
        for test, result in copy.judge(mutant):
            rows.append((mutant.defence, short(test), result.splitlines()[0]))
            print(f"{mutant.name}: {short(test)}: {result}", file=sys.stderr, flush=True)
    print("| without | test | |\n|---|---|---|")
    for row in rows:
        print("| " + " | ".join(row) + " |")
    wrong = [row for row in rows if row[2] != "fails as it must"]
    print(f"\n{len(mutants)} defences, {len(rows)} tests, {len(wrong)} wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
