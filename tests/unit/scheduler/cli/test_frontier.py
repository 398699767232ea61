"""`plan --frontier` as people and programs see it."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.unit.scheduler.cli.conftest import Said
from tidewatt.scheduler.cli.text import percent

Tidewatt = Callable[..., Said]
VALUES = [500, 400, 380, 200, 450, 500, 500, 500]
ARGUMENTS = (
    "plan",
    "--frontier",
    "--grid",
    "grid.csv",
    "--zone",
    "DE",
    "--now",
    "2026-11-22T00:00Z",
    "--hindsight",
)


@pytest.fixture(autouse=True)
def grid(tmp_path: Path) -> None:
    """Eight hours of observations."""
    rows = [
        f"DE,2026-11-22T{hour:02}:00Z,3600,{value},average,lifecycle,production\n"
        for hour, value in enumerate(VALUES)
    ]
    (tmp_path / "grid.csv").write_text(
        "zone,start,step_s,gco2_per_kwh,signal,basis,boundary\n" + "".join(rows)
    )


def test_people_see_a_chart_and_what_an_hour_is_worth(tidewatt: Tidewatt) -> None:
    said = tidewatt(*ARGUMENTS, "--finish-by", "8h", "--duration", "1h")
    assert said.code == 0, said.err
    lines = said.out.splitlines()
    assert "empty queue" in lines[0]
    assert sum("A" in line and "·" in line for line in lines) >= 2
    assert any("●" in line for line in lines[2:14])
    assert "today 04:00 CET" in said.out  # the cleanest hour
    assert "60 %" in said.out
    first, second = (line for line in lines if " g" in line and line.startswith("today"))
    assert first.split("more than ")[1] == second.split("at most ")[1]  # the worth at which both are as good
    assert "g_per_hour = 0 g" in said.out


def test_programs_get_every_point(tidewatt: Tidewatt) -> None:
    said = tidewatt(*ARGUMENTS, "--finish-by", "8h", "--duration", "1h", "--json").json
    assert [(point["later_h"], round(point["saving_percent"])) for point in said["points"]] == [
        (0, 0),
        (1, 20),
        (2, 24),
        (3, 60),
    ]
    assert said["chosen"]["start"].startswith("2026-11-22T03:00")
    assert [point["worth_g_per_h"] is None for point in said["points"]] == [True, True, True, False]


def test_picture_is_drawn(tidewatt: Tidewatt, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    said = tidewatt(*ARGUMENTS, "--finish-by", "8h", "--duration", "1h", "--picture", "out.svg")
    assert "picture  out.svg" in said.out
    text = (tmp_path / "out.svg").read_text()
    assert text.startswith("<?xml")
    refused = tidewatt(*ARGUMENTS, "--finish-by", "8h", "--duration", "1h", "--picture", "out.gif")
    assert (refused.code, "pictures are .svg or .png" in refused.err) == (2, True)


def test_plan_is_shown_where_no_picture_can_be_drawn(
    tidewatt: Tidewatt, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    said = tidewatt(*ARGUMENTS, "--finish-by", "8h", "--duration", "1h", "--picture", "out.svg")
    assert said.code == 1
    assert "WHILE AN HOUR IS WORTH" in said.out
    assert "'.[pictures]'" in said.err


def test_savings_are_rounded(tidewatt: Tidewatt) -> None:
    said = tidewatt(*ARGUMENTS, "--finish-by", "8h", "--duration", "1h", "--json").json
    assert [point["saving_percent"] for point in said["points"]] == [0, 20, 24, 60]
    assert percent(-2.2e-16) == "0 %"


def test_deadline_that_cannot_be_met_is_refused(tidewatt: Tidewatt) -> None:
    said = tidewatt(*ARGUMENTS, "--finish-by", "1h", "--duration", "2h")
    assert (said.code, said.err.count("\n")) == (2, 1)
