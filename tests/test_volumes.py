"""Volumes: made, listed, inspected, mounted, removed."""
import re

import pytest
from support.engines import BOX


def test_life_of_a_volume(cli):
    assert cli.ok("volume", "create", "--label", "a=b", "vol") == "vol"
    found = cli.json("volume", "inspect", "vol")[0]
    assert (found["Name"], found["Driver"], found["Scope"], found["Labels"]) == ("vol", "local", "local", {"a": "b"})
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(Z|[+-]\d\d:\d\d)", found["CreatedAt"])
    assert cli.ok("volume", "ls", "-q") == "vol"
    assert re.match(r"DRIVER +VOLUME NAME\nlocal +vol$", cli.ok("volume", "ls"))
    assert cli.ok("volume", "ls", "-q", "--filter", "label=a") == "vol" and cli.ok("volume", "ls", "-q", "--filter", "name=nosuch") == ""
    assert cli.ok("volume", "create", "vol") == "vol"
    assert cli.ok("volume", "rm", "vol") == "vol"
    cli.fails("volume", "inspect", "vol", code=1, says="(?i)no such volume")


def test_anonymous_name(cli):
    assert re.fullmatch("[0-9a-f]{64}", cli.ok("volume", "create"))


def test_volume_in_use(cli):
    cli.ok("run", "-d", "--name", "user", "-v", "busy:/data", BOX, "sleep", "600")
    cli.fails("volume", "rm", "busy", code=1, says="(?i)volume is in use")
    cli.ok("rm", "-f", "user")
    cli.ok("volume", "rm", "busy")


def test_dangling_filter(cli):
    cli.ok("volume", "create", "loose")
    cli.ok("create", "-v", "tied:/x", BOX)
    assert cli.ok("volume", "ls", "-q", "--filter", "dangling=true") == "loose"
    assert cli.ok("volume", "ls", "-q", "--filter", "dangling=false") == "tied"


@pytest.mark.parametrize("name", ["a/b", "../x", "-x", "a b", "x", ".", "..", "a\\b", "ü"])
def test_bad_volume_names(cli, name):
    cli.fails("volume", "create", "--", name, code=1, says="(?i)invalid|only .* are allowed|too short")


def test_missing_volume(cli):
    cli.fails("volume", "rm", "nosuch", code=1, says="(?i)no such volume")
    cli.ok("volume", "rm", "-f", "nosuch")


def test_volume_is_kept_by_rm_and_taken_by_rm_v(cli):
    cli.ok("create", "--name", "c1", "-v", "named:/n", "-v", "/anon", BOX)
    anonymous = next(m["Name"] for m in cli.inspect("c1", "Mounts") if m["Name"] != "named")
    cli.ok("rm", "-v", "c1")
    assert cli.ok("volume", "ls", "-q").split() == ["named"] and anonymous
    cli.ok("create", "--name", "c2", "-v", "/anon", BOX)
    kept = cli.inspect("c2", "Mounts")[0]["Name"]
    cli.ok("rm", "c2")
    assert kept in cli.ok("volume", "ls", "-q")


def test_subdirectory_owner_and_nocopy(cli):
    out = cli.ok("run", "--rm", "-v", "empty:/home:nocopy", BOX, "ls", "-A", "/home")
    assert out == ""


def test_relative_and_duplicate_targets(cli):
    cli.fails("run", "--rm", "-v", "vol:relative", BOX, "true", code=125, says="(?i)invalid|absolute")
    cli.fails("run", "--rm", "-v", "v1:/same", "-v", "v2:/same", BOX, "true", code=125, says="(?i)duplicate mount point")
    cli.fails("run", "--rm", "-v", "vol:/", BOX, "true", code=125, says="(?i)invalid|can't be '/'|destination")
