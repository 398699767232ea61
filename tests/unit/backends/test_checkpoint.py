"""Whether a checkpoint is whole, what it is, and what is kept of it."""

import os
import re
from dataclasses import replace
from pathlib import Path

import pytest

from tidewatt.backends import checkpoint, durable
from tidewatt.backends.backend import Launch, PauseTerms
from tidewatt.backends.checkpoint import Checkpoint, Evidence, Place, fault
from tidewatt.backends.presets import PRESETS

TERM = 15
ASKED_MS = 1_000_000
PLAIN = Evidence(exit_code=0, signal=None, asked_ms=ASKED_MS, ended_ms=ASKED_MS + 60_000)
KILLED = replace(PLAIN, exit_code=None, signal=9, late_ms=ASKED_MS + 60_000)
FILE = PauseTerms(file="*.pt")
FRESH_MS = ASKED_MS + 5_000


@pytest.mark.parametrize(
    ("terms", "seen", "words"),
    [
        (PauseTerms(), PLAIN, ""),
        (PauseTerms(), replace(PLAIN, exit_code=143), ""),
        (PauseTerms(), replace(PLAIN, exit_code=1), "ended with exit code 1"),
        (PauseTerms(), KILLED, "ended by signal 9 after its time to save was over"),
        (PauseTerms(), replace(PLAIN, exit_code=None), "without telling how"),
        (PauseTerms(exit_codes=(85,)), replace(PLAIN, exit_code=85), ""),
        (PauseTerms(exit_codes=(85, 86)), PLAIN, "not with exit code 85 or 86"),
        (PauseTerms(log_line="saved"), KILLED, "never said 'saved'"),
        (PauseTerms(log_line="saved"), replace(KILLED, said=True), ""),
        (FILE, PLAIN, r"nothing new matches \*\.pt"),
        (FILE, replace(PLAIN, newest_ms=ASKED_MS - 1_000), "nothing new matches"),
        (FILE, replace(PLAIN, newest_ms=FRESH_MS), ""),
        (FILE, replace(PLAIN, exit_code=1, newest_ms=PLAIN.ended_ms), "may still have been writing"),
        (FILE, replace(KILLED, newest_ms=PLAIN.ended_ms - 500), "may still have been writing"),
        (FILE, replace(KILLED, newest_ms=FRESH_MS), ""),  # written long before it was ended
        (FILE, replace(PLAIN, newest_ms=FRESH_MS, unfinished="x.tmp"), "x.tmp says that it is unfinished"),
        (replace(FILE, unfinished="*.tmp"), replace(KILLED, newest_ms=PLAIN.ended_ms - 1), ""),
        (replace(FILE, log_line="saved"), replace(KILLED, said=True), "nothing new matches"),
        (replace(FILE, exit_codes=(85,)), replace(PLAIN, newest_ms=FRESH_MS), "not with exit code 85"),
    ],
)
def test_checkpoint_is_whole_where_all_that_was_asked_for_holds(
    terms: PauseTerms, seen: Evidence, words: str
) -> None:
    why = fault(terms, TERM, seen)
    assert bool(why) == bool(words)
    assert re.search(words, why)


def launch(home: Path, terms: PauseTerms) -> Launch:
    return Launch("1.1", home, ("true",), home, None, home / "out", home / "out", pausing=terms)


def test_newest_is_found_in_the_folder_of_checkpoints_and_hidden_files_are_none(tmp_path: Path) -> None:
    for at_s, name in [(10, "a.pt"), (30, "b.pt"), (20, "c.pt"), (40, ".d.pt"), (50, "e.txt")]:
        path = tmp_path / "kept" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(name)
        os.utime(path, (at_s, at_s))
    place = Place.of(launch(tmp_path, PauseTerms(folder="kept", file="*.pt")))
    assert [path.name for _, path in place.matches()] == ["b.pt", "c.pt", "a.pt"]
    before = place.before(25_000)
    assert before is not None
    assert before.name == "c.pt"


