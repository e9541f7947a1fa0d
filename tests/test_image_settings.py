"""What an image may say about its containers, whatever it says: images with random settings, of the right types and of wrong ones."""
import json
import random
import re

import pytest
from support import images
from support.engines import BOX

WORDS = ("a", "x=y", "", " ", "ü", "日本", "-v", "--privileged", "/", "..", "../../etc", "root",
         "0", "65534:65534", "$HOME", "`id`", "\n", "\t", "\x7f", "a" * 300,
         "com.docker.privileged", "io.kubernetes.cri.container-type", "org.opencontainers.image.title", "unconfined", "host",
         "NET_ADMIN", "%s%n", "{{.Id}}")
RUBBISH = (None, True, False, 0, -1, 1 << 70, 1.5, "", "text", [], [1], ["a", None], [[]], {}, {"a": 1}, {"a": {"b": []}}, [{}])
# The settings an image has, and where inspect shows them: only these may come out of it.
SETTINGS = ("Env", "Cmd", "Entrypoint", "User", "WorkingDir", "Labels", "ExposedPorts", "Volumes", "StopSignal", "Healthcheck",
            "Shell", "OnBuild",
            "ArgsEscaped")
# What only who runs a container may say.
POWERS = {"Privileged": True, "CapAdd": ["ALL"], "SecurityOpt": ["seccomp=unconfined", "no-new-privileges=false"],
          "Binds": ["/:/host"], "NetworkMode": "host",
          "PidMode": "host", "IpcMode": "host", "UTSMode": "host", "UsernsMode": "host",
          "CgroupnsMode": "host", "CgroupParent": "/", "Runtime": "other",
          "Devices": [{"PathOnHost": "/dev/kmsg", "PathInContainer": "/dev/kmsg", "CgroupPermissions": "rwm"}],
          "DeviceCgroupRules": ["a *:* rwm"],
          "Mounts": [{"Type": "bind", "Source": "/", "Target": "/host"}],
          "Tmpfs": {"/tmp": "exec"}, "Sysctls": {"kernel.hostname": "x"}, "Memory": 1,
          "PidsLimit": -1, "OomScoreAdj": -1000, "OomKillDisable": True,
          "Ulimits": [{"Name": "nofile", "Soft": 1, "Hard": 1}], "ReadonlyRootfs": True,
          "PublishAllPorts": True, "PortBindings": {"80/tcp": [{"HostPort": "80"}]},
          "RestartPolicy": {"Name": "always"}, "AutoRemove": True, "Init": True,
          "MaskedPaths": [], "ReadonlyPaths": [], "VolumesFrom": ["x"], "Links": ["x"],
          "Dns": ["192.0.2.1"], "ExtraHosts": ["a:1"], "GroupAdd": ["0"],
          "LogConfig": {"Type": "none"}, "VolumeDriver": "x", "StorageOpt": {"size": "1"}, "ShmSize": 1, "Annotations": {"a": "b"}}


def word(dice) -> str:
    return dice.choice(WORDS) + str(dice.randrange(3)) * dice.randrange(2)


def words(dice) -> list:
    return [word(dice) for _ in range(dice.randrange(4))]


def pairs(dice) -> dict:
    return {word(dice) or "key": word(dice) for _ in range(dice.randrange(6))}


MAKERS = {
    "Env": lambda dice: [f"{word(dice).replace('=', '') or 'A'}={word(dice)}" for _ in range(dice.randrange(5))],
    "Cmd": words, "Entrypoint": words, "Shell": words, "OnBuild": words, "Labels": pairs,
    "User": lambda dice: dice.choice(["", "alice", "0", "1000:50", "nosuch", "65534", word(dice)]),
    "WorkingDir": lambda dice: dice.choice(["", "/", "/tmp", "/made/by/the/engine", "relative", word(dice)]),
    "ExposedPorts": lambda dice: {dice.choice(["80/tcp", "53/udp", "1-3/tcp", "70000/tcp", "x"]): {} for _ in range(2)},
    "Volumes": lambda dice: {dice.choice(["/vol", "/var/www", "/deep/er", "relative", "/", "/../x", "/proc"]): {} for _ in range(2)},
    "StopSignal": lambda dice: dice.choice(["SIGTERM", "9", "RTMIN+3", "SIGNOSUCH", word(dice)]),
    "Healthcheck": lambda dice: {"Test": dice.choice([["NONE"], ["CMD", "true"], ["CMD-SHELL", "false"], [], ["ODD"]]),
                                 "Interval": dice.choice([0, 10**9, 1, -5]), "Retries": dice.choice([0, 3, -1])},
}


