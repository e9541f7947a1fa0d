"""Debian's docker-compose on our engine: a project of several services comes up, is found, is changed, goes."""
import json
import os
import shutil
import subprocess
import time

import pytest
from support.engines import BOX
from support.wait import eventually

pytestmark = [pytest.mark.corten_only,
              pytest.mark.skipif(not shutil.which("docker-compose"), reason="no docker-compose on this machine")]

PROJECT = f"""
version: "2.4"
services:
  store:
    image: {BOX}
    hostname: thestore
    command: sh -c 'echo kept > /data/file; while :; do printf "HTTP/1.0 200 OK\\n\\nfrom $$HOSTNAME" | nc -l -p 80; done'
    stop_grace_period: 0s
    volumes: ["stored:/data"]
    healthcheck: {{test: ["CMD", "wget", "-q", "-O", "-", "http://127.0.0.1/"], interval: 1s, retries: 30}}
    networks:
      back: {{aliases: [database]}}
  web:
    image: {BOX}
    depends_on:
      store: {{condition: service_healthy}}
    command: sh -c 'echo "got $$(wget -q -O - http://database/)"; sleep 1000'
    init: true
    stop_grace_period: 0s
    environment: ["A=b"]
    env_file: [vars.env]
    mem_limit: 64m
    cap_drop: [ALL]
    ports: ["127.0.0.1::80"]
    volumes: ["./vars.env:/etc/vars:ro"]
    networks:
      back:
      front: {{ipv4_address: SUBNET.7}}
networks:
  back: {{}}
  front: {{ipam: {{config: [{{subnet: SUBNET.0/24}}]}}}}
volumes:
  stored: {{}}
"""


@pytest.fixture
def compose(engine, tmp_path):
    first, second, third, _ = engine.bip.split("/")[0].split(".")
    subnet = f"{first}.{second}.{int(third) ^ 128}"
    (tmp_path / "docker-compose.yml").write_text(PROJECT.replace("SUBNET", subnet))
    (tmp_path / "vars.env").write_text("C=d\n")

    def run(*arguments, check=True):
        done = subprocess.run(["docker-compose", "--ansi", "never", "-p", "project", *arguments], cwd=tmp_path, text=True, timeout=120,
                              env=dict(os.environ, DOCKER_HOST=engine.client("docker").host, COMPOSE_HTTP_TIMEOUT="60"),
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        assert not check or done.returncode == 0, done.stdout
        return done.stdout
    run.subnet = subnet
    yield run
    run("down", "-v", "-t", "0", check=False)


def test_a_project_comes_up_and_goes(compose, docker, engine):
    compose("up", "-d")
    eventually(lambda: "got from thestore" in compose("logs", "--no-color", "web"), "the answer of the other service", 20)
    inside = compose("exec", "-T", "web", "sh", "-c", "echo $A $C; cat /etc/vars; ip -4 -o addr")
    assert inside.startswith("b d\nC=d\n") and f"{compose.subnet}.7/24" in inside
    assert "Up (healthy)" in compose("ps")
    assert compose("port", "web", "80").startswith("127.0.0.1:")
    before = docker.inspect("project_store_1", "Id")
    assert "up-to-date" in compose("up", "-d") and docker.inspect("project_store_1", "Id") == before
    compose("up", "-d", "--scale", "store=3")
    found = compose("exec", "-T", "web", "nslookup", "-type=a", "database")
    assert found.count("Address: ") == 3, found
    compose("stop", "-t", "0")
    compose("start")
    assert compose("exec", "-T", "store", "cat", "/data/file") == "kept\n"
    assert compose("run", "--rm", "-T", "store", "cat", "/etc/hostname").endswith("thestore\n")
    compose("down", "-v", "-t", "0")
    assert engine.containers() == [] and engine.api.get("/volumes").json()["Volumes"] in ([], None)
    assert {n["Name"] for n in engine.api.get("/networks").json()} == {"bridge", "host", "none"}


def test_events_tell_of_the_project(compose, engine, docker):
    compose("up", "-d", "store")
    since = json.loads(docker.ok("inspect", "project_store_1"))[0]["Created"]
    until = str(int(time.time()) + 1)  # whole seconds: those of now may be before the start
    told = docker.ok("events", "--since", since, "--until", until, "--format", "{{.Type}} {{.Action}} {{.Actor.Attributes.name}}").splitlines()
    assert "network connect project_back" in told and "container start project_store_1" in told
