"""Pods of a Kubernetes manifest as containers: volumes as bind mounts, users, probes, the order of a pod's life.

One machine stands for the node. A kind or a volume that is not known here is refused.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import kubernetes_validate  # type: ignore[import-untyped]
import yaml  # type: ignore[import-untyped]

from .container import Container, Mount
from .images import Image

Spec = Mapping[str, Any]

KINDS = ("DaemonSet", "Job")

_LONGEST = 3600.0


def read_manifest(path: Path) -> list[dict[str, Any]]:
    """The resources in a file, each held against the strict schema of Kubernetes.

    Raises kubernetes_validate.ValidationError, and ValueError for a kind that cannot be started here.
    """
    resources = [resource for resource in yaml.safe_load_all(path.read_text(encoding="utf-8")) if resource]
    for resource in resources:
        if resource["kind"] not in KINDS:
            raise ValueError(f"{path}: a {resource['kind']} cannot be started here")
        kubernetes_validate.validate(resource, kubernetes_validate.latest_version(), strict=True)
    return resources


class Node:
    """The machine on which pods run. image: finds one by its tag. env: of each container, as a cluster may set it."""

    def __init__(self, folder: Path, image: Callable[[str], Image], env: Mapping[str, str]) -> None:
        self.folder = folder
        self.image = image
        self.env = env

    def host_path(self, path: str) -> Path:
        """Where a folder of the node lies on this machine."""
        return self.folder / path.lstrip("/")

    def run(self, spec: Spec, log: Path) -> int:
        """A pod from its first container to its last, each to its end; what it ends with."""
        volumes = dict(self._volumes(spec))
        for container in (*spec.get("initContainers", ()), *spec["containers"]):
            with log.open("a") as out:
                within = self._container(container, spec, volumes)
                ended = within.run(self._command(container), seconds=_LONGEST, out=out)
            if ended.returncode:
                return ended.returncode
        return 0

    def is_ready(self, spec: Spec) -> bool:
        """What the probes of a running pod say, whose volumes are folders of the node."""
        volumes = dict(self._volumes(spec))
        return all(
            self._container(container, spec, volumes).run(probe["exec"]["command"]).returncode == 0
            for container in spec["containers"]
            if (probe := container.get("readinessProbe"))
        )

    def _volumes(self, spec: Spec) -> Iterator[tuple[str, Path]]:
        group = spec.get("securityContext", {}).get("fsGroup")
        for volume in spec.get("volumes", ()):
            match sorted(set(volume) - {"name"}):
                case ["emptyDir"]:
                    folder = Path(tempfile.mkdtemp(prefix="emptydir-", dir=self.folder))
                    folder.chmod(0o777)
                case ["hostPath"]:
                    folder = self.host_path(volume["hostPath"]["path"])
                    folder.mkdir(parents=True, exist_ok=True)
                case ["persistentVolumeClaim"]:
                    folder = self.folder / "claims" / volume["persistentVolumeClaim"]["claimName"]
                    folder.mkdir(parents=True, exist_ok=True)
                case kind:
                    raise ValueError(f"a volume of {kind} is not known here")
            if group is not None and "hostPath" not in volume:  # of the host's folders the group stays as it is
                os.chown(folder, -1, group)
                folder.chmod(folder.stat().st_mode | 0o2770)
            yield volume["name"], folder

    def _command(self, container: Spec) -> list[str]:
        image = self.image(container["image"])
        command = container.get("command", image.entrypoint)
        return [*command, *container.get("args", () if "command" in container else image.command)]

    def _container(self, container: Spec, spec: Spec, volumes: Mapping[str, Path]) -> Container:
        """What says that it is offline gets no network; all else that of this machine, where the Hub is."""
        context = {**spec.get("securityContext", {}), **container.get("securityContext", {})}
        image = self.image(container["image"])
        user = str(context.get("runAsUser", image.user))
        if context.get("runAsNonRoot") and user == "0":
            raise ValueError(f"{container['name']} would run as root, and may not")
        env = {one["name"]: one["value"] for one in container.get("env", ()) if "value" in one}
        needed = [one["name"] for one in container.get("env", ()) if "valueFrom" in one and not _is_optional(one)]
        if needed:
            raise ValueError(f"{container['name']}: there is nothing here to take {needed} from")
        started = image.start(user=f"{user}:{context.get('runAsGroup', 0)}", env={**self.env, **env})
        mounts = tuple(
            Mount(volumes[mount["name"]], mount["mountPath"], mount.get("readOnly", False))
            for mount in container.get("volumeMounts", ())
        )
        return started._replace(
            mounts=mounts,
            groups=(context["fsGroup"],) if "fsGroup" in context else (),
            capable="ALL" not in context.get("capabilities", {}).get("drop", ()),
            read_only=context.get("readOnlyRootFilesystem", False),
            network=env.get("HF_HUB_OFFLINE") != "1",
        )


def _is_optional(variable: Spec) -> bool:
    return any(source.get("optional", False) for source in variable["valueFrom"].values())
