"""The page on exports says what they hold: its tables are those of the code."""

import re
from pathlib import Path

from tests.exports.made import job, receipt, report
from tidewatt.scheduler.exports import codecarbon, hugging_face, openmetrics
from tidewatt.scheduler.exports.table import columns

TEXT = (Path(__file__).parents[3] / "docs" / "exports.md").read_text()


def section(title: str) -> str:
    return TEXT.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def first_cells(title: str) -> list[str]:
    rows = [line.split(" | ")[0] for line in section(title).splitlines() if line.startswith("| `")]
    return [word for row in rows for word in re.findall(r"`([^`]+)`", row)]


def test_every_column_of_codecarbon_is_explained_and_what_is_empty_is_empty() -> None:
    assert sorted(first_cells("CodeCarbon")) == sorted(codecarbon.COLUMNS)
    cells = codecarbon.row(receipt())
    for line in section("CodeCarbon").splitlines():
        if line.startswith("| `") and line.split(" | ")[1].startswith("empty"):
            assert [name for name in re.findall(r"`([^`]+)`", line.split(" | ")[0]) if cells.get(name)] == []


def test_every_metric_is_listed_with_its_type_and_labels() -> None:
    page = openmetrics.text([job()], report())
    kinds = dict(re.findall(r"# TYPE (\S+) (\S+)", page))
    listed: dict[str, list[str]] = {}
    for line in section("Metrics").splitlines():
        if line.startswith("| `"):
            cells = [cell.strip() for cell in line.strip("|").split("|")]
            for name in re.findall(r"`([^`]+)`", cells[0]):
                parts = ("gpu", "cpu", "dram") if "COMPONENT" in name else ("",)
                listed |= {name.replace("COMPONENT", part): cells[1:3] for part in parts}
    assert {name: kind for name, (kind, _) in listed.items()} == kinds
    for name, labels in re.findall(r"^(\w+)\{(.*)\} ", page, re.MULTILINE):
        own = set(re.findall(r'(\w+)="', labels)) - {"job", "project", "user"}
        assert own <= set(re.findall(r"\w+", listed[name][1])), name


def test_example_of_a_model_card_is_what_is_written() -> None:
    example = section("Model cards").partition("```yaml\n")[2].partition("```")[0]
    assert hugging_face.yaml_text([receipt()], "fine-tuning") == example


def test_columns_of_the_table_that_are_named_exist() -> None:
    names = {column.name for column in columns()}
    said = set(re.findall(r"`(\w+_kwh)`", section("Receipts as a table")))
    assert said <= names
    for stem in ("gpu", "cpu", "dram", "node_overhead"):
        assert {f"{stem}{ending}" for ending in ("_kwh", "_how", "_source", "_coverage")} <= names
