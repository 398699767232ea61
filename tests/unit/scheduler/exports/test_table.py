"""One row for each receipt, read back by pandas with the right types."""

import io
from pathlib import Path

import pandas as pd
import pytest

from tests.exports.made import account, ledger, part, receipt
from tidewatt.scheduler.exports.table import columns, csv_text, write_parquet
from tidewatt.scheduler.schemas import IntervalView

ROWS = [
    receipt(1),
    receipt(2, account(ledger(saved_feasible_g=-1.5e-05, interval=None), state="provisional")),
    receipt(
        3, account(energy_j=None, facility_j=None, components=(part("gpu", None, "missing"),), embodied=None)
    ),
]
TYPES = {"text": ("O", "str"), "number": ("float64",), "count": ("int64",), "flag": ("bool",)}


def test_every_number_has_its_unit_in_its_name() -> None:
    units = ("_s", "_kwh", "_g", "_coverage", "pue")
    assert [each.name for each in columns() if each.form == "number" and not each.name.endswith(units)] == []


def test_parquet_has_the_types_and_the_numbers(tmp_path: Path) -> None:
    write_parquet(ROWS, tmp_path / "receipts.parquet")
    frame = pd.read_parquet(tmp_path / "receipts.parquet")
    for column in columns():
        if column.form == "time":
            assert str(frame[column.name].dt.tz) == "UTC", column.name
        else:
            assert str(frame[column.name].dtype).replace("object", "O") in TYPES[column.form], column.name
    check(frame)


def test_csv_has_the_same_numbers() -> None:
    moments = [each.name for each in columns() if each.form == "time"]
    check(pd.read_csv(io.StringIO(csv_text(ROWS)), parse_dates=moments))


def check(frame: pd.DataFrame) -> None:
    assert list(frame.columns) == [each.name for each in columns()]
    first, second, third = (frame.iloc[place] for place in range(3))
    assert first["energy_kwh"] == pytest.approx(2.6)
    assert first["facility_kwh"] == pytest.approx(3.25)
    assert first["gpu_kwh"] == pytest.approx(2.0)
    assert first["average_saved_feasible_g"] == 300.0
    assert first["average_time_feasible_g"] == 280.0
    assert first["average_saved_coverage"] == 0.97
    assert first["embodied_central_g"] == 20.0
    assert first["running_kwh"] == pytest.approx(2.5)
    assert str(first["started"]) == "2026-03-01 12:00:00+00:00"
    assert second["average_saved_feasible_g"] == -1.5e-05
    assert pd.isna(second["average_saved_low_g"])
    assert pd.isna(third["energy_kwh"])
    assert pd.isna(third["gpu_kwh"])
    assert pd.isna(third["average_emissions_g"])


def test_an_interval_of_no_known_error_is_empty_and_not_as_narrow_as_exact() -> None:
    bare = IntervalView(
        low_g=300.0, high_g=300.0, draws=2000, quantified=(), not_quantified=("x",), covered=0.0
    )
    frame = pd.read_csv(io.StringIO(csv_text([receipt(1, account(ledger(interval=bare)))])))
    assert frame["average_saved_feasible_g"][0] == 300.0
    for name in ("low_g", "high_g", "coverage"):
        assert pd.isna(frame[f"average_saved_{name}"][0])
