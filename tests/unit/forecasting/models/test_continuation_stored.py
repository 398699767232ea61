"""Continuations on the disk, and those of an installation: used where better, refused where not ours."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest

from tests.unit.forecasting.models.fast import DAYS, PLACE, START_MS, STEP_MS, issued, quick, signal, trained
from tidewatt.forecasting.archive import Archive
from tidewatt.forecasting.archived import Archived
from tidewatt.forecasting.chain import Chain
from tidewatt.forecasting.errors import ForecastError
from tidewatt.forecasting.feeds.fake import FakeFeed
from tidewatt.forecasting.feeds.feed import Fetched, Issued, Observed
from tidewatt.forecasting.kind import Basis, Boundary, Kind, Signal
from tidewatt.forecasting.models.continuation import Worth
from tidewatt.forecasting.models.continuation_shelf import Continuations, gathered, retrained
from tidewatt.forecasting.models.continuation_stored import load, place, save
from tidewatt.forecasting.models.retrain import reports
from tidewatt.forecasting.models.shelf import Shelf
from tidewatt.forecasting.models.slots import DAY_MS, HOUR_MS
from tidewatt.forecasting.own import Models
from tidewatt.forecasting.quantity import intensity
from tidewatt.forecasting.series import Rung, Steps, instant, milliseconds

KIND = Kind(Signal.MARGINAL, Basis.DIRECT, Boundary.CONSUMPTION, "CO2")
SOURCE, ZONE = "watttime", PLACE[0]
NOW = instant(START_MS + 50 * DAY_MS + 20 * 60_000)


def archive_of(folder: Path, *, days: int = 51) -> Archive:
    """An archive of the invented zone that received each hour's issue and all steps at their time."""
    past = signal(DAYS)
    archive = Archive(folder / "grid.db")
    start = START_MS + np.arange(days * 288) * STEP_MS
    steps = Steps(start, start + STEP_MS, past.gco2_per_kwh[: days * 288])
    said = issued(past)
    issues = tuple(
        Issued(intensity(KIND), instant(at), _steps(at, row))
        for at, row in zip(said.issued_ms.tolist(), said.gco2_per_kwh, strict=True)
        if at < START_MS + days * DAY_MS
    )
    archive.add(SOURCE, ZONE, Fetched((Observed(intensity(KIND), steps),), issues), instant(START_MS))
    return archive


def _steps(at_ms: int, row: np.ndarray) -> Steps:
    start = at_ms + np.arange(len(row)) * HOUR_MS // 4
    return Steps(start, start + HOUR_MS // 4, row)


def test_a_stored_model_predicts_what_the_trained_one_did(tmp_path: Path) -> None:
    model, past = trained(), signal()
    save(model, tmp_path / "model.npz")
    again = load(tmp_path / "model.npz")
    assert (tmp_path / "model.npz").stat().st_mode & 0o777 == 0o600
    assert again.worth == model.worth
    assert again.label == model.label
    moments = START_MS + np.array([46, 50, 55]) * DAY_MS
    before, after = (each.many(past, issued(past), moments) for each in (model, again))
    np.testing.assert_allclose(after.gco2_per_kwh, before.gco2_per_kwh, rtol=1e-9)
    np.testing.assert_allclose(after.p10, before.p10, rtol=1e-9)


def _truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-400])


def _writable(path: Path) -> None:
    path.chmod(0o666)


def _other_format(path: Path) -> None:
    _rewritten(path, lambda arrays, header: header.update(format=99))


def _pointing_outside(path: Path) -> None:
    _rewritten(path, lambda arrays, header: arrays.update(left=arrays["left"] + 1_000_000))


def _rewritten(path: Path, change: Callable[[dict[str, np.ndarray], dict[str, object]], None]) -> None:
    with np.load(BytesIO(path.read_bytes())) as file:
        arrays = {name: file[name] for name in file.files}
    header = json.loads(bytes(arrays["header"]).decode())
    change(arrays, header)
    arrays["header"] = np.frombuffer(json.dumps(header).encode(), np.uint8)
    np.savez(path, **arrays)


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (_truncated, "is damaged"),
        (_writable, "can be written by others"),
        (_other_format, "has format 99"),
        (_pointing_outside, "is damaged"),
        (Path.unlink, "cannot be read"),
    ],
)
def test_a_file_that_is_not_ours_or_damaged_is_refused(
    tmp_path: Path, spoil: Callable[[Path], None], reason: str
) -> None:
    path = tmp_path / "model.npz"
    save(trained(), path)
    spoil(path)
    with pytest.raises(ForecastError, match=reason):
        load(path)


