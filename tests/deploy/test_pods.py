"""The manifests: what the schema says of them, and what pods do that the document does not show."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import kubernetes_validate
import pytest
from typing_commands import type_on

from recipes.docker import image_path
from recipes.images import Image
from recipes.pods import Node, read_manifest
from recipes.walk import DOCUMENT, Walk

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])

MANIFESTS = sorted((DOCUMENT.parent / "deploy" / "kubernetes").glob("*.yaml"))
INIT, NODE_CACHE, ON_A_WARM_NODE = MANIFESTS


def pod_of(path: Path) -> dict:
    [resource] = read_manifest(path)
    return resource["spec"]["template"]["spec"]


@pytest.fixture
def node(walk: Walk, builder: str, containers: None, tmp_path: Path) -> Node:
    """A node of the test's own, with the thin image."""
    if not image_path(walk.state, "thin").exists():
        typed = type_on(walk, builder, "docker build --target app -t thin app")
        assert typed.code == 0, typed.said
    return Node(tmp_path, lambda _: Image.read(image_path(walk.state, "thin")), {"HF_ENDPOINT": walk.hub.endpoint})


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.stem)
def test_a_manifest_fits_the_strict_schema_and_a_misspelt_one_does_not(path: Path, tmp_path: Path) -> None:
    assert len(read_manifest(path)) == 1
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(path.read_text().replace("mountPath", "mountpath", 1))
    with pytest.raises(kubernetes_validate.ValidationError):
        read_manifest(wrong)


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.stem)
def test_every_container_is_closed(path: Path) -> None:
    pod = pod_of(path)
    for container in (*pod.get("initContainers", ()), *pod["containers"]):
        context = container["securityContext"]
        assert context["readOnlyRootFilesystem"] is True
        assert context["allowPrivilegeEscalation"] is False
        assert context["capabilities"] == {"drop": ["ALL"]}


@pytest.mark.parametrize("path", [INIT, ON_A_WARM_NODE], ids=lambda path: path.stem)
def test_the_application_only_reads_its_models(path: Path) -> None:
    [app] = pod_of(path)["containers"]
    assert [mount["readOnly"] for mount in app["volumeMounts"]] == [True]
    assert {one["name"]: one.get("value") for one in app["env"]}["HF_HUB_OFFLINE"] == "1"


def test_what_cannot_be_started_here_is_refused(node: Node, tmp_path: Path) -> None:
    service = tmp_path / "service.yaml"
    service.write_text("apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec: {ports: [{port: 80}]}\n")
    with pytest.raises(ValueError, match="a Service cannot be started here"):
        read_manifest(service)
    root = pod_of(INIT)
    root["securityContext"]["runAsUser"] = 0
    with pytest.raises(ValueError, match="would run as root"):
        node.run(root, tmp_path / "log")


@pytest.mark.slow
def test_three_pods_that_start_at_once_on_one_claim_download_each_model_once(
    walk: Walk, node: Node, tmp_path: Path
) -> None:
    pod = pod_of(INIT)
    [volume] = pod["volumes"]
    volume.pop("emptyDir")
    volume["persistentVolumeClaim"] = {"claimName": "models"}
    pod["containers"] = []  # how the application reads is shown elsewhere
    before = len(walk.hub.requests)
    logs = [tmp_path / f"log-{number}" for number in range(3)]
    with ThreadPoolExecutor(3) as pool:
        codes = list(pool.map(lambda log: node.run(pod, log), logs))
    assert codes == [0, 0, 0], "".join(log.read_text() for log in logs)
    downloads = [asked for asked in walk.hub.requests[before:] if asked.host == "cdn" and asked.method == "GET"]
    assert len(downloads) == 2
    entries = list((tmp_path / "claims" / "models" / "v1" / "entries").glob("*/*/weights.safetensors"))
    assert len(entries) == 2
    for path in entries:
        assert (path.stat().st_uid, path.stat().st_gid) == (54321, 54321)
        assert (path.stat().st_mode & 0o040, path.parent.stat().st_mode & 0o070) == (0o040, 0o070)


@pytest.mark.slow
def test_a_node_is_ready_when_its_folder_is_filled_and_not_before(node: Node, tmp_path: Path) -> None:
    daemon = pod_of(NODE_CACHE)
    assert not node.is_ready(daemon)
    [container] = daemon["containers"]
    once = container["args"][0].replace("while true", "for once in 1").replace('sleep "$pause" & wait $!', "")
    assert once.count("depthhub pull") == 1
    container["args"] = [once]
    assert node.run(daemon, tmp_path / "log") == 0, (tmp_path / "log").read_text()
    assert node.is_ready(daemon)
    lost = next(node.host_path("/var/lib/depthhub").rglob("weights.safetensors"))
    lost.unlink()
    assert not node.is_ready(daemon)
    assert node.run(daemon, tmp_path / "log") == 0
    assert node.is_ready(daemon)


def test_the_images_lockfile_and_token_variables_are_those_of_the_document(walk: Walk, node: Node) -> None:
    image = json.loads(image_path(walk.state, "thin").read_text())
    assert image["env"]["DEPTHHUB_LOCKFILE"] == "/app/depthhub.lock"
    assert "DEPTHHUB_CACHE" not in image["env"]
