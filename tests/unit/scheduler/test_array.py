"""Tasks of arrays and keys of jobs are read as people write them, and refused in one sentence."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as some

from tidewatt.scheduler.array import Key, Tasks, parse_key, parse_tasks
from tidewatt.scheduler.errors import BadInput


@pytest.mark.parametrize(
    ("text", "tasks"),
    [
        ("0-3", Tasks((0, 1, 2, 3))),
        ("0-3%2", Tasks((0, 1, 2, 3), 2)),
        ("1,3,7", Tasks((1, 3, 7))),
        ("7, 3, 1", Tasks((1, 3, 7))),
        ("0-30:10", Tasks((0, 10, 20, 30))),
        ("5", Tasks((5,))),
        ("0-4:2,9%1", Tasks((0, 2, 4, 9), 1)),
    ],
)
def test_tasks_are_read_as_people_write_them(text: str, tasks: Tasks) -> None:
    assert parse_tasks(text) == tasks


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "cannot be read"),
        ("a-b", "cannot be read"),
        ("0..4", "cannot be read"),
        ("-3", "cannot be read"),
        ("0-4%", "after % comes how many"),
        ("0-4%0", "after % comes how many"),
        ("4-0", "from 4 down to 0"),
        ("0-4:0", "steps of 0"),
        ("1,1", "names a task twice"),
        ("0-1000", "at most 1000 tasks, this one has 1001"),
        ("1000000", "numbered up to 999999"),
    ],
)
def test_what_is_no_array_is_refused(text: str, told: str) -> None:
    with pytest.raises(BadInput, match=told):
        parse_tasks(text)


@given(some.sets(some.integers(0, 999_999), min_size=1, max_size=50), some.integers(0, 60))
def test_any_array_that_is_written_out_comes_back(numbers: set[int], limit: int) -> None:
    text = ",".join(map(str, numbers)) + (f"%{limit}" if limit else "")
    assert parse_tasks(text) == Tasks(tuple(sorted(numbers)), limit)


@given(some.text(max_size=12))
def test_any_text_is_read_or_refused_as_bad_input(text: str) -> None:
    for parse in (parse_tasks, parse_key):
        with suppress(BadInput):
            parse(text)


@given(some.integers(1, 10**17), some.none() | some.integers(0, 999_999))
def test_key_comes_back_as_it_is_written(job: int, task: int | None) -> None:
    assert parse_key(str(Key(job, task))) == Key(job, task)


@pytest.mark.parametrize("text", ["0", "-1", "12_", "_3", "12_3_4", "1e3", "²", "12 3", "x"])
def test_what_is_no_key_is_refused(text: str) -> None:
    with pytest.raises(BadInput, match="is no job's number"):
        parse_key(text)
