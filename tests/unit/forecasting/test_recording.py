"""Recorded files: what is wrong is refused with the file, the line and what to do."""

from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tidewatt.forecasting.errors import ForecastError
from tidewatt.forecasting.kind import Basis, Boundary, Kind, Signal
from tidewatt.forecasting.recording import read

HEADER = "zone,start,step_s,gco2_per_kwh,signal,basis,boundary"
ROW = "DE,2026-03-01T06:00:00+00:00,3600,320,average,lifecycle,production"
KIND = Kind(Signal.AVERAGE, Basis.LIFECYCLE, Boundary.PRODUCTION)


def file(folder: Path, *lines: str) -> Path:
    path = folder / "grid.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([], "is empty: its first line must name the columns zone, start"),
        ([HEADER], "has no rows"),
        (["zone,start,step_s,gco2_per_kwh", "DE,x,1,1"], "column signal, basis, boundary is missing"),
        ([HEADER.replace("gco2_per_kwh", "lb_per_mwh"), ROW], "'lb_per_mwh' is in another unit; convert"),
        ([HEADER.replace("gco2_per_kwh", "kgco2_per_kwh"), ROW], "'kgco2_per_kwh' is in another unit"),
        ([HEADER + ",issued", ROW + ","], "column 'issued' is not known"),
        ([HEADER, ROW.replace("+00:00", "")], "line 2: start 2026-03-01T06:00:00 has no time zone"),
        ([HEADER, ROW.replace("2026-03-01T", "yesterday ")], "line 2: start .* is not a time"),
        ([HEADER, ROW.replace("320", "-1")], "line 2: gco2_per_kwh is -1: grams .* is it another unit"),
        ([HEADER, ROW.replace("320", "320000")], "line 2: gco2_per_kwh is 320000: grams"),
        ([HEADER, ROW.replace("320", "nan")], "line 2: gco2_per_kwh is nan"),
        ([HEADER, ROW.replace("320", "")], "line 2: gco2_per_kwh '' is not a number; .* leave the row out"),
        ([HEADER, ROW.replace("3600", "0")], "line 2: step_s is 0: a step lasts more than 0 s"),
        ([HEADER, ROW.replace("3600", "-300")], "line 2: step_s is -300"),
        ([HEADER, ROW.replace("3600", "1h")], "line 2: step_s '1h' is not a number"),
        ([HEADER, ROW.replace("DE", "Atlantis")], "line 2: unknown zone 'Atlantis'"),
        ([HEADER, ROW.replace("average", "mean")], "line 2: 'mean' is not a valid Signal .signal: average"),
        ([HEADER, ROW, ROW], "line 3: the steps of line 2 and this one overlap at 2026-03-01T06:00:00"),
        (
            [HEADER, ROW, "", ROW.replace("06:00", "06:30")],
            "line 4: the steps of line 2 and this one overlap",
        ),
        ([HEADER, ROW + ",1"], "line 2: 8 values, but there are 7 columns"),
    ],
)
def test_wrong_files_are_refused_with_line_and_reason(tmp_path: Path, lines: list[str], message: str) -> None:
    with pytest.raises(ForecastError, match=message) as refused:
        read(file(tmp_path, *lines))
    assert str(tmp_path / "grid.csv") in str(refused.value)


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ForecastError, match=r"none\.csv: there is no such file"):
        read(tmp_path / "none.csv")


def test_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(ForecastError, match="cannot be read"):
        read(tmp_path)


def test_rows_in_any_order_under_any_alias_become_one_series(tmp_path: Path) -> None:
    later = ROW.replace("DE", "deu").replace("06:00:00+00:00", "08:00:00+01:00")
    recording = read(file(tmp_path, "# a comment", HEADER, later, ROW))
    steps = recording["DE", KIND].observed
    assert (steps.start_ms[1:] == steps.end_ms[:-1]).all()
    assert len(steps.start_ms) == 2


def test_holes_stay_holes(tmp_path: Path) -> None:
    steps = read(file(tmp_path, HEADER, ROW, ROW.replace("06:00", "09:00")))["DE", KIND].observed
    assert steps.start_ms[1] - steps.end_ms[0] == 2 * 3_600_000


def test_forecasts_of_different_issues_may_overlap_and_are_no_observations(tmp_path: Path) -> None:
    first, second = (f"{ROW},2026-03-01T0{hour}:00:00+00:00,300,340" for hour in (4, 5))
    track = read(file(tmp_path, HEADER + ",issued_at,p10,p90", second, first))["DE", KIND]
    assert len(track.observed.start_ms) == 0
    assert len(track.issued_ms) == 2
    assert track.p10 is not None
    assert track.p10.tolist() == [300, 300]


def test_parquet_holds_the_same_as_csv(tmp_path: Path) -> None:
    columns = {
        "zone": pa.array(["DE", "DE"]).dictionary_encode(),
        "start": pa.array([datetime(2026, 3, 1, h, tzinfo=UTC) for h in (6, 7)], pa.timestamp("ms", "UTC")),
        "step_s": [3600, 3600],
        "gco2_per_kwh": pa.array([320.0, 300.0], pa.float32()),
        "signal": ["average"] * 2,
        "basis": ["lifecycle"] * 2,
        "boundary": ["production"] * 2,
        "issued_at": pa.array([None, None], pa.timestamp("ms", "UTC")),
    }
    pq.write_table(pa.table(columns), tmp_path / "grid.parquet")
    steps = read(tmp_path / "grid.parquet")["DE", KIND].observed
    same = read(file(tmp_path, HEADER, ROW, ROW.replace("06:", "07:").replace("320", "300")))[
        "DE", KIND
    ].observed
    assert steps.start_ms.tolist() == same.start_ms.tolist()
    assert steps.gco2_per_kwh.tolist() == same.gco2_per_kwh.tolist()


def test_naive_parquet_times_are_refused_with_the_row(tmp_path: Path) -> None:
    columns = {
        "zone": ["DE"],
        "start": pa.array([datetime(2026, 3, 1)], pa.timestamp("ms")),  # noqa: DTZ001  # what is refused
        "step_s": [3600],
        "gco2_per_kwh": [320.0],
        "signal": ["average"],
        "basis": ["lifecycle"],
        "boundary": ["production"],
    }
    pq.write_table(pa.table(columns), tmp_path / "grid.parquet")
    with pytest.raises(ForecastError, match=r"grid\.parquet, row 1: start .* has no time zone"):
        read(tmp_path / "grid.parquet")


def test_a_file_that_is_no_parquet_is_refused(tmp_path: Path) -> None:
    (tmp_path / "grid.parquet").write_text("zone,start")
    with pytest.raises(ForecastError, match="cannot be read as Parquet"):
        read(tmp_path / "grid.parquet")
