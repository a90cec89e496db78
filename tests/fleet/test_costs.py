"""What is simulated is what a real cold call does: the requests that a Hub and a store see, and the bytes."""

from __future__ import annotations

import hashlib
import json
import sys
from dataclasses import replace

import pytest

from depthhub import prewarm
from depthhub.catalog import Catalog
from depthhub.testing import LoggedRequest
from fleet.costs import MEASURED, Measured, read_measured
from fleet.measuring import measure, requests_of
from fleet.scenario import Scenario
from fleet.world import simulate

from ..cache.remote.web import Web
from ..catalogs import checkpoint as catalog_entry
from ..catalogs import write_catalog

pytestmark = [
    pytest.mark.allow_hosts(["127.0.0.1"]),
    pytest.mark.skipif(sys.platform == "win32", reason="the Hub of the measuring is forked"),
]

REPO = "owner/repo"


def simulated(**changes: object) -> object:
    return simulate(replace(Scenario(machines=1, model="vits"), **changes), read_measured())  # type: ignore[arg-type]


def test_a_real_call_of_a_pinned_name_asks_as_often_as_the_simulated_one(local_hub, tiny, tmp_path, monkeypatch):
    commit = local_hub.add_file(REPO, "tiny.pth", tiny)
    data = tiny.read_bytes()
    pinned = catalog_entry(
        name="tiny-one",
        repo_id=REPO,
        filename="tiny.pth",
        revision=commit,
        sha256=hashlib.sha256(data).hexdigest(),
        size=len(data),
    )
    monkeypatch.setenv("DEPTHHUB_CATALOG", str(write_catalog(tmp_path / "catalog.json", pinned)))
    prewarm(["tiny-one"])
    seen = requests_of(local_hub.requests)
    hub = simulated().hub
    assert (seen.api, seen.resolve, seen.cdn) == (hub.api, hub.resolve, hub.cdn) == (0, 1, 1)


def test_a_real_call_of_a_branch_asks_as_often_as_the_simulated_one(local_hub, tiny):
    local_hub.add_file(REPO, "tiny.pth", tiny)
    prewarm([f"{REPO}/tiny.pth"], family="v2")
    seen = requests_of(local_hub.requests)
    hub = simulated(pinned=False).hub
    assert (seen.api, seen.resolve, seen.cdn) == (hub.api, hub.resolve, hub.cdn) == (1, 1, 1)


def test_a_real_entry_comes_out_of_a_store_with_as_many_requests_as_the_simulated_one(
    local_hub, tiny, tmp_path, monkeypatch
):
    shared = tmp_path / "shared"
    shared.mkdir()
    local_hub.add_file(REPO, "tiny.pth", tiny)
    source = [f"{REPO}/tiny.pth"]
    monkeypatch.setenv("DEPTHHUB_REMOTE", str(shared))
    monkeypatch.setenv("DEPTHHUB_PUSH", "1")
    prewarm(source, family="v2", cache_dir=tmp_path / "pusher")
    monkeypatch.delenv("DEPTHHUB_PUSH")
    local_hub.clear_log()
    with Web().serving() as web:
        web.files = {f"/{file.name}": file.read_bytes() for file in shared.iterdir()}
        monkeypatch.setenv("DEPTHHUB_REMOTE", web.url)
        prewarm(source, family="v2", cache_dir=tmp_path / "reader")
        gets = len(web.paths())
    outcome = simulated(way="store")
    assert gets == outcome.store.gets == read_measured().gets == 2
    assert requests_of(local_hub.requests).cdn == outcome.hub.cdn == 0


def test_requests_are_counted_by_the_published_rules():
    def asked(path: str, host: str = "hub") -> LoggedRequest:
        return LoggedRequest("GET", path, "", host, 200, None, False, None)  # type: ignore[arg-type]

    counted = requests_of(
        [asked("/api/models/owner/api"), asked("/api/x/resolve/main/w.pth"), asked("/models/x/api/w.pth", "cdn")]
    )
    assert (counted.api, counted.resolve, counted.cdn) == (1, 1, 1)
    with pytest.raises(ValueError, match="/owner/repo"):
        requests_of([asked("/owner/repo")])


@pytest.mark.slow
def test_costs_are_measured_from_real_calls(hub_environment, tmp_path):
    found = measure(tmp_path, sizes=("tiny",), runs=1)
    kept = read_measured()
    assert (found.requests, found.gets) == (kept.requests, kept.gets)
    costs = found.models["tiny"]
    assert costs.original == pytest.approx(costs.entry, rel=0.1)
    assert costs.half == pytest.approx(costs.entry / 2, rel=0.1)
    assert 500 < costs.record < 5_000
    assert min(costs.intake, costs.entry_intake, costs.make, costs.place) > 0
    (tmp_path / "measured.json").write_text(found.to_json())
    assert read_measured(tmp_path / "measured.json") == found


def test_what_is_kept_is_of_the_released_checkpoints():
    measured: Measured = read_measured()
    assert set(measured.models) == {"vits", "vitl"}
    for name, costs in measured.models.items():
        assert costs.original == Catalog.load().find(name).size
        assert costs.half < costs.entry <= costs.original
    assert "/" not in json.loads(MEASURED.read_text())["facts"]["file system"]
