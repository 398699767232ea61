"""The picture is written, shows what it should, and says what it needs."""

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from tidewatt.scheduler.accounting.picture import JobBar, ZoneLine, draw
from tidewatt.scheduler.errors import SchedulerError

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def zone(name: str, *values: float) -> ZoneLine:
    return ZoneLine(name, [(NOON + i * HOUR, NOON + (i + 1) * HOUR, value) for i, value in enumerate(values)])


def job(number: int, where: str, start_h: float, **more: object) -> JobBar:
    window = (NOON + start_h * HOUR, NOON + (start_h + 2) * HOUR)
    return JobBar(f"{number} bert", where, [window], NOON, **more)  # type: ignore[arg-type]


ZONES = [zone("DE", 400, 450, 300, 100, 120, 130), zone("FR", 50, 60, 55, 40, 45, 50)]
JOBS = [
    job(
        1,
        "DE",
        3,
        finish_by=NOON + 6 * HOUR,
        home_zone="DE",
        baseline_start=NOON,
        saved_g=0.0071,
        saved_percent=31,
    ),
    job(2, "FR", 1.5, home_zone="DE", baseline_start=NOON + HOUR / 2, saved_g=-0.4, saved_percent=-2),
    job(3, "DE", 0),
]


@pytest.mark.parametrize(("ending", "starts_with"), [(".png", b"\x89PNG"), (".svg", b"<?xml")])
def test_picture_is_written_by_its_ending(tmp_path: Path, ending: str, starts_with: bytes) -> None:
    pytest.importorskip("matplotlib", reason="the extra `pictures` is not installed")
    path = draw(
        tmp_path / f"day{ending}",
        ZONES,
        JOBS,
        title="A day",
        signal="average",
        source="made up",
        tz=ZoneInfo("Europe/Berlin"),
    )
    assert path.read_bytes().startswith(starts_with)
    assert path.stat().st_size > 10_000


def test_same_data_make_the_same_svg(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="the extra `pictures` is not installed")
    first, second = (
        draw(tmp_path / name, ZONES, JOBS, title="A day", signal="average", source="made up").read_bytes()
        for name in ("a.svg", "b.svg")
    )
    assert first == second


def test_gap_in_the_observations_is_drawn_as_a_gap(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="the extra `pictures` is not installed")
    holed = ZoneLine("DE", [*ZONES[0].steps[:2], *ZONES[0].steps[4:]])
    assert draw(tmp_path / "gap.svg", [holed], JOBS, title="", signal="average", source="").is_file()


def test_baseline_is_as_long_as_the_run() -> None:
    paused = JobBar(
        "1", "DE", [(NOON, NOON + HOUR), (NOON + 3 * HOUR, NOON + 5 * HOUR)], NOON, baseline_start=NOON
    )
    assert paused.baseline == (NOON, NOON + 3 * HOUR)


def test_missing_matplotlib_is_told_with_the_way_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(SchedulerError, match=r"pip install 'tidewatt\[pictures\]'"):
        draw(tmp_path / "day.png", ZONES, JOBS, title="", signal="average", source="")


def test_nothing_to_draw_and_unknown_formats_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SchedulerError, match="nothing to draw"):
        draw(tmp_path / "day.png", ZONES, [], title="", signal="average", source="")
    with pytest.raises(SchedulerError, match=r"day\.gif"):
        draw(tmp_path / "day.gif", ZONES, JOBS, title="", signal="average", source="")
