"""What a job wrote among its marks is read within bounds, and only what has the right form counts."""

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from tidewatt.backends import marks
from tidewatt.backends.clock import Clock

START_MS, END_MS = 1_000_000, 2_000_000
STEM = "0000001000000-42"


def lines(folder: Path, *forms: dict[str, Any] | str | bytes, stem: str = STEM) -> None:
    folder.mkdir(exist_ok=True)
    texts = [form if isinstance(form, str | bytes) else json.dumps(form) for form in forms]
    whole = b"".join((text if isinstance(text, bytes) else text.encode()) + b"\n" for text in texts)
    (folder / f"{stem}.jsonl").write_bytes(whole)


def counts(folder: Path, stem: str = STEM, rank: int = 0, **numbers: Any) -> None:
    folder.mkdir(exist_ok=True)
    record = {"at": [END_MS, END_MS], "rank": rank, "counts": numbers, "checkpoint": None}
    (folder / f"{stem}.counts").write_text(json.dumps(record) + "\n")


def phase(at_ms: int, label: str) -> dict[str, Any]:
    return {"at": [at_ms, at_ms], "phase": label}


def read(folder: Path, clock: Clock | None = None) -> marks.Marks:
    return marks.read(folder, clock or Clock(), START_MS, END_MS)


def test_nothing_told_is_nothing(tmp_path: Path) -> None:
    assert not read(tmp_path / "marks")
    assert not read(tmp_path)


def test_line_cut_off_by_a_kill_is_passed_over(tmp_path: Path) -> None:
    lines(tmp_path, phase(1_100_000, "warm-up"), phase(1_200_000, "train"))
    path = tmp_path / f"{STEM}.jsonl"
    with open(path, "ab") as file:
        file.write(b'{"at":[1300000,1300000],"pha')
    assert read(tmp_path).phases == ((1_100_000, 1_200_000, "warm-up"), (1_200_000, END_MS, "train"))


def test_times_are_the_attempts_also_in_a_replay_and_when_somebody_sets_the_clock(tmp_path: Path) -> None:
    clock = Clock(real_ms=500_000, replay_ms=1_000_000, factor=100.0)
    lines(
        tmp_path,
        {"at": [501_000, 7_000], "phase": "train"},
        {"at": [3_500_000, 8_000], "phase": "evaluate"},  # a second later, after the clock was set
        {"at": [3_501_000, 9_000], "phase": ""},
    )
    found = read(tmp_path, clock)
    assert found.phases == ((1_100_000, 1_200_000, "train"), (1_200_000, 1_300_000, "evaluate"))


def test_times_outside_the_attempt_are_moved_to_its_edges(tmp_path: Path) -> None:
    lines(tmp_path, phase(5, "early"), phase(1_500_000, "train"), phase(10**12, "late"))
    assert read(tmp_path).phases == ((START_MS, 1_500_000, "early"), (1_500_000, END_MS, "train"))


def test_labels_are_cleaned(tmp_path: Path) -> None:
    lines(tmp_path, phase(START_MS, "\x1b[2Jwarm\n-up\0" + "x" * 1000))
    ((_, _, label),) = read(tmp_path).phases
    assert label == "[2Jwarm -up " + "x" * 51
    assert label.isprintable()


def test_many_phases_become_few_that_name_all_that_they_hold(tmp_path: Path) -> None:
    names = ("train", "evaluate")
    lines(tmp_path, *(phase(START_MS + 500 * place, names[place % 2]) for place in range(1000)))
    found = read(tmp_path).phases
    assert len(found) == marks.PHASES
    assert {label for _, _, label in found} == {"train + evaluate", "evaluate + train"}
    assert (found[0][0], found[-1][1]) == (START_MS, END_MS)


def test_last_checkpoints_are_kept_in_order(tmp_path: Path) -> None:
    lines(tmp_path, *({"at": [START_MS + step, START_MS + step], "checkpoint": step} for step in range(80)))
    assert [step for _, step in read(tmp_path).checkpoints] == list(range(30, 80))