def settings(dice, rubbish: bool) -> dict:
    made = {name: MAKERS[name](dice) for name in dice.sample(sorted(MAKERS), dice.randrange(len(MAKERS)))}
    if rubbish:
        made[dice.choice(SETTINGS)] = dice.choice(RUBBISH)
    for name in dice.sample(sorted(POWERS), 8):
        made[name] = dice.choice([POWERS[name], dice.choice(RUBBISH)])
    return made


def image_of(dice, box_tar, rubbish) -> images.Image:
    """Powers are asked for in every place where something might read them."""
    body = images.config([images.digest_of(box_tar)])
    body["config"] = {**settings(dice, rubbish), "HostConfig": POWERS, "Labels": {**pairs(dice), "HostConfig": "privileged"}}
    body.update(host_config=POWERS, HostConfig=POWERS, container_config=POWERS, **{k: v for k, v in POWERS.items() if k != "Mounts"})
    if rubbish and dice.random() < 0.3:
        body[dice.choice(["author", "created", "variant", "os.version", "os.features",
                  "history", "container", "comment"])] = dice.choice(RUBBISH)
    kinds = images.OCI
    conf = images.Blob(json.dumps(body).encode(), kinds["config"])
    layer = images.Blob(images.compress(box_tar, "gzip"), kinds["gzip"])
    manifest = {"schemaVersion": 2, "mediaType": kinds["manifest"], "config": conf.descriptor(annotations={"privileged": "true"}),
                "layers": [layer.descriptor(annotations=pairs(dice))], "annotations": {**pairs(dice), "HostConfig": json.dumps(POWERS)}}
    platform = {"architecture": "amd64", "os": "linux"}
    return images.Image(images.Blob(json.dumps(manifest).encode(), kinds["manifest"]), conf, (layer,), platform)


def created(engine, image) -> dict:
    """Inspect of a container that was asked for with nothing but an image and a command; None where that was refused with a sentence."""
    made = engine.api.post("/containers/create", {"Image": image, "Cmd": ["true"]})
    if made.status != 201:
        assert made.status in (400, 404, 500) and len(made.message) > 10, repr(made)
        return None
    return engine.api.get(f"/containers/{made.json()['Id']}/json").json()


def pulled(engine, reference) -> bool:
    """False where the image was refused, which has to name the place of what is wrong."""
    repo, _, tag = reference.rpartition(":")
    done = engine.api.post(f"/images/create?fromImage={repo}&tag={tag}")
    assert done.status == 200, repr(done)
    refusal = json.loads(done.body.splitlines()[-1]).get("error", "")
    assert not refusal or re.match(r"image config: [\w.\[\]]+: wanted .+, found", refusal), refusal
    return not refusal


@pytest.mark.parametrize("seed", range(24))
@pytest.mark.parametrize("kind", ["right types", "wrong types"])
def test_image_changes_only_what_is_an_images(engine, faulty, box_tar, kind, seed):
    """The container's HostConfig is that of an image without settings; mounts are the volumes it names, and nothing else."""
    dice = random.Random(f"{kind}{seed}")
    reference = faulty.put(f"random{seed}", "1", image_of(dice, box_tar, kind == "wrong types"))
    if not pulled(engine, reference):
        assert kind == "wrong types", "an image whose settings have the right types was refused"
        return
    plain, found = created(engine, BOX), created(engine, reference)
    assert engine.api.alive()
    if found is None:
        return
    assert found["HostConfig"] == plain["HostConfig"]
    volumes = found["Config"]["Volumes"] or {}
    assert all(mount["Type"] == "volume" and mount["Source"].startswith(str(engine.data)) for mount in found["Mounts"])
    assert len(found["Mounts"]) <= len(volumes)
    untouched = {k: v for k, v in found["Config"].items() if k not in (*SETTINGS, "Image", "Hostname")}
    assert untouched == {k: plain["Config"][k] for k in untouched}
    for part in ("AppArmorProfile", "MountLabel", "ProcessLabel", "ExecIDs"):
        assert found[part] == plain[part]


def test_environment_and_command_arrive_as_they_are(docker, engine, faulty, box_tar):
    """What looks like a flag, a template or a shell's word is passed on and not read."""
    env = ["A=--privileged", "B={{.Id}}", "C=$(id)", "D=", "E=x=y", "LD_PRELOAD=/nosuch.so", "Ü=ü"]
    reference = faulty.put("env", "1", images.image([box_tar], env=env, cmd=("env",)))
    docker.ok("pull", "-q", reference)
    assert set(env) <= set(docker.ok("run", "--rm", reference).splitlines())
