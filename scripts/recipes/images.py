"""Images: what a Dockerfile makes of layers, and the containers that are started from it."""

from __future__ import annotations

import json
import shlex
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from .container import Container, Mount, base_layer, new_layer
from .dockerfile import Instruction, Stage, read_dockerfile

BASE = "python:"
"""How the base image has to be called, since this machine's Python takes its place."""

_CONTEXT, _GIVEN = "/run/context", "/run/given"


class Image(NamedTuple):
    """Layers, the lowest first, and what the processes in it get."""

    layers: tuple[Path, ...]
    env: Mapping[str, str] = {}
    user: str = "0"
    workdir: str = "/"
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()

    def start(self, *, user: str | None = None, env: Mapping[str, str] = {}) -> Container:
        """A container of it, as an engine would make it without further options.

        A user whom the image does not know gets `/` for a home and the group 0, as in every engine.
        """
        uid, _, gid = (user or self.user).partition(":")
        home = "/root" if uid == "0" else "/"
        return Container(
            self.layers, env={"HOME": home, **self.env, **env}, user=int(uid), group=int(gid or 0), workdir=self.workdir
        )

    def save(self, path: Path) -> None:
        path.write_text(json.dumps({**self._asdict(), "layers": list(map(str, self.layers))}))

    @classmethod
    def read(cls, path: Path) -> Image:
        data = json.loads(path.read_text())
        lists = {name: tuple(data[name]) for name in ("entrypoint", "command")}
        return cls(**{**data, **lists, "layers": tuple(map(Path, data["layers"]))})


def base_image(folder: Path, env: Mapping[str, str]) -> Image:
    """This machine's Python with all that depthhub needs, and without depthhub.

    env: of the image, such as where its pip finds packages.
    """
    base, without = base_layer(folder / "base"), new_layer(folder / "without")
    remove = ["python", "-m", "pip", "--quiet", "uninstall", "--yes", "depthhub"]
    _require(Container((base,), upper=without, capable=True, env={"HOME": "/root"}), remove)
    return Image((base, without), env=env, command=("python",))


class Builder:
    """Builds one Dockerfile. context: what COPY takes from. arguments, secrets: those of the build, by name."""

    def __init__(
        self, base: Image, folder: Path, context: Path, arguments: Mapping[str, str], secrets: Mapping[str, str]
    ) -> None:
        self.base = base
        self.folder = folder
        self.context = context
        self.arguments = arguments
        self.secrets = secrets
        self.stages: dict[str, Stage] = {}
        self.built: dict[str, Image] = {}

    def build(self, dockerfile: Path, target: str | None = None) -> Image:
        """The image of the stage `target`, else of the last one; only stages that it needs are built.

        Raises RuntimeError, with what was printed, where an instruction fails.
        """
        stages = read_dockerfile(dockerfile)
        self.stages = {stage.name: stage for stage in stages}
        return self._image(target or stages[-1].name)

    def _image(self, name: str) -> Image:
        """Of a stage, built once, or of what stands for the base."""
        if name not in self.stages:
            if not name.startswith(BASE):
                raise RuntimeError(f"{name}: only {BASE}... and stages of the Dockerfile are known here")
            return self.base
        if name not in self.built:
            self.built[name] = self._stage(self.stages[name])
        return self.built[name]

    def _stage(self, stage: Stage) -> Image:
        image = self._image(stage.base)
        arguments: dict[str, str] = {}
        for instruction in stage.instructions:
            known = {**image.env, **arguments}
            match instruction.name:
                case "ARG":
                    name, _, default = instruction.text.partition("=")
                    if value := self.arguments.get(name, default):
                        arguments[name] = value
                case "RUN":
                    image = self._run(image, instruction, arguments)
                case "COPY":
                    image = self._copy(image, instruction, known)
                case "ENV":
                    pairs = (word.split("=", 1) for word in instruction.words(known))
                    image = image._replace(env={**image.env, **dict(pairs)})
                case "USER":
                    image = image._replace(user=instruction.text)
                case "WORKDIR":
                    image = image._replace(workdir=instruction.text)
                case "CMD":
                    image = image._replace(command=tuple(instruction.command()))
                case "ENTRYPOINT":
                    image = image._replace(entrypoint=tuple(instruction.command()), command=())
        return image

    def _run(self, image: Image, instruction: Instruction, arguments: Mapping[str, str]) -> Image:
        container = image.start(env={**arguments, **self._mounted_secrets(instruction)})
        return self._changed(image, container, instruction.command())

    def _mounted_secrets(self, instruction: Instruction) -> dict[str, str]:
        found = {}
        for name, text in instruction.flags:
            options = dict(option.split("=", 1) for option in text.split(","))
            if name != "mount" or options.keys() != {"type", "id", "env"} or options["type"] != "secret":
                raise RuntimeError(f"RUN --{name}={text}: only secrets by env= are known here")
            if options["id"] in self.secrets:
                found[options["env"]] = self.secrets[options["id"]]
        return found

    def _copy(self, image: Image, instruction: Instruction, known: Mapping[str, str]) -> Image:
        """As root's, with the modes that the files have; a folder's contents go into the target."""
        *sources, target = instruction.words(known)
        stages = [text for name, text in instruction.flags if name == "from"]
        if len(stages) != len(instruction.flags):
            raise RuntimeError(f"COPY {instruction.text}: only --from is known here")
        given = Mount(self._gathered(sources, self._image(stages[0]) if stages else None), _GIVEN, read_only=True)
        if target.endswith("/") or len(sources) > 1 or not (given.source / Path(sources[0]).name).is_file():
            script = f"mkdir -p {target} && cp -R --preserve=mode {_GIVEN}/. {target}"
        else:
            script = f"mkdir -p {Path(target).parent} && cp --preserve=mode {_GIVEN}/{Path(sources[0]).name} {target}"
        return self._changed(image, image.start(user="0")._replace(mounts=(given,)), ["sh", "-c", script])

    def _gathered(self, sources: Iterable[str], stage: Image | None) -> Path:
        """The files, and what is in the folders, of the context or of a stage."""
        folder = Path(tempfile.mkdtemp(prefix="copied-", dir=self.folder))
        mounts = (Mount(folder, _GIVEN), *(() if stage else (Mount(self.context, _CONTEXT, read_only=True),)))
        take = f'cd {"/" if stage else _CONTEXT} && for it; do [ -d "$it" ] && it=$it/.; cp -R -p "$it" {_GIVEN}; done'
        container = (stage or self.base).start(user="0")._replace(mounts=mounts, capable=True)
        _require(container, ["sh", "-ec", take, "copy", *sources])
        folder.chmod(0o755)
        return folder

    def _changed(self, image: Image, container: Container, command: list[str]) -> Image:
        """The image with one more layer: what the command changes, as root, with a network."""
        layer = new_layer(Path(tempfile.mkdtemp(prefix="layer-", dir=self.folder)))
        _require(container._replace(upper=layer, capable=True, network=True), command)
        return image._replace(layers=(*image.layers, layer))


def _require(container: Container, command: list[str]) -> None:
    done = container.run(command)
    if done.returncode:
        raise RuntimeError(f"`{shlex.join(command)}` ended with {done.returncode}:\n{done.stdout}{done.stderr}")
