"""A plan as people read it."""

from datetime import UTC, datetime
from typing import Any

from tidewatt.scheduler.cli.job_text import plan_lines

NOW = datetime(2026, 3, 10, 9, tzinfo=UTC)


def stint(start: str, end: str) -> dict[str, str]:
    return {"region": "desk", "start": f"2026-03-10T{start}:00Z", "end": f"2026-03-10T{end}:00Z"}


def plan(**more: Any) -> dict[str, Any]:
    return {
        "region": "desk", "pool": "", "start": "2026-03-10T09:00:00Z", "end": "2026-03-10T15:00:00Z",
        "reason": "because", "mean_gco2_per_kwh": 200.0, "signal": "marginal", "expected_g": 80.0,
        "immediate_g": 100.0, "immediate_gco2_per_kwh": 250.0, "immediate_start": "2026-03-10T09:00:00Z",
        "sources": [], "note": "",
    } | more  # fmt: skip


def test_stints_are_set_against_one_piece_also_where_both_start_at_once() -> None:
    lines = list(plan_lines(plan(stints=[stint("09:00", "10:00"), stint("13:00", "15:00")]), NOW))
    [told] = [line for line in lines if line.startswith("  expects")]
    assert told.startswith(
        "  expects  200 g/kWh (marginal), 80.0 g CO2 above idle (expected); in one piece from"
    )
    assert told.endswith("it would be 250 g/kWh: 20 % less")


def test_start_at_once_in_one_piece_is_set_against_nothing() -> None:
    [told] = [line for line in plan_lines(plan(), NOW) if line.startswith("  expects")]
    assert told == "  expects  200 g/kWh (marginal), 80.0 g CO2 above idle (expected)"
