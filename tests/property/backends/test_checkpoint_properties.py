"""A checkpoint is never taken for whole against what was seen; readings of outputs never lose a byte."""

import os
import tempfile
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from tidewatt.backends import moves
from tidewatt.backends.backend import Move, PauseTerms, Phase
from tidewatt.backends.checkpoint import Checkpoint, Evidence, fault
from tidewatt.backends.moves import Step
from tidewatt.backends.rotation import Output

CODES = st.one_of(st.none(), st.sampled_from([0, 1, 85, 143]))
TERMS = st.builds(
    PauseTerms,
    exit_codes=st.sampled_from([(), (85,), (0, 143)]),
    file=st.sampled_from(["", "*.pt"]),
    unfinished=st.sampled_from(["", "*.tmp"]),
    log_line=st.sampled_from(["", "saved"]),
)
TIMES = st.integers(0, 100_000)
EVIDENCE = st.builds(
    Evidence,
    exit_code=CODES,
    signal=st.one_of(st.none(), st.just(9)),
    asked_ms=st.just(20_000),
    ended_ms=st.integers(20_000, 100_000),
    late_ms=st.one_of(st.none(), st.just(50_000)),
    newest_ms=st.one_of(st.none(), TIMES),
    unfinished=st.sampled_from(["", "x.tmp"]),
    said=st.booleans(),
)


@given(TERMS, EVIDENCE)
def test_whole_means_that_every_given_condition_holds(terms: PauseTerms, seen: Evidence) -> None:
    if fault(terms, 15, seen):
        return
    assert not terms.exit_codes or seen.exit_code in terms.exit_codes
    assert not terms.log_line or seen.said
    assert not seen.unfinished
    assert not terms.file or (seen.newest_ms is not None and seen.newest_ms >= seen.asked_ms - 10)
    orderly = seen.exit_code in (0, 143, *terms.exit_codes)
    assert orderly or seen.said or terms.file


@given(TERMS, EVIDENCE)
def test_seeing_less_never_makes_a_checkpoint_whole(terms: PauseTerms, seen: Evidence) -> None:
    if fault(terms, 15, seen):
        assert fault(terms, 15, replace(seen, newest_ms=None, said=False, unfinished="x.tmp"))


CHECKPOINTS = st.recursive(
    st.none(),
    lambda previous: st.builds(
        Checkpoint, st.just(True), st.just(""), st.just(""), st.just(0), TIMES, previous=previous
    ),
    max_leaves=4,
)


@given(CHECKPOINTS, st.booleans())
def test_what_a_job_goes_on_from_is_always_whole(previous: Checkpoint | None, whole: bool) -> None:
    good = Checkpoint(whole, "", "", 0, 1, previous=previous).good
    assert good is None or good.whole


@given(st.lists(st.binary(max_size=300), max_size=30), st.integers(50, 200), st.data())
def test_offsets_of_an_output_mean_the_same_bytes_however_often_it_is_rotated(
    written: list[bytes], bound: int, data: st.DataObject
) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        output, total = Output(folder, folder / "out"), b""
        for part in written:
            with open(output.path, "ab") as file:
                file.write(part)
            total += part
            output.rotate(bound, nullcontext)
            assert output.end() == len(total)
            begin = output.begin()
            assert len(total) - begin >= min(len(total), bound)
            assert os.path.getsize(output.path) < bound
            offset = data.draw(st.integers(begin, len(total)))
            got, at = b"", offset
            while chunk := output.read(at, 64):
                got, at = got + chunk, at + len(chunk)
            assert got == total[offset:]


@given(st.lists(st.floats(0, 100), min_size=4, max_size=12), st.floats(0, 100))
def test_time_stood_is_never_longer_than_the_time_passed(times: list[float], more_s: float) -> None:
    cycle = (Phase.PAUSING, Phase.SUSPENDED, Phase.RESUMING, Phase.RUNNING)
    steps = [Step(Move(cycle[n % 4], n), at) for n, at in enumerate(sorted(times))]
    now_s = max(times) + more_s
    stood = moves.stood_s(steps, now_s)
    expected = sum(
        (steps[n + 1].mono_s if n + 1 < len(steps) else now_s) - step.mono_s
        for n, step in enumerate(steps)
        if step.move.phase is Phase.SUSPENDED
    )
    assert abs(stood - expected) < 1e-6
    assert 0 <= stood <= now_s - steps[0].mono_s + 1e-9
