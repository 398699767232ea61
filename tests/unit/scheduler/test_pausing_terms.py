"""How pauses are spelt, kept, and handed to planner and backend."""

import shlex
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tidewatt.scheduler.cli.pausing_options import FLAGS
from tidewatt.scheduler.errors import BadInput
from tidewatt.scheduler.pausing_schema import (
    ASSUMED_RESTART_S,
    PausingRequest,
    pausing_of,
    record_of,
    request_of,
    signal_name,
    terms_of,
)
from tidewatt.scheduler.pausing_words import NAMES, pausing_fields
from tidewatt.scheduler.proof.canonical import check

PAGE = Path(__file__).parents[3] / "docs" / "pausing.md"
SAID: dict[str, Any] = {
    "pausable": True,
    "pause_signal": "usr1",
    "pause_grace": "2m",
    "checkpoint_dir": "ck",
    "done_when": ["exit:85,86", "file:*.pt", "unfinished:*.part", "log:saved"],
    "resume_arg": ["--from", "{checkpoint}"],
    "resume_env": ["RESUME=a=b"],
    "checkpoint_time": "3m",
    "restart_time": "0",
    "checkpoint_wh": 1.5,
    "suspended_w": 60,
    "min_stint": "30m",
    "max_pauses": 4,
    "moves": True,
}


def test_all_that_can_be_said_reaches_backend_and_planner() -> None:
    fields = pausing_fields(SAID)
    assert fields is not None
    record = record_of(PausingRequest(**fields))
    terms, pausing = terms_of(record), pausing_of(record)
    assert terms is not None
    assert (terms.signal, terms.grace_s, terms.exit_codes) == ("USR1", 120.0, (85, 86))
    assert (terms.file, terms.unfinished, terms.log_line, terms.folder) == ("*.pt", "*.part", "saved", "ck")
    assert terms.resume_args == ("--from", "{checkpoint}")
    assert terms.resume_env == {"RESUME": "a=b"}
    assert pausing is not None
    assert (pausing.checkpoint, pausing.restart) == (timedelta(minutes=3), timedelta(0))
    assert (pausing.checkpoint_wh, pausing.restart_wh, pausing.max_pauses) == (1.5, None, 4)
    assert pausing.suspended_w == 0  # by checkpoint it has no process while it is paused
    assert pausing.moves


def test_record_holds_integers_and_strings_and_gives_the_request_back() -> None:
    request = PausingRequest(**(pausing_fields(SAID) or {}))
    record = record_of(request)
    check(record)
    again = request_of(record)
    assert again is not None
    assert record_of(again) == record


@pytest.mark.parametrize("preset", ["huggingface", "lightning", "submitit", "pytorch", "plain"])
def test_preset_is_a_start_and_what_is_given_counts(preset: str) -> None:
    terms = terms_of(record_of(PausingRequest(preset=preset, folder="there", grace_s=7)))
    assert terms is not None
    assert (terms.folder, terms.grace_s) == ("there", 7)


def test_times_that_nobody_gave_are_called_assumed() -> None:
    record = record_of(PausingRequest())
    assert record["times"] == "assumed"
    assert record["restart_ms"] == ASSUMED_RESTART_S * 1000


def test_pauses_that_were_had_are_taken_off() -> None:
    record = record_of(PausingRequest(max_pauses=3)) | {"pauses": 2}
    pausing = pausing_of(record)
    assert pausing is not None
    assert pausing.max_pauses == 1


def test_job_that_only_stands_still_draws_meanwhile_and_stays() -> None:
    record = record_of(PausingRequest(by="stop", suspended_w=50))
    pausing = pausing_of(record)
    assert terms_of(record) is None
    assert pausing is not None
    assert (pausing.suspended_w, pausing.checkpoint, pausing.moves) == (50, timedelta(0), False)


@pytest.mark.parametrize("said", [{}, {"pausable": False}, dict.fromkeys(NAMES)])
def test_nothing_said_is_one_piece(said: dict[str, Any]) -> None:
    assert pausing_fields(said) is None
    assert (pausing_of(None), terms_of(None), request_of(None)) == (None, None, None)
    assert pausing_of({"until_ms": 5}) is None  # only its owner let it stand still


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"done_when": ["exit:256"]}, "exit codes"),
        ({"done_when": ["when it likes"]}, "--done-when"),
        ({"resume_env": ["=x"]}, "NAME=VALUE"),
        ({"pause_by": "magic"}, "checkpoint or stop"),
        ({"pausable": False, "moves": True}, "leave out --moves"),
        ({"checkpoint_time": "3"}, "--checkpoint-time"),
    ],
)
def test_what_cannot_be_read_is_refused_in_a_sentence(said: dict[str, Any], words: str) -> None:
    with pytest.raises(BadInput, match=words):
        pausing_fields(said)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"preset": "no-such"}, "no preset"),
        ({"signal": "USR3"}, "no signal"),
        ({"by": "stop", "moves": True}, "makes no checkpoint"),
        ({"resume_env": {"A B": "1"}}, "no name of a variable"),
        ({"resume_args": ("a\0",)}, "zero byte"),
    ],
)
def test_terms_that_contradict_each_other_are_refused(asked: dict[str, Any], words: str) -> None:
    with pytest.raises(BadInput, match=words):
        record_of(PausingRequest(**asked))


@pytest.mark.parametrize("text", ["usr1", "SIGUSR1", " USR1 "])
def test_signals_are_known_by_their_names(text: str) -> None:
    assert signal_name(text) == "USR1"


def test_flags_and_words_are_the_same() -> None:
    assert set(FLAGS) == set(NAMES)


def test_flags_of_the_page_exist() -> None:
    flags = {f"--{name.replace('_', '-')}" for name in NAMES}
    lines = [line for line in PAGE.read_text().splitlines() if line.startswith("tidewatt submit")]
    said = {word for line in lines for word in shlex.split(line) if word.startswith("--")}
    assert said - flags <= {"--finish-by", "--duration", "--"}