def test_folder_with_an_unfinished_mark_is_no_checkpoint_and_the_one_before_is(tmp_path: Path) -> None:
    for at_s, name in [(10, "checkpoint-1"), (20, "checkpoint-2")]:
        (tmp_path / name).mkdir()
        (tmp_path / name / "model").write_text(name)
        for path in (tmp_path / name / "model", tmp_path / name):
            os.utime(path, (at_s, at_s))
    mark = tmp_path / "checkpoint-2" / "checkpoint-is-incomplete.txt"
    mark.touch()
    terms = PRESETS["huggingface"]
    place = Place(tmp_path, terms.file, terms.unfinished)
    assert place.mark(place.matches()[0][1]) == str(mark)
    os.utime(mark, (20, 20))
    os.utime(mark.parent, (20, 20))
    assert place.before(60_000) == tmp_path / "checkpoint-1"


def test_digest_of_a_file_is_its_own_and_that_of_a_folder_changes_with_anything_in_it(tmp_path: Path) -> None:
    file = tmp_path / "x" / "a"
    file.parent.mkdir()
    file.write_bytes(b"abc")
    assert checkpoint.digest(file) == ("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", 3)
    seen = {checkpoint.digest(tmp_path / "x")[0]}
    (tmp_path / "x" / "b").write_bytes(b"")
    seen.add(checkpoint.digest(tmp_path / "x")[0])
    (tmp_path / "x" / "b").rename(tmp_path / "x" / "c")
    seen.add(checkpoint.digest(tmp_path / "x")[0])
    (tmp_path / "x" / "d").symlink_to("a")
    seen.add(checkpoint.digest(tmp_path / "x")[0])
    (tmp_path / "x" / "d").unlink()
    (tmp_path / "x" / "d").symlink_to("c")
    seen.add(checkpoint.digest(tmp_path / "x")[0])
    assert len(seen) == 5
    assert checkpoint.digest(tmp_path / "x")[1] == 3


def test_only_the_last_two_good_ones_are_kept_and_the_users_own_files_stay(tmp_path: Path) -> None:
    previous, kept = None, []
    for number in range(1, 5):
        attempt = tmp_path / str(number)
        attempt.mkdir()
        own = tmp_path / f"step-{number}"
        own.write_text(str(number))
        stamped = replace(checkpoint.stamp(own, number, attempt), previous=previous)
        checkpoint.write(attempt, stamped)
        previous = checkpoint.read(attempt)
        kept.append(Path(stamped.kept))
    assert [path.exists() for path in kept] == [False, False, True, True]
    assert all((tmp_path / f"step-{number}").exists() for number in range(1, 5))
    assert previous is not None
    assert previous.previous is not None
    assert previous.previous.previous is None
    checkpoint.let_go(tmp_path / "4")
    assert not any(path.exists() for path in kept)


def test_failed_pause_keeps_two_good_ones_behind_it(tmp_path: Path) -> None:
    good = Checkpoint(True, "b", "d", 1, 2, previous=Checkpoint(True, "a", "c", 1, 1))
    checkpoint.write(tmp_path, Checkpoint(False, "torn", "", 0, 3, "cut off", previous=good))
    found = checkpoint.read(tmp_path)
    assert found is not None
    assert found.good == good


def test_kept_checkpoint_outlives_the_deletion_of_the_users_file(tmp_path: Path) -> None:
    own = tmp_path / "step"
    own.mkdir()
    (own / "weights").write_text("1")
    found = checkpoint.stamp(own, 1, tmp_path / "attempt")
    (own / "weights").unlink()
    assert checkpoint.digest(Path(found.kept)) == (found.digest, found.size)


def test_file_that_is_no_checkpoint_is_told(tmp_path: Path) -> None:
    durable.replace(tmp_path / checkpoint.NAME, {"whole": True})
    with pytest.raises(durable.CorruptError, match="not a checkpoint"):
        checkpoint.read(tmp_path)


def test_every_preset_asks_for_a_signal_that_there_is() -> None:
    from tidewatt.backends.pausing import named

    assert all(named(terms.signal) for terms in PRESETS.values())
    assert set(PRESETS) == {"huggingface", "lightning", "submitit", "pytorch", "plain"}
