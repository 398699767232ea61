"""The node's meter in the configuration."""

import re
from pathlib import Path

import pytest

from tidewatt.backends.meters import node_source
from tidewatt.scheduler import config
from tidewatt.scheduler.errors import BadInput
from tidewatt.scheduler.settings import Settings


def settings(folder: Path, text: str) -> Settings:
    path = folder / "config.toml"
    path.write_text(text)
    return config.load(path, {}, {}).settings


def test_ready_made_form_needs_one_line(tmp_path: Path) -> None:
    table = settings(tmp_path, '[node]\nform = "ipmi-dcmi"\n').node
    assert table is not None
    assert table.source() == node_source.FORMS["ipmi-dcmi"]


def test_own_command_is_taken_as_it_is(tmp_path: Path) -> None:
    text = """
[node]
name = "rack PDU"
url = "https://pdu.example/outlet/3"
pointer = "/energy"
unit = "kWh"
interval_s = 60
user = "meter"
password_file = "pdu.secret"
"""
    table = settings(tmp_path, text).node
    assert table is not None
    source = table.source()
    assert (source.name, source.counts, source.interval_s) == ("rack PDU", True, 60)
    assert source.password_file == str(tmp_path / "pdu.secret")


def test_tables_of_the_document_are_taken(tmp_path: Path) -> None:
    page = (Path(__file__).parents[3] / "docs" / "metering.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    assert len(blocks) == 2
    for block in blocks:
        assert settings(tmp_path, block).node is not None


def test_without_a_table_there_is_no_node_meter(tmp_path: Path) -> None:
    assert settings(tmp_path, "").node is None


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('form = "ipmi"', "node.form must be"),
        ('command = ["x"]', "needs a pattern or a pointer"),
        ('url = "https://b"\npointr = "/x"', "did you mean pointer"),
        ('form = "ipmi-dcmi"\ninterval_s = 0', "node.interval_s must be at least 1"),
    ],
)
def test_table_that_cannot_work_is_told_with_its_place(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(BadInput, match=told):
        settings(tmp_path, f"[node]\n{text}\n")
