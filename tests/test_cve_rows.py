"""Every known attack of tests/data/cves-of-engines.tsv is a test that is there, or has a reason why there is none; and each that a
test of engines is named after is in the list."""
import csv
import re
from pathlib import Path

import pytest

HERE = Path(__file__).parent
LIST = HERE / "data" / "cves-of-engines.tsv"
NAMED = re.compile(r"_(20\d\d)_(\d{3,6})(?=_)|_and_(\d{4,6})(?=_)")


def rows() -> list:
    lines = [line for line in LIST.read_text().splitlines() if not line.startswith("#")]
    return list(csv.DictReader(lines, delimiter="\t"))


def names_in(file: str) -> set:
    return set(re.findall(r"(?m)^def (test_\w+)", (HERE / file).read_text()))


@pytest.mark.parametrize("row", rows(), ids=lambda row: row["name"])
def test_attack_has_a_test_or_a_reason(row):
    assert row["what went wrong"] and bool(row["test"]) != bool(row["reason"])
    if row["test"]:
        file, _, name = row["test"].partition("::")
        assert name in names_in(file), f"no {name} in {file}"
    for mentioned in re.findall(r"test_\w+(?=$|[ ,.])", row["reason"] or ""):
        assert mentioned in names_in("test_engine_cves.py"), mentioned


def numbers_of(test: str) -> set:
    """"cve_2026_42306_and_2024_23651_…" → the two; a number without a year has that of the one before it."""
    found, year = set(), ""
    for own_year, number, further in NAMED.findall(re.sub(r"_and_(20\d\d)_(\d)", r"_\1_\2", test)):
        year = own_year or year
        found.add(f"{'GO-' if test.startswith('test_go_') else ''}{year}-{number or further}")
    return found


def test_attacks_that_tests_are_named_after_are_listed():
    listed = {row["name"] for row in rows()}
    assert len(listed) == len(rows()), "one is there twice"
    named = set().union(*map(numbers_of, names_in("test_engine_cves.py") | names_in("test_hostile_images.py")))
    assert len(named) > 60 and not named - listed
