"""CodeCarbon's columns from our receipts: its order, its units, and nothing that we do not know."""

import csv
import io
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.exports.made import CPU_J, GPU_J, NOON, PUE, account, attempt, ledger, part, receipt
from tidewatt.scheduler.exports.codecarbon import COLUMNS, csv_text, row

UNKNOWN = {
    "water_consumed", "region", "os", "python_version", "longitude", "latitude", "ram_total_size",
    "cpu_utilization_percent", "gpu_utilization_percent", "ram_utilization_percent", "ram_used_gb", "wue",
}  # fmt: skip


def test_there_are_38_columns_and_what_is_not_known_is_empty() -> None:
    [cells] = csv.DictReader(io.StringIO(csv_text([receipt()])))
    assert tuple(cells) == COLUMNS
    assert len(COLUMNS) == 38
    empty = {name for name, cell in cells.items() if cell == ""}
    assert empty == UNKNOWN | {"experiment_id", "cloud_provider", "cloud_region"}


def test_units_are_kilograms_seconds_watts_and_kilowatt_hours_with_pue() -> None:
    cells = row(receipt())
    assert float(cells["emissions"]) == 0.8
    assert float(cells["duration"]) == 3600
    assert float(cells["emissions_rate"]) == pytest.approx(0.8 / 3600)
    assert float(cells["gpu_energy"]) == pytest.approx(GPU_J / 3.6e6 * PUE)
    assert float(cells["cpu_power"]) == pytest.approx(CPU_J / 3600)
    assert float(cells["energy_consumed"]) == pytest.approx(3.25)
    parts = sum(float(cells[f"{name}_energy"]) for name in ("cpu", "gpu", "ram"))
    assert parts == pytest.approx(float(cells["energy_consumed"]))


def test_seconds_and_watts_of_a_replay_are_real_ones() -> None:
    cells = row(receipt(attempts=(attempt(replay_factor=600.0),)))
    assert float(cells["duration"]) == 6
    assert float(cells["cpu_power"]) == pytest.approx(CPU_J / 6)


def test_place_and_hardware_are_those_of_the_attempts() -> None:
    cells = row(receipt(gpus=2))
    assert (cells["country_name"], cells["country_iso_code"]) == ("Germany", "DEU")
    assert (cells["gpu_count"], cells["gpu_model"]) == ("2", "2 x NVIDIA A100-SXM4-40GB")
    assert (cells["on_cloud"], cells["cloud_provider"]) == ("N", "")
    assert cells["timestamp"] == f"{NOON + timedelta(hours=1):%Y-%m-%dT%H:%M:%S}"


def test_cloud_is_named_and_unknown_when_it_was_not_kept() -> None:
    there = row(receipt(attempts=(attempt(cloud="aws", site="eu-central-1"),)))
    assert (there["on_cloud"], there["cloud_provider"], there["cloud_region"]) == ("Y", "aws", "eu-central-1")
    assert "on_cloud" not in row(receipt(attempts=(attempt(cloud=None),)))


def test_country_is_left_out_for_a_job_that_ran_in_two() -> None:
    moved = receipt(attempts=(attempt(1), attempt(2, zones={"average": "FR"}, started=NOON, ended=NOON)))
    assert row(moved).get("country_name") is None


def test_component_that_was_not_metered_is_empty_and_not_zero() -> None:
    cells = row(
        receipt(
            settlement=account(
                ledger(), components=(part("cpu", 3.6e6, "measured"), part("gpu", None, "missing"))
            )
        )
    )
    assert "gpu_energy" not in cells
    assert "ram_power" not in cells


def test_emissions_by_the_marginal_signal_alone_are_no_emissions_of_this_format() -> None:
    assert "emissions" not in row(receipt(settlement=account(ledger("marginal"))))


def test_file_without_jobs_has_its_header() -> None:
    assert csv_text([]) == ",".join(COLUMNS) + "\n"


@pytest.mark.parametrize("name", ['=HYPERLINK("http://x")', "two\nlines", 'quo"te,comma', "@cmd", "-2+3"])
def test_hostile_project_stays_one_cell_and_no_formula(name: str) -> None:
    [cells] = csv.DictReader(io.StringIO(csv_text([receipt(project=name)])))
    assert cells["run_id"] == "7"
    assert cells["project_name"][0] not in "=+-@"
    assert cells["project_name"].lstrip("'") == " ".join(name.split())


@given(st.text(max_size=40))
@settings(max_examples=30)
def test_any_name_leaves_the_rows_and_columns(name: str) -> None:
    rows = list(csv.reader(io.StringIO(csv_text([receipt(1, project=name), receipt(2)]), newline="")))
    assert [len(cells) for cells in rows] == [38, 38, 38]
    assert [cells[2] for cells in rows[1:]] == ["1", "2"]
