"""What a job's folder says of its checkpoint is taken with care: a job may have written anything there."""

from pathlib import Path

import pytest

from tidewatt.scheduler.daemon.progressing import read


@pytest.mark.parametrize(
    "text",
    [
        '{"whole": 1, "digest": ["x"], "size": 1e999, "at_ms": "soon", "previous": "x"}',
        '{"whole": "yes", "digest": "\\u001b[2J", "size": -1, "at_ms": 1e18, "previous": []}',
        '{"digest": "%s", "size": true}' % ("a" * 1000),
    ],
)
def test_what_has_not_its_right_form_is_left_out(tmp_path: Path, text: str) -> None:
    (tmp_path / "checkpoint.json").write_text(text)
    assert read(tmp_path) == {"whole": False, "previous": None}


def test_what_a_backend_writes_is_read(tmp_path: Path) -> None:
    text = '{"whole": true, "digest": "ab12", "size": 3, "at_ms": 5, "previous": {"at_ms": 4, "digest": "c"}}'
    (tmp_path / "checkpoint.json").write_text(text)
    before = {"at_ms": 4, "digest": "c"}
    assert read(tmp_path) == {"whole": True, "digest": "ab12", "size": 3, "at_ms": 5, "previous": before}


@pytest.mark.parametrize("text", ["[]", "{", "[" * 5000, '{"x": "%s"}' % ("a" * 300_000)])
def test_what_is_no_such_file_says_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / "checkpoint.json").write_text(text)
    assert read(tmp_path) is None