def test_step_that_was_not_given_is_not_made_up(tmp_path: Path) -> None:
    at = [START_MS, START_MS]
    lines(tmp_path, {"at": at, "checkpoint": None}, {"at": at, "resumed": None})
    found = read(tmp_path)
    assert found.checkpoints == ((START_MS, marks.NOT_SAID),)
    assert found.resumed_step == marks.NOT_SAID


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x00" * 100_000,
        b"[" * 2000,
        b'{"at":' * 300,
        b"9" * 4000,
        b'{"at":[1,1],"phase":{}}',
        b'{"at":[-1,1e400],"phase":"x"}',
        b'{"at":[true,false],"phase":"x"}',
        b'{"at":[99999999999999999999,1],"phase":"x"}',
        b'{"at":"now","checkpoint":[[[]]]}',
        b'"phase"',
        b'{"phase":"' + b"x" * 10_000 + b'"}',
    ],
)
def test_garbage_among_the_marks_is_passed_over(tmp_path: Path, garbage: bytes) -> None:
    lines(tmp_path, garbage, phase(1_500_000, "train"), garbage)
    (tmp_path / f"{STEM}.counts").write_bytes(garbage[:500])
    assert read(tmp_path) == marks.Marks(phases=((1_500_000, END_MS, "train"),))


@given(some.binary(max_size=600), some.binary(max_size=300))
def test_whatever_is_written_there_is_read_without_an_error(content: bytes, counted: bytes) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        Path(folder, f"{STEM}.jsonl").write_bytes(content)
        Path(folder, f"{STEM}.counts").write_bytes(counted)
        assert len(read(Path(folder)).phases) <= marks.PHASES


def test_numbers_that_are_no_counts_are_left_out(tmp_path: Path) -> None:
    counts(tmp_path, steps=-1, samples=1.5, tokens=True, epochs=2**60, parameters="7", flops=10**30, jobs=3)
    assert read(tmp_path).counts == {"flops": 10**30}


def test_file_of_ten_gigabytes_is_read_as_quickly_as_a_small_one(tmp_path: Path) -> None:
    lines(tmp_path, phase(START_MS, "warm-up"), phase(1_500_000, "train"))
    os.truncate(tmp_path / f"{STEM}.jsonl", 10 * 2**30)  # sparse: it takes no room
    begun = time.perf_counter()
    found = read(tmp_path)
    assert time.perf_counter() - begun < 1
    assert found.phases == ((START_MS, 1_500_000, "warm-up"),), "what came after the cut is not known"


def test_more_processes_than_are_read_leave_no_counts_rather_than_low_ones(tmp_path: Path) -> None:
    for number in range(300):
        counts(tmp_path, stem=f"{number:013d}-1", rank=number, samples=1, steps=9)
    found = read(tmp_path)
    assert (found.counts, found.processes_left_out) == ({}, 44)


def test_what_is_no_regular_file_is_left_alone(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text(json.dumps(phase(START_MS, "secret")) + "\n")
    folder = tmp_path / "marks"
    folder.mkdir()
    (folder / "0000000000001-1.jsonl").symlink_to(secret)
    os.mkfifo(folder / "0000000000002-1.jsonl")
    (folder / "0000000000003-1.jsonl").mkdir()
    (folder / "../marks/notes.txt").write_text("not ours")
    assert not read(folder)
    (tmp_path / "link").symlink_to(folder)
    lines(folder, phase(START_MS, "train"))
    assert read(folder)
    assert not read(tmp_path / "link")


def test_kept_counts_are_told_only_where_all_who_count_told_theirs(tmp_path: Path) -> None:
    for rank in (0, 1):
        counts(tmp_path, stem=f"{rank:013d}-1", rank=rank, samples=100, steps=10)
    path = tmp_path / f"{0:013d}-1.counts"
    record = json.loads(path.read_text())
    record["checkpoint"] = {"at": [1_500_000] * 2, "step": 5, "counts": {"samples": 50, "steps": 5}}
    path.write_text(json.dumps(record) + "\n")
    found = read(tmp_path)
    assert found.counts == {"steps": 10, "samples": 200}
    assert found.kept == {"steps": 5}
    assert found.checkpoints == ((1_500_000, 5),)
