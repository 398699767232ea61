"""The regions of the configurations that we ship: each is shown, and each rehearses what it would be sent."""

import tomllib
from pathlib import Path

import pytest

from tests.integration.scheduler.precinct import precinct
from tidewatt.scheduler.cli.app import EXPERIMENTAL
from tidewatt.scheduler.daemon.region_views import is_experimental
from tidewatt.scheduler.paths import mark
from tidewatt.scheduler.request_schema import SubmitRequest

CONFIGS = Path(__file__).parents[3] / "configs"
FOR_FILES = "regions.toml"  # of queues in files: no daemon runs there
WITH_REGIONS = sorted(
    path
    for path in CONFIGS.glob("*.toml")
    if path.name != FOR_FILES and "region" in tomllib.loads(path.read_text("utf-8"))
)


@pytest.fixture(autouse=True)
def no_clients(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No command of any engine is there: nothing can be sent."""
    monkeypatch.setenv("PATH", str(tmp_path))


@pytest.mark.parametrize("path", WITH_REGIONS, ids=lambda path: path.name)
def test_every_region_says_exactly_what_it_would_be_sent(path: Path) -> None:
    with precinct(path) as at:
        before = len(at.store.events())
        for region in at.site.board.stated:
            assert region.backend not in at.site.board.unusable, at.site.board.unusable
            asked = {"argv": ("echo", "a b"), "cwd": str(at.folder), "env": {"TOKEN": "s3cret"}}
            reply = at.rehearsals.rehearse(
                SubmitRequest.model_validate(asked | {"duration_s": 600, "regions": (region.name,)})
            )
            assert (reply.region, reply.backend) == (region.name, region.backend)
            assert f"{mark(at.paths)}-1-1" in reply.text
            assert "s3cret" not in reply.text
            assert ".new-" not in reply.text
        assert at.store.jobs() == []
        assert len(at.store.events()) == before


@pytest.mark.parametrize("path", WITH_REGIONS, ids=lambda path: path.name)
def test_regions_whose_engines_are_absent_are_shown_as_such(path: Path) -> None:
    with precinct(path) as at:
        for place in at.places.now().regions:
            assert place.experimental == (place.backend in EXPERIMENTAL)
            if place.backend != "local":
                assert place.health in ("silent", "not asked yet")
                assert (place.trouble != "") == (place.health == "silent")


@pytest.mark.parametrize("kind", ["local", "ssh", "slurm", "kubernetes", "ray", "aws-batch", "skypilot"])
def test_help_marks_what_is_experimental(kind: str) -> None:
    assert is_experimental(kind) == (kind in EXPERIMENTAL)
