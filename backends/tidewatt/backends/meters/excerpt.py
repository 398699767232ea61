"""The readings that cover a stretch of time."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tidewatt.backends.clock import moment
from tidewatt.backends.meters.journal import AROUND, followed_ms
from tidewatt.backends.meters.stored import Block, blocks, files
from tidewatt.backends.meters.taken import Digest, Taken
from tidewatt.backends.meters.taken import Excerpt as Excerpt


def excerpt(folder: Path, start_ms: int, end_ms: int, attempt_id: str = "") -> Excerpt:
    """The readings from the last before `start_ms` to the first after `end_ms`, and two more on each side.

    The attempt's own readings ("start 12.1", "end 12.1") are always among them, whatever the clock said then.
    """
    run = start_ms, end_ms, attempt_id
    try:
        return _taken(folder, *run, outside=lambda first, last: last < start_ms or first > end_ms)
    except _OmittedError:  # somebody set the clock: what looked outside is not
        return _taken(folder, *run)


class _OmittedError(Exception):
    pass


def _taken(
    folder: Path,
    start_ms: int,
    end_ms: int,
    attempt_id: str,
    outside: Callable[[int, int], bool] | None = None,
) -> Excerpt:
    taken = Taken()
    found = blocks(files(folder, start_ms, end_ms), outside)
    for block in _between(found, start_ms, end_ms, attempt_id):
        if block.omitted:
            raise _OmittedError
        taken.add(block)
    return taken.ordered(start_ms, end_ms, attempt_id)


def export(folder: Path, into: Path, start_ms: int, end_ms: int, attempt_id: str = "") -> str:
    """Writes the lines that `excerpt` takes into files of the same names; returns its digest.

    An excerpt of the new folder for the same run is the same, and so is its usage; `into` is made if needed.
    """
    into.mkdir(mode=0o700, parents=True, exist_ok=True)
    whole = Digest()
    for path in files(folder, start_ms, end_ms):
        (into / path.name.removesuffix(".gz")).unlink(missing_ok=True)
    for block in _between(blocks(files(folder, start_ms, end_ms)), start_ms, end_ms, attempt_id):
        name = f"{moment(int(block.time_ms[0])):%Y-%m-%d}-{block.shape.boot_id[:8]}.jsonl"
        with open(into / name, "ab") as file:
            file.write(b"".join(block.heads) + block.lines)
        whole.add(block)
    return whole.hexdigest()


def _between(found: Iterable[Block], start_ms: int, end_ms: int, attempt_id: str) -> Iterator[Block]:
    """Cuts the readings to the range, with some neighbours on each side."""
    starts, ends = (f"{edge} {attempt_id}" for edge in ("start", "end"))
    before: list[Block] = []
    held: list[Block] = []  # of after the end: given out where the range goes on, else its neighbours only
    started = False
    inside: Block | None = None  # the last reading within the range
    for block in found:
        part = block
        if not started:
            first = _first(block, block.time_ms >= start_ms, starts)
            if first is None:
                before = _last_rows([*before, block], AROUND)
                continue
            started = True
            yield from _last_rows(before, AROUND - first)
            part = block.cut(max(first - AROUND, 0), len(block))
        last = _last(part, part.time_ms <= end_ms, ends)
        if last is None:
            held.append(part)
            continue
        yield from held
        held = [part.cut(last + 1, len(part))] if last + 1 < len(part) else []
        inside = part.cut(last, last + 1)
        yield part.cut(0, last + 1)
    if not started:
        yield from before  # what was known before the start still says that the meter had stopped
    yield from _following(held, inside, read_at_end=inside is not None and ends in inside.causes.values())


def _following(held: Sequence[Block], inside: Block | None, *, read_at_end: bool) -> Iterator[Block]:
    """The neighbours after the range, but for such as came later than the meter's next readings.

    Otherwise what an account rests on would change with the next job's readings. The first of them counts
    whenever it comes where nobody read the meter at the end.
    """
    found = 0
    for block in held:
        count = min(AROUND - found, len(block))
        if inside is not None:
            soon = block.rows[:count, 1] - inside.rows[0, 1] <= followed_ms(inside.header.interval_ms)
            same_boot = block.header.boot_id == inside.header.boot_id
            near = int(np.argmin(soon)) if not soon.all() else count
            count = near if same_boot else 0
            if not read_at_end and found == 0:
                count = max(count, 1)
        if count <= 0:
            return
        yield block.cut(0, count)
        found += count


def _last_rows(found: Sequence[Block], count: int) -> list[Block]:
    kept: list[Block] = []
    for block in reversed(found):
        if count > 0:
            kept.insert(0, block.cut(max(0, len(block) - count), len(block)))
        count -= len(block)
    return kept


def _first(block: Block, inside: NDArray[np.bool_], cause: str) -> int | None:
    rows = [int(inside.argmax())] if inside.any() else []
    rows += [row for row, said in block.causes.items() if said == cause]
    return min(rows, default=None)


def _last(block: Block, inside: NDArray[np.bool_], cause: str) -> int | None:
    rows = [len(block) - 1 - int(inside[::-1].argmax())] if inside.any() else []
    rows += [row for row, said in block.causes.items() if said == cause]
    return max(rows, default=None)
