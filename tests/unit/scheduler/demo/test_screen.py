"""The queue as the demo shows it."""

from datetime import UTC
from typing import Any

import pytest
from rich.console import Console

from tidewatt.scheduler.demo.screen import Lines, LiveTable

Json = dict[str, Any]


def job(state: str = "waiting", start: str = "2019-09-20T19:00:00Z", **more: Any) -> Json:
    plan = {"region": "south", "start": start, "end": "2019-09-20T22:00:00Z", "reason": "the cleanest window"}
    return {
        "id": 1,
        "name": "sweep",
        "state": state,
        "plan": plan,
        "attempts": [],
        "reason": "",
        "finish_by": "2019-09-21T03:00:00Z",
        **more,
    }


def status(now: str) -> Json:
    return {
        "now": now,
        "regions": [{"name": "north", "gco2_per_kwh": 243.4}, {"name": "x", "gco2_per_kwh": None}],
    }


@pytest.fixture
def lines() -> Lines:
    return Lines(UTC)


def test_submitted_job_is_one_line_with_its_window_and_reason(
    lines: Lines, capsys: pytest.CaptureFixture[str]
) -> None:
    lines.show(status("2019-09-20T08:00:00Z"), [job()])
    assert capsys.readouterr().out == (
        "Fri 08:00  1 sweep      submitted, planned for Fri 19:00-22:00 in south: the cleanest window\n"
    )


def test_nothing_is_said_where_nothing_changed(lines: Lines, capsys: pytest.CaptureFixture[str]) -> None:
    lines.show(status("2019-09-20T08:00:00Z"), [job()])
    capsys.readouterr()
    lines.show(status("2019-09-20T09:00:00Z"), [job()])
    assert capsys.readouterr().out == ""


def test_moved_started_and_ended_job_is_a_line_each(lines: Lines, capsys: pytest.CaptureFixture[str]) -> None:
    lines.show(status("2019-09-20T08:00:00Z"), [job()])
    capsys.readouterr()
    lines.show(status("2019-09-20T09:00:00Z"), [job(start="2019-09-20T18:00:00Z")])
    lines.show(status("2019-09-20T18:00:00Z"), [job("running")])
    lines.show(status("2019-09-20T21:00:00Z"), [job("done")])
    moved, started, ended = capsys.readouterr().out.splitlines()
    assert "moved to Fri 18:00-22:00 in south" in moved
    assert "starts in south" in started
    assert ended.endswith("done")


def test_table_shows_what_ran_instead_of_what_was_planned() -> None:
    attempt = {"region": "north", "started": "2019-09-20T18:30:00Z", "ended": None}
    console = Console(record=True, width=140, force_terminal=True)
    table = LiveTable(console, UTC)
    with table:
        table.show(status("2019-09-20T19:00:00Z"), [job("running", attempts=[attempt])])
    shown = console.export_text()
    assert "Fri 18:30-22:00" in shown
    assert "north 243 gCO2/kWh" in shown
    assert "x " not in shown.splitlines()[0]
