"""Runs the jobs of release.yml on this machine, each in a checkout of its own, as GitHub's runners would.

What is a `run:` step is run by bash. Artifacts are folders. What other people's actions would do on the network is
not done, and what they are handed is kept: the subjects of the attestation, the packages for the index.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from .conftest import ROOT, git

WORKFLOW = ROOT / ".github" / "workflows" / "release.yml"
CONDITIONS = {"github.event_name == 'push'": "push", "github.event_name != 'push'": "workflow_dispatch"}


@dataclass
class Run:
    """One run of the workflow. repository: what is checked out. event: push, or workflow_dispatch.

    environment: what each machine has beside its own. log: the output of each job.
    """

    repository: Path
    place: Path
    event: str
    ref_name: str
    environment: dict[str, str]
    artifacts: dict[str, Path] = field(default_factory=dict)
    log: dict[str, str] = field(default_factory=dict)
    attested: str = ""
    indexed: dict[str, bytes] = field(default_factory=dict)
    summary: str = ""

    def all(self) -> Run:
        """Job by job, in the order of the file, which is that of what they need."""
        for name in workflow()["jobs"]:
            self.job(name)
        return self

    def job(self, name: str) -> None:
        job = workflow()["jobs"][name]
        if not self._holds(job):
            return
        needed = [job["needs"]] if isinstance(job.get("needs"), str) else job.get("needs", [])
        assert set(needed) <= self.log.keys(), f"{name} needs what was not run"
        self.log[name] = ""
        machine = self.place / f"{name}-{len(list(self.place.iterdir()))}"
        machine.mkdir()
        for step in job["steps"]:
            if self._holds(step):
                self._step(step, name, machine, job["permissions"])

    def _holds(self, what: dict[str, Any]) -> bool:
        return "if" not in what or CONDITIONS[what["if"]] == self.event

    def _step(self, step: dict[str, Any], job: str, machine: Path, permissions: dict[str, str]) -> None:
        if "run" in step:
            self._script(step, job, machine, permissions)
            return
        given = step.get("with", {})
        match step["uses"].partition("@")[0]:
            case "actions/checkout":
                git(machine.parent, "clone", "--quiet", str(self.repository), str(machine))
                pretend_environment(machine)
            case "actions/setup-python":
                pass
            case "actions/upload-artifact":
                self._keep(given["name"], [machine / path for path in given["path"].split()])
            case "actions/download-artifact":
                shutil.copytree(self.artifacts[given["name"]], machine / given["path"], dirs_exist_ok=True)
            case "actions/attest-build-provenance":
                assert permissions == {"id-token": "write", "attestations": "write"}
                self.attested = (machine / given["subject-checksums"]).read_text()
            case "pypa/gh-action-pypi-publish":
                assert permissions == {"id-token": "write"}
                self.indexed = {path.name: path.read_bytes() for path in (machine / given["packages-dir"]).iterdir()}
            case other:
                raise NotImplementedError(other)

    def _script(self, step: dict[str, Any], job: str, machine: Path, permissions: dict[str, str]) -> None:
        if step["run"] == "scripts/test":  # which runs this
            return
        told = {name: value for name, value in os.environ.items() if not name.startswith("GITHUB_")}
        told |= {**self.environment, "PYTHON": sys.executable, "GITHUB_REPOSITORY": "me/depthhub"}
        told["GITHUB_STEP_SUMMARY"] = str(self.place / "summary.md")
        told["RELEASE"] = self.ref_name if self.event == "push" else "--dry-run"
        if (env := step.get("env")) is not None:
            assert env == {"GITHUB_TOKEN": "${{ github.token }}"}
            assert permissions == {"contents": "write"}
        else:
            told.pop("GITHUB_TOKEN", None)
        command = ["bash", "-e", "-c", step["run"]]
        done = subprocess.run(command, cwd=machine, env=told, capture_output=True, text=True, timeout=240, check=False)
        self.log[job] += done.stdout + done.stderr
        if done.returncode:
            raise AssertionError(f"{job}: {step['run']} ended with {done.returncode}\n{self.log[job]}")
        summary = self.place / "summary.md"
        self.summary = summary.read_text() if summary.exists() else ""

    def _keep(self, name: str, paths: list[Path]) -> None:
        """As the action does: one folder by what is in it, files by their names; nothing hidden."""
        kept = self.place.parent / f"{self.place.name}-artifacts" / name
        shutil.rmtree(kept, ignore_errors=True)
        kept.mkdir(parents=True)
        files = [*paths[0].iterdir()] if len(paths) == 1 else paths
        for path in files:
            assert not path.name.startswith("."), f"{path} is hidden, and would be left out"
            shutil.copy(path, kept)
        self.artifacts[name] = kept


def workflow() -> dict[Any, Any]:
    return yaml.safe_load(WORKFLOW.read_text(encoding="utf-8"))


def pretend_environment(checkout: Path) -> None:
    """A .venv that is the one of these tests, so that scripts/setup finds it ready."""
    folder = checkout / ".venv"
    folder.mkdir()
    for path in Path(sys.prefix).iterdir():
        if path.name != ".depthhub-setup":
            (folder / path.name).symlink_to(path)
    (program,) = re.findall(r"- <<'PY'\n(.*?)\nPY\n", (checkout / "scripts" / "setup").read_text(), re.DOTALL)
    done = subprocess.run([sys.executable, "-c", program], cwd=checkout, capture_output=True, text=True, check=True)
    (folder / ".depthhub-setup").write_text(done.stdout)
