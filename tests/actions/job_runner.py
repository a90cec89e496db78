"""Runs the steps of a job on this machine, in order, as GitHub's runner would: what our action and its README need.

`run:` steps are real processes of bash with the environment, the files (GITHUB_OUTPUT, GITHUB_ENV, GITHUB_STEP_SUMMARY)
and the folders of a runner. A composite action is run from its action.yml. Of other people's actions, checkout copies a
folder, setup-python leaves the Python that is first in PATH, and actions/cache is `kept_caches.py`.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from .expressions import Context, expand, holds
from .kept_caches import KeptCaches

_SHELLS = {"bash": ["bash", "--noprofile", "--norc", "-eo", "pipefail"], None: ["bash", "-e"]}


class JobFailed(Exception):  # noqa: N818  what a person would call it
    """A step ended with another code than 0; the message is the log of the job up to there."""


@dataclass
class Job:
    """One job on a machine of its own.

    repository: what checkout copies. temp: RUNNER_TEMP. actions: our own actions, by what stands before the @.
    environment: what the machine sets; env: what the steps did. log: what they printed; summary: the page of the run.
    """

    repository: Path
    workspace: Path
    temp: Path
    caches: KeptCaches
    actions: Mapping[str, Path]
    environment: Mapping[str, str]
    env: dict[str, str] = field(default_factory=dict)
    log: str = ""
    summary: str = ""
    outputs: dict[str, dict[str, str]] = field(default_factory=dict)
    """Of the steps with an id."""

    def run(self, steps: list[dict[str, Any]]) -> Job:
        """The steps of a workflow's job. Raises JobFailed at the first that fails."""
        self.workspace.mkdir(parents=True)
        self.temp.mkdir(parents=True, exist_ok=True)
        self.outputs = self._steps(steps, {})
        return self

    def _steps(self, steps: list[dict[str, Any]], inputs: Mapping[str, str], action: Path | None = None) -> Any:
        outputs: dict[str, dict[str, str]] = {}
        for step in steps:
            done = {name: {"outputs": values} for name, values in outputs.items()}
            context: Context = {"inputs": inputs, "steps": done}
            if "if" in step and not holds(str(step["if"]), context):
                continue
            given = {name: expand(_text(value), context) for name, value in step.get("with", {}).items()}
            env = {name: expand(_text(value), context) for name, value in step.get("env", {}).items()}
            made = self._uses(step["uses"], given) if "uses" in step else self._process(step, env, action)
            if "id" in step:
                outputs[step["id"]] = made
        return outputs

    def _uses(self, what: str, given: Mapping[str, str]) -> dict[str, str]:
        name = what.partition("@")[0]
        if name in self.actions:
            return self._composite(self.actions[name], given)
        match name:
            case "actions/checkout":
                shutil.copytree(self.repository, self.workspace, dirs_exist_ok=True)
                return {}
            case "actions/setup-python":
                return {}
            case "actions/cache/restore":
                return self.caches.restore(given)
            case "actions/cache/save":
                return self.caches.save(given)
        raise NotImplementedError(f"uses: {what}")

    def _composite(self, folder: Path, given: Mapping[str, str]) -> dict[str, str]:
        action = yaml.safe_load((folder / "action.yml").read_text(encoding="utf-8"))
        assert action["runs"]["using"] == "composite"
        assert given.keys() <= action["inputs"].keys(), "an input that the action does not have"
        inputs = {name: given.get(name, _text(told.get("default", ""))) for name, told in action["inputs"].items()}
        made = self._steps(action["runs"]["steps"], inputs, folder)
        context = {"steps": {name: {"outputs": values} for name, values in made.items()}}
        return {name: expand(told["value"], context) for name, told in action.get("outputs", {}).items()}

    def _process(self, step: Mapping[str, Any], env: Mapping[str, str], action: Path | None) -> dict[str, str]:
        """A `run:` step: what it wrote to GITHUB_OUTPUT."""
        assert "${{" not in step["run"], "an expression in a script is an injection"
        assert action is None or "shell" in step, "a composite action has to name its shell"
        commands = self.temp / "_runner_file_commands"
        commands.mkdir(exist_ok=True)
        files = {name: commands / name for name in ("GITHUB_OUTPUT", "GITHUB_ENV", "GITHUB_STEP_SUMMARY")}
        for path in files.values():
            path.write_text("")
        script = commands / "script.sh"
        script.write_text(step["run"])
        told = {
            **self.environment,
            **self.env,
            "GITHUB_WORKSPACE": str(self.workspace),
            "RUNNER_TEMP": str(self.temp),
            **{name: str(path) for name, path in files.items()},
            **({"GITHUB_ACTION_PATH": str(action)} if action else {}),
            **env,
        }
        ran = subprocess.run(
            [*_SHELLS[step.get("shell")], str(script)],
            cwd=self.workspace,
            env=told,
            check=False,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=240,
        )
        self.log += f"## {step.get('name') or step['run'].strip()}\n{ran.stdout}"
        self.summary += files["GITHUB_STEP_SUMMARY"].read_text(encoding="utf-8")
        if ran.returncode:
            raise JobFailed(f"{self.log}\nended with {ran.returncode}")
        self.env |= assignments(files["GITHUB_ENV"].read_text(encoding="utf-8"))
        return assignments(files["GITHUB_OUTPUT"].read_text(encoding="utf-8"))


def assignments(text: str) -> dict[str, str]:
    """What a step wrote to GITHUB_OUTPUT or GITHUB_ENV: `name=value`, or `name<<END` and lines up to END."""
    found: dict[str, str] = {}
    lines = iter(text.splitlines())
    for line in lines:
        if several := re.fullmatch(r"([^=<]+)<<(.+)", line):
            value = []
            for part in lines:
                if part == several[2]:
                    break
                value.append(part)
            else:
                raise ValueError(f"{several[1]} does not end")
            found[several[1]] = "\n".join(value)
        else:
            name, equals, value_text = line.partition("=")
            if not equals:
                raise ValueError(f"{line!r} assigns nothing")
            found[name] = value_text
    return found


def machine_environment(**further: str) -> dict[str, str]:
    """The variables that a job finds: this machine's, without what would tell the runner or pip anything."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("GITHUB_", "RUNNER_", "PIP_"))}
    return {**kept, **further}


def _text(value: object) -> str:
    """A value of YAML as the runner hands it on."""
    return str(value).lower() if isinstance(value, bool) else str(value)
