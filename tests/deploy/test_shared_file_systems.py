"""Slurm and other shared file systems: a group's cache, the tasks of a job, and what the doctor says there."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import pytest

from depthhub_cache.doctor import surroundings
from depthhub_cache.doctor.examination import _decide
from depthhub_cache.doctor.probes import Witnessed
from depthhub_cache.filesystem import FileSystem
from recipes.container import Mount
from recipes.docker import image_path
from recipes.images import Image
from recipes.slurm import srun
from recipes.walk import DOCUMENT, Walk

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])

NFS = FileSystem(type="nfs4", source="server:/export", options=("rw", "local_lock=none"), is_network=True)
NFS_LOCKED_APART = NFS._replace(options=("rw", "local_lock=all"))


def test_what_the_document_says_that_the_doctor_says_is_what_it_says() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    [table] = re.findall(r"\| what it says \|.*?\n((?:\|.*\n)+)", text)
    said = [line.split("|")[1].strip() for line in table.splitlines()[1:]]
    apart = Witnessed(flock=True, soft=True, map=True)
    nobody = Witnessed(flock=False, soft=False, map=True)
    findings = [
        surroundings.file_system(NFS),
        _decide(NFS, apart)[1][1],
        _decide(NFS_LOCKED_APART, apart)[1][0],
        _decide(NFS, nobody)[1][0],
    ]
    assert said == [finding.what for finding in findings]
    assert {finding.state for finding in findings} == {"degraded"}


def test_a_step_ends_with_the_worst_of_its_tasks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SLURM_NTASKS", "3")
    number = "number = os.environ['SLURM_PROCID']"
    program = f"import os, pathlib; {number}; pathlib.Path({str(tmp_path)!r}, number).touch(); exit(int(number))"
    assert srun([sys.executable, "-c", program]) == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0", "1", "2"]
    assert srun(["--ntasks=1", sys.executable, "-c", program]) == 0


@pytest.mark.slow
@pytest.mark.usefixtures("containers")
def test_members_of_a_group_add_to_one_cache_whatever_their_umask(walk: Walk, baked: str, tmp_path: Path) -> None:
    project = tmp_path / "depthhub"
    project.mkdir()
    os.chown(project, 0, 6000)
    project.chmod(0o2775)
    image = Image.read(image_path(walk.state, baked))

    def member(uid: int, command: str):
        env = {"DEPTHHUB_CACHE": "/project", "HF_HUB_OFFLINE": "", "HF_ENDPOINT": walk.hub.endpoint}
        container = image.start(user=f"{uid}:100", env={**env, "DEPTHHUB_LOCKFILE": ""})
        container = container._replace(groups=(6000,), mounts=(Mount(project, "/project"),), network=True)
        return container.run(["sh", "-c", f"umask 077 && {command}"])

    assert member(5001, "depthhub pull vits").returncode == 0
    seen = member(5002, "depthhub path vits")
    assert (seen.returncode, seen.stderr) == (0, "")
    added = member(5002, "depthhub pull vits --dtype float16")
    assert added.returncode == 0, added.stderr
    removed = member(5001, "depthhub cache remove vits --dtype float16")
    assert removed.returncode == 0, removed.stderr
    assert {path.stat().st_gid for path in project.rglob("*")} == {6000}
