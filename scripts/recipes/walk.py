"""The world in which docs/deploy.md is walked through: a Hub, a store, a base image, and machines as they come up."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any

from depthhub.testing import LocalHub

from .container import why_no_containers
from .document import Block
from .images import base_image
from .kubectl import end_all
from .machine import Machine, Typed
from .offer import PROJECT, build_wheel, fill, install

DOCUMENT = PROJECT / "docs" / "deploy.md"

_FIRST = "here"
_WITHOUT_NETWORK = frozenset({"inside"})
_NEED_CONTAINERS = ("docker ", "kubectl ")


class Walk:
    """Lies in `folder`; closing it ends what was started. encoder: the size of the checkpoints that the Hub has."""

    def __init__(self, folder: Path, *, encoder: str = "tiny") -> None:
        self.folder = folder
        self.machines: dict[str, Machine] = {}
        self._store: dict[str, str] | None = None
        self._stack = ExitStack()
        self.hub = self._stack.enter_context(LocalHub())
        for name in ("hub", "wheel"):
            (folder / name).mkdir()
        wheel = build_wheel(folder / "wheel", fill(self.hub, folder / "hub", encoder))
        self.site = install(wheel, folder / "site")
        self.state = folder / "state"
        self.state.mkdir()
        self._stack.callback(end_all, self.state)
        if why_no_containers() is None:
            (self.state / "base").mkdir()
            image = base_image(self.state / "base", {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": "/srv"})
            shutil.copy(wheel, image.layers[0] / "root" / "srv")
            image.save(self.state / "base.json")

    def __enter__(self) -> Walk:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._stack.close()

    def type(self, block: Block) -> Iterator[Typed]:
        """Run a block on its machine, with what has been carried there."""
        machine = self.machines.get(block.machine) or self._new_machine(block.machine)
        if block.brings:
            machine.bring(block.brings, self.machines[block.origin or _FIRST])
        yield from machine.type(block)

    def _new_machine(self, name: str) -> Machine:
        env = {"RECIPES_STATE": str(self.state), "PROJECT": str(self.folder / "project"), "LAB": str(os.getgid())}
        connected = name not in _WITHOUT_NETWORK
        if connected:
            env |= {"HF_ENDPOINT": self.hub.endpoint, **self.store}
        machine = self.machines[name] = Machine(self.folder / name, self.site, env, network=connected)
        return machine

    @property
    def store(self) -> dict[str, str]:
        """The environment in which s3:// is a server on this machine; it is started when it is first asked for."""
        if self._store is None:
            self._store = self._start_store()
        return self._store

    def _start_store(self) -> dict[str, str]:
        import boto3  # type: ignore[import-untyped]
        from moto.server import ThreadedMotoServer

        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        server: Any = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
        server.start()
        self._stack.callback(server.stop)
        host, port = server.get_host_and_port()
        env = {
            "AWS_ENDPOINT_URL": f"http://{host}:{port}",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "somebody",
            "AWS_SECRET_ACCESS_KEY": "a-secret-key",
        }
        boto3.client(
            "s3",
            endpoint_url=env["AWS_ENDPOINT_URL"],
            region_name=env["AWS_DEFAULT_REGION"],
            aws_access_key_id=env["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=env["AWS_SECRET_ACCESS_KEY"],
        ).create_bucket(Bucket="models")
        return env


def why_not_here(block: Block) -> str | None:
    """Why a block cannot be typed on this system; None where it can."""
    needs = any(word in command.text for command in block.commands for word in _NEED_CONTAINERS)
    return why_no_containers() if needs or block.machine in _WITHOUT_NETWORK else None