def test_an_installation_trains_keeps_and_uses_it_where_it_was_better(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick(monkeypatch)
    with archive_of(tmp_path) as archive:
        models = Continuations(tmp_path / "models", archive)
        assert models.layer(SOURCE, ZONE, KIND, NOW, NOW + timedelta(hours=30)) is None
        model = retrained(archive, tmp_path / "models", SOURCE, ZONE, KIND, NOW)
        assert model is not None
        assert model.worth.better
        layer = models.layer(SOURCE, ZONE, KIND, NOW, NOW + timedelta(hours=30))
        assert layer is not None
        assert layer.rung is Rung.OWN
        assert "against" in layer.source
        assert layer.source.endswith("trained 2022-02-20 (watttime)")
        assert layer.steps.start_ms[0] <= NOW.timestamp() * 1000 < layer.steps.end_ms[0] + 2 * STEP_MS
        assert layer.steps.end_ms[-1] - layer.steps.start_ms[0] == 48 * HOUR_MS


def test_the_daily_training_makes_it_and_the_chain_puts_it_before_the_issue_that_it_has_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick(monkeypatch)
    with archive_of(tmp_path) as archive:
        told = [each for each in reports(archive, tmp_path / "models", NOW, [ZONE]) if "source" in each]
        assert told[0]["source"] == SOURCE
        assert "captured" in told[0]
        again = [each for each in reports(archive, tmp_path / "models", NOW, [ZONE]) if "source" in each]
        assert again[0]["skipped"] == "the continuation is of the last hours"
        folder = tmp_path / "models"
        models = Models(Shelf(folder), Continuations(folder, archive), archive)
        chain = Chain([Archived(FakeFeed(SOURCE), archive)], models=models)
        outlook = chain.outlook(ZONE, Signal.MARGINAL, NOW, NOW + timedelta(hours=30))
        assert outlook is not None
        assert outlook.segments[0].source.startswith("gradient boosting of quarter hours")
        assert outlook.segments[0].rung is Rung.OWN
        plain = Chain([Archived(FakeFeed(SOURCE), archive)])
        issue = plain.outlook(ZONE, Signal.MARGINAL, NOW, NOW + timedelta(hours=30))
        assert issue is not None
        assert issue.segments[0].rung is Rung.LIVE


def test_a_model_that_was_not_better_or_is_old_is_not_used(tmp_path: Path) -> None:
    with archive_of(tmp_path) as archive:
        models = Continuations(tmp_path / "models", archive)
        path = place(tmp_path / "models", ZONE, SOURCE, intensity(KIND))
        until = NOW + timedelta(hours=30)

        def used(now: datetime = NOW) -> bool:
            return models.layer(SOURCE, ZONE, KIND, now, until) is not None

        save(replace(trained(), worth=Worth(0.7, 0.6, 30)), path)
        assert used()
        save(replace(trained(), worth=Worth(0.6, 0.7, 30)), path)
        assert not used()
        save(replace(trained(), worth=Worth(0.7, 0.6, 30), trained_ms=START_MS - 20 * DAY_MS), path)
        assert not used()
        save(replace(trained(), worth=Worth(0.7, 0.6, 30), trained_ms=milliseconds(NOW) + 1), path)
        assert not used()  # it has seen what came after that moment


def test_what_was_received_later_is_not_used(tmp_path: Path) -> None:
    with archive_of(tmp_path, days=20) as archive:
        late = START_MS + 20 * DAY_MS
        start = late + np.arange(288) * STEP_MS
        observed = Observed(intensity(KIND), Steps(start, start + STEP_MS, np.full(288, 1e4)))
        archive.add(SOURCE, ZONE, Fetched((observed,)), instant(late + 2 * DAY_MS))
        now = instant(late + DAY_MS)
        found = gathered(archive, SOURCE, ZONE, KIND, now, timedelta(days=16))
        assert found is not None
        assert np.nanmax(found[0].gco2_per_kwh) < 1e3
        hindsight = gathered(archive, SOURCE, ZONE, KIND, now, timedelta(days=16), as_received=False)
        assert hindsight is not None
        assert np.nanmax(hindsight[0].gco2_per_kwh) == 1e4


def test_hourly_series_are_left_to_other_models(tmp_path: Path) -> None:
    with Archive(tmp_path / "grid.db") as archive:
        start = START_MS + np.arange(24 * 60) * HOUR_MS
        observed = Observed(intensity(KIND), Steps(start, start + HOUR_MS, np.full(24 * 60, 300.0)))
        archive.add(SOURCE, ZONE, Fetched((observed,)), instant(START_MS))
        assert retrained(archive, tmp_path, SOURCE, ZONE, KIND, NOW) is None
