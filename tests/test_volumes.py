"""Volumes: made, listed, inspected, mounted, removed, carried elsewhere."""
import os
import re
from pathlib import Path

import pytest
from support import disks, images, trees
from support.engines import BOX, Daemon


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


@pytest.mark.corten_only
def test_a_volume_is_filled_whole_or_not_at_all(tmp_path, registry, box_tar):
    content = images.tar([images.Entry(f"content/f{n:02}", data=os.urandom(1 << 20)) for n in range(24)])
    reference = registry.push("filling", "1", images.image([box_tar, content], compression="none"))
    with disks.mounted(tmp_path, 128) as disk:
        daemon = Daemon("filling")
        daemon.data = disk / "data"
        daemon.start()
        try:
            docker, ballast = daemon.client("docker"), disk / "ballast"
            docker.ok("pull", reference)
            with open(ballast, "wb") as file:
                os.posix_fallocate(file.fileno(), 0, os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize - (12 << 20))
            docker.fails("run", "--rm", "-v", "vol:/content", reference, "true", says="(?i)no space left")
            ballast.unlink()
            assert docker.ok("run", "--rm", "-v", "vol:/content", reference, "sh", "-c", "cat /content/* | wc -c") == str(24 << 20)
            assert os.listdir(daemon.data / "volumes") == ["vol"]
        finally:
            daemon.stop()


# --- export and import -----------------------------------------------------------------------------

FILL = """cd /v; echo text > file; ln file hard; ln -s /no/where link; mkfifo pipe; mkdir -m 1777 sticky; echo x > sticky/own
chmod 4711 file; chown -R 7:8 sticky; touch -t 200001020304 file; truncate -s 5M hole; chown 5:6 .; chmod 2750 ."""


@pytest.fixture
def filled(engine, corten):
    """A volume with one of everything that a program may leave in it, and its folder on the host."""
    corten.ok("run", "--rm", "--network", "none", "-v", "filled:/v", BOX, "sh", "-ec", FILL)
    return "filled", folder_of(corten, "filled")


def folder_of(client, volume) -> Path:
    return Path(client.json("volume", "inspect", volume)[0]["Mountpoint"])


def listed(folder) -> tuple:
    top = folder.stat()
    return (top.st_mode, top.st_uid, top.st_gid, top.st_mtime_ns), trees.of_folder(folder)


@pytest.mark.corten_only
@pytest.mark.parametrize("press", [None, "gzip", "zstd"])
def test_exported_volume_is_imported_the_same(corten, filled, tmp_path, press):
    name, folder = filled
    corten.ok("volume", "export", "-o", tmp_path / "volume.tar", name)
    archive = (tmp_path / "volume.tar").read_bytes()
    if press:
        (tmp_path / "volume.tar").write_bytes(images.compress(archive, press))
    assert corten.ok("volume", "import", "copy", tmp_path / "volume.tar") == "copy"
    assert listed(folder_of(corten, "copy")) == listed(folder)
    assert corten.run("volume", "export", "copy").raw == archive
    assert corten.ok("volume", "import", "again", input=archive) == "again"


@pytest.mark.corten_only
def test_imported_volume_is_not_filled_by_an_image(corten, filled):
    name, folder = filled
    corten.ok("volume", "import", "copy", input=corten.run("volume", "export", name).raw)
    corten.ok("run", "--rm", "--network", "none", "-v", "copy:/etc", BOX, "true")
    assert listed(folder_of(corten, "copy"))[1].keys() == listed(folder)[1].keys()


@pytest.mark.corten_only
def test_import_refuses_what_is_there_and_leaves_it(corten, filled):
    name, folder = filled
    before = listed(folder)
    corten.fails("volume", "import", name, code=1, says="there is a volume filled already", input=corten.run("volume", "export", name).raw)
    assert listed(folder) == before


@pytest.mark.corten_only
@pytest.mark.parametrize("spoil", [lambda archive: archive[:len(archive) // 2], lambda archive: archive[:1024] + b"\xff" * 512 + archive[1536:]],
                         ids=["cut", "garbage"])
def test_failed_import_leaves_nothing(corten, engine, filled, spoil):
    name, folder = filled
    archive = corten.run("volume", "export", name).raw
    corten.fails("volume", "import", "broken", code=1, input=spoil(archive))
    assert corten.ok("volume", "ls", "-q").split() == [name]
    assert [entry.name for entry in (engine.data / "volumes").iterdir()] == [name]


@pytest.mark.corten_only
def test_export_of_a_volume_that_is_not_there(corten):
    corten.fails("volume", "export", "nosuch", code=1, says="no such volume")
    corten.fails("volume", "import", "../bad", code=1, says="(?i)invalid|only .* are allowed|not found", input=b"")
