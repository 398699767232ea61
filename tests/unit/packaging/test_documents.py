"""What the documents point at is there."""

import re
from pathlib import Path

import pytest

from tidewatt.scheduler.cli.app import COMMANDS

ROOT = Path(__file__).parents[3]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), ROOT / "benchmarks" / "README.md"])


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path: Path) -> None:
    targets = re.findall(r"\]\(([^)#\s]+)[^)]*\)", path.read_text())
    local = [target for target in targets if "://" not in target]
    assert [target for target in local if not (path.parent / target).exists()] == []


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_commands_that_are_named_exist(path: Path) -> None:
    named = set(re.findall(r"(?:`|\$ )tidewatt ([a-z][a-z-]*)", path.read_text()))
    assert named <= set(COMMANDS)


def test_targets_that_are_named_exist() -> None:
    targets = set(re.findall(r"^([a-z]+)(?: [a-z]+)?:", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for path in DOCUMENTS:
        assert set(re.findall(r"`make ([a-z]+)`", path.read_text())) <= targets


def test_benchmarks_that_are_named_exist() -> None:
    named = set(re.findall(r"benchmarks/([a-z_]+\.py)", (ROOT / "benchmarks" / "README.md").read_text()))
    assert named == {path.name for path in (ROOT / "benchmarks").glob("*.py")}
