"""Whatever a script says, in whatever order: what is read is what was said."""

import tempfile
from collections import Counter
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as some

from tidewatt.backends import hooks, marks
from tidewatt.backends.clock import Clock
from tidewatt.backends.hooks import words

NUMBERS = some.integers(0, 10**9)
SAID = some.one_of(
    some.tuples(some.just("steps"), some.tuples(NUMBERS, NUMBERS, NUMBERS)),
    some.tuples(some.sampled_from(["samples", "tokens", "epochs", "flops"]), NUMBERS),
    some.tuples(some.just("phase"), some.text(max_size=80)),
    some.tuples(some.just("checkpoint"), some.none() | NUMBERS),
    some.tuples(some.just("flush"), some.none()),
    some.tuples(some.just("wrong"), some.sampled_from([-1, float("inf"), float("nan"), "many", None, [1]])),
)


@settings(max_examples=40, deadline=None)
@given(some.lists(SAID, max_size=40))
def test_what_is_read_is_what_was_said(said: list[tuple[str, object]]) -> None:
    counted: Counter[str] = Counter()
    kept: dict[str, int] | None = None
    steps: set[int] = set()
    with tempfile.TemporaryDirectory() as folder:
        words.begin(f"{folder}/marks")
        try:
            for word, value in said:
                match word, value:
                    case "steps", (int() as number, int() as samples, int() as tokens):
                        hooks.steps(number, samples=samples, tokens=tokens)
                        counted.update(steps=number, samples=samples, tokens=tokens)
                    case "phase", str() as label:
                        hooks.phase(label)
                    case "checkpoint", step:
                        hooks.checkpoint(step=step)  # type: ignore[arg-type]
                        kept = {kind: number for kind, number in counted.items() if number}
                        steps.add(step if isinstance(step, int) else marks.NOT_SAID)
                    case "flush", _:
                        hooks.flush()
                    case "wrong", wrong:
                        hooks.samples(wrong)  # type: ignore[arg-type]
                    case kind, int() as number:
                        {"epochs": hooks.epoch}.get(kind, getattr(hooks, kind, hooks.epoch))(number)
                        counted[kind] += number
            hooks.flush()
        finally:
            words.begin(None)
        found = marks.read(Path(folder, "marks"), Clock(), 0, 2**45)
    assert {kind: number for kind, number in found.counts.items() if number} == {
        kind: number for kind, number in counted.items() if number
    }
    assert {step for _, step in found.checkpoints} == steps
    if kept is not None:
        assert {kind: number for kind, number in (found.kept or {}).items() if number} == kept
    assert all(label.isprintable() and 0 < len(label) <= 64 for _, _, label in found.phases)
