"""The baked image: whoever runs it, however shut in, finds its models, and writes nothing where they are."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typing_commands import TOKEN, type_on

from recipes.container import Container, new_layer
from recipes.docker import image_path
from recipes.images import Image
from recipes.walk import Walk

pytestmark = [pytest.mark.allow_hosts(["127.0.0.1"]), pytest.mark.usefixtures("containers")]

SHUT = "--network none --read-only --cap-drop ALL --user 1234567"

LOAD = """
import json, torch
from depthhub import from_pretrained
model = from_pretrained("vits")
depth = model.infer(torch.zeros(56, 70, 3, dtype=torch.uint8))
maps = {line.split()[-1] for line in open("/proc/self/maps") if "weights.safetensors" in line}
print(json.dumps([list(depth.shape), str(model.provenance.path), sorted(maps)]))
"""


def run(walk: Walk, options: str, *command: str):
    return type_on(walk, "builder", f"docker run --rm {SHUT} {options} baked {' '.join(command)}")


def container(walk: Walk, tag: str) -> Container:
    return Image.read(image_path(walk.state, tag)).start(user="1234567")


@pytest.mark.slow
def test_a_hit_is_mapped_and_nothing_is_written_though_root_may_write_everywhere(
    walk: Walk, baked: str, tmp_path: Path
) -> None:
    written = new_layer(tmp_path / "written")
    root = Image.read(image_path(walk.state, baked)).start(user="0")
    ended = root._replace(upper=written, capable=True).run(["python", "-c", LOAD])
    assert ended.returncode == 0, ended.stderr
    shape, weights, maps = json.loads(ended.stdout)
    assert shape == [56, 70]
    assert weights.startswith("/opt/depthhub/v1/entries/")
    assert maps == [weights]
    assert ended.stderr == ""
    for place in ("root/opt", "root/tmp", "root/app", "root/var"):
        assert list((written / place).rglob("*")) == []


@pytest.mark.slow
def test_it_needs_no_home_and_no_variable_for_one(walk: Walk, baked: str) -> None:
    shut = container(walk, baked)
    env = {name: value for name, value in shut.env.items() if name != "HOME"}
    ended = shut._replace(env=env, group=1234567, read_only=True).run(["python", "-c", LOAD])
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout)[0] == [56, 70]


@pytest.mark.parametrize("roots", ["/tmp/depthhub:/opt/depthhub", ":/opt/depthhub", "/opt/depthhub"])
def test_the_first_root_may_be_anywhere_where_there_is_a_home(walk: Walk, baked: str, roots: str) -> None:
    typed = run(walk, f"-e DEPTHHUB_CACHE={roots}", "depthhub path vits")
    assert (typed.code, typed.said) == (0, "")
    assert typed.output.startswith("/opt/depthhub/v1/entries/")


def test_an_empty_first_root_without_a_home_is_one_error_that_says_what_to_set(walk: Walk, baked: str) -> None:
    typed = run(walk, "-e DEPTHHUB_CACHE=:/opt/depthhub", "env -u HOME depthhub path vits")
    assert typed.code == 2
    assert "Name one with DEPTHHUB_CACHE" in typed.said


def test_what_is_not_baked_is_refused_at_once(walk: Walk, baked: str) -> None:
    typed = run(walk, "", "depthhub pull vitb")
    assert typed.code == 10
    assert "vitb is not in the lockfile /app/depthhub.lock" in typed.said
    typed = run(walk, "--tmpfs /tmp -e DEPTHHUB_LOCKFILE=", "depthhub pull vitb")
    assert typed.code == 4
    assert "the network may not be used" in typed.said


def test_all_of_the_lockfile_is_there_to_the_last_byte(walk: Walk, baked: str) -> None:
    assert run(walk, "", "depthhub pull --locked --offline").output.count("was there") == 2
    assert run(walk, "", "depthhub verify --deep").output.count("sound") == 2


def test_the_doctor_finds_it_degraded_and_not_broken(walk: Walk, baked: str) -> None:
    typed = run(walk, "", "depthhub doctor --json")
    assert typed.code == 0
    own, below = json.loads(typed.output)["caches"]
    states = {finding["name"]: finding["state"] for finding in own["findings"]}
    assert states["writing"] == "degraded"
    assert {finding["state"] for finding in below["findings"]} == {"good"}


def test_the_token_came_to_the_hub_and_is_in_no_layer(walk: Walk, baked: str) -> None:
    assert any(asked.token for asked in walk.hub.requests)
    image = Image.read(image_path(walk.state, baked))
    assert TOKEN not in str(image)
    files = [path for layer in image.layers for path in layer.rglob("*") if path.is_file() and not path.is_symlink()]
    assert len(files) > 50
    assert [path for path in files if TOKEN.encode() in path.read_bytes()] == []


def test_the_image_has_each_model_once(walk: Walk, baked: str) -> None:
    layers = Image.read(image_path(walk.state, baked)).layers
    assert len([path for layer in layers for path in layer.rglob("weights.safetensors")]) == 2


@pytest.mark.parametrize("opened", [True, False])
def test_a_strict_umask_of_the_build_is_what_the_chmod_is_for(walk: Walk, baked: str, opened: bool) -> None:
    folder = walk.machines["builder"].folder
    app = folder / f"strict-{opened}"
    type_on(walk, "builder", f"cp -r app {app.name}")
    text = (app / "Dockerfile").read_text()
    strict = text.replace("export DEPTHHUB_CACHE=/opt/depthhub", "umask 077 && export DEPTHHUB_CACHE=/opt/depthhub")
    shut = strict.replace("chmod -R a+rX,go-w /opt/depthhub", "true")
    assert len({text, strict, shut}) == 3
    (app / "Dockerfile").write_text(strict if opened else shut)
    assert type_on(walk, "builder", f"docker build --build-arg HF_ENDPOINT -t strict {app.name}").code == 0
    typed = type_on(walk, "builder", f"docker run --rm {SHUT} strict depthhub path vits")
    assert typed.code == (0 if opened else 3)
    assert opened or "cannot be read: Permission denied. Ask its owner" in typed.said


def test_the_container_is_as_shut_as_it_says(walk: Walk, baked: str) -> None:
    look = "id -u; id -g; grep -c : /proc/net/dev; grep CapEff /proc/self/status; touch /x /tmp/x /opt/depthhub/x"
    typed = run(walk, "", f"sh -c '{look}'")
    uid, gid, interfaces, capabilities = typed.output.splitlines()
    assert (uid, gid, interfaces, capabilities.split()[1]) == (
        "1234567",
        "0",
        "1",
        "0" * 16,
    )  # loopback, and it is down
    assert typed.said.count("Read-only file system") == 3
    assert run(walk, "", "getent passwd 1234567").code == 2
    connect = '"import socket; socket.create_connection((\\"127.0.0.1\\", 1), 1)"'
    assert "Network is unreachable" in run(walk, "", f"python -c {connect}").said
