"""The table of docs/forecasting.md says what benchmarks found, and what they did not."""

import pytest

from benchmarks.forecast_table import BEGIN, DOCUMENT, END, shortcomings, table, written
from benchmarks.results import Results, Row

REACHED = Row("9 zones", "theirs", "lower", "7 of 9", True)
MISSED = Row("10 zones", "a plain | model", "5 % lower", "3 % lower", False)
KNOWN = Row("California", "yesterday", "", "41 g", None)


def results(*rows: Row, complete: bool = True) -> Results:
    return Results(rows, "benchmarks/some.py", "2026-11-22", "abc1234", complete)


def test_each_row_says_whether_its_goal_was_reached() -> None:
    text = table({"some": results(REACHED, MISSED, KNOWN), "other": None})
    assert "| 9 zones | theirs | lower | 7 of 9 | reached |" in text
    assert "| 10 zones | a plain / model | 5 % lower | 3 % lower | **missed** |" in text
    assert "| California | yesterday |  | 41 g | for information |" in text
    assert "- `benchmarks/some.py`: 2026-11-22, commit abc1234" in text
    assert "- `benchmarks/other.py`: not run" in text


def test_what_is_missing_or_missed_is_told() -> None:
    found = {"one": results(REACHED, MISSED), "two": None, "three": results(REACHED, complete=False)}
    told = list(shortcomings(found))
    assert [line.split(":")[0] for line in told] == [
        "missed",
        "benchmarks/two.py has not run here",
        "benchmarks/three.py has run for a part only",
    ]


def test_only_what_lies_between_the_markers_is_rewritten() -> None:
    document = f"before\n{BEGIN}\nold\n{END}\nafter\n"
    once = written(document, "new")
    assert once == f"before\n{BEGIN}\n\nnew\n\n{END}\nafter\n"
    assert written(once, "new") == once
    with pytest.raises(SystemExit, match="lacks the lines"):
        written("no markers", "new")


def test_the_document_has_the_markers() -> None:
    assert "new" in written(DOCUMENT.read_text(), "new")
