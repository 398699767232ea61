"""Where two records differ, in words."""

from collections.abc import Iterator, Mapping
from typing import Any


def differences(told: Any, computed: Any) -> list[str]:
    """Each place where told and computed differ: `ledgers.0.actual_ug: 5 is told, 6 computed`."""
    return list(_differences(told, computed, ""))


def _differences(told: Any, computed: Any, where: str) -> Iterator[str]:
    if isinstance(told, Mapping) and isinstance(computed, Mapping):
        for name in sorted({*told, *computed}, key=str):
            inner = f"{where}.{name}" if where else str(name)
            if name not in told or name not in computed:
                yield f"{inner}: {'not told' if name not in told else 'told, but not computed'}"
            else:
                yield from _differences(told[name], computed[name], inner)
    elif isinstance(told, list | tuple) and isinstance(computed, list | tuple):
        if len(told) != len(computed):
            yield f"{where}: {len(told)} are told, {len(computed)} computed"
            return
        for number, (one, other) in enumerate(zip(told, computed, strict=True)):
            yield from _differences(one, other, f"{where}.{number}")
    elif told != computed or type(told) is not type(computed):
        yield f"{where}: {str(told)[:60]} is told, {str(computed)[:60]} computed"
