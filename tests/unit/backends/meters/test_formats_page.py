"""The readings of docs/formats.md are what the production code reads."""

import re
from pathlib import Path

from tidewatt.backends.meters.journal import Shape, parse
from tidewatt.backends.meters.reading import Reading

PAGE = Path(__file__).parents[4] / "docs" / "formats.md"


def test_example_of_the_page_is_read_as_the_page_says() -> None:
    [block] = re.findall(r"```\n(\{\"columns\".*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    first, *rest = block.encode().splitlines()
    shape = parse(first)
    assert isinstance(shape, Shape)
    start, tick = (parse(line, shape) for line in rest)
    assert isinstance(start, Reading)
    assert isinstance(tick, Reading)
    assert (start.cause, tick.cause) == ("start 12.1", "tick")
    assert tick.energy_uj["gpu:GPU-a"] - start.energy_uj["gpu:GPU-a"] == 300_000 * (
        tick.mono_ms - start.mono_ms
    )
    assert (tick.cpu_ms, tick.slept_ms) == ({"host": 512_000, "12.1": 9000}, 0)
