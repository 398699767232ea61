"""The page about standards says what the code does, in the same numbers."""

import re
import tomllib
from pathlib import Path

import pytest

from tidewatt.scheduler.account_tables import BudgetTable, EmbodiedTable
from tidewatt.scheduler.accounting.embodied import ANY_GPU, GPUS, SERVER, Held, embodied, hardware_of
from tidewatt.scheduler.accounting.inventory import COLUMNS, OWN_PROJECT
from tidewatt.scheduler.accounting.sci import COUNTS

PAGE = (Path(__file__).parents[3] / "docs" / "standards.md").read_text(encoding="utf-8")
FIGURES = {"any other GPU": ANY_GPU, "server without GPUs": SERVER, **GPUS}


def test_every_figure_of_the_page_is_the_one_that_is_used() -> None:
    rows = re.findall(r"^\| ([^|]+?) \| (\d+) \| (\d+) \| (\d+) \|", PAGE, re.MULTILINE)
    assert {name: tuple(map(int, numbers)) for name, *numbers in rows} == {
        name: (figure.low_kg, figure.central_kg, figure.high_kg) for name, figure in FIGURES.items()
    }


def test_example_of_the_page_comes_out_as_it_says() -> None:
    hardware = hardware_of(EmbodiedTable(), host_gpus=8, host_cpus=64)
    found = embodied([Held("NVIDIA A100", 1, 8, 36_000_000, hardware)])
    assert found is not None
    low_g, central_g, high_g = (ug / 1e6 for ug in (found.low_ug, found.central_ug, found.high_ug))
    told = f"is {central_g:.0f} g, and {low_g:.0f} g to {high_g:.0f} g over the range"
    assert told in PAGE.replace("\n", " ")
    assert pytest.approx(1440) == 0.3 * 10 * 1.2 * 400


def test_units_and_columns_of_the_page_are_there() -> None:
    assert all(f"`{unit}`" in PAGE for unit in COUNTS)
    named = {word for word in re.findall(r"`([a-z0-9_]+)`", PAGE) if word.endswith(("_kwh", "_g", "_source"))}
    assert named - {"facility_kwh"} <= set(COLUMNS)
    assert OWN_PROJECT in PAGE


def test_tables_of_the_page_are_understood() -> None:
    blocks = [tomllib.loads(block) for block in re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)]
    [[region]] = [block["region"] for block in blocks if "region" in block]
    [[budget]] = [block["budget"] for block in blocks if "budget" in block]
    assert EmbodiedTable.model_validate(region["embodied"]).server_gpus == 8
    assert BudgetTable.model_validate(budget).called == "project vision"
