"""Amounts of memory as people write them."""

import re

from tidewatt.scheduler.errors import BadInput

_FORM = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]?)(?:i?b)?", re.IGNORECASE)
MOST_MB = 2**40  # an exbibyte: more than any site has
_MB = {"k": 1 / 1024, "": 1, "m": 1, "g": 1024, "t": 1024 * 1024}


def parse_memory(text: str, what: str = "the memory") -> int:
    """Mebibytes, rounded up; a bare number is mebibytes, as in Slurm's `--mem`.

    Raises:
        BadInput: if it is no amount of memory, or an absurd one.
    """
    match = _FORM.fullmatch(text.strip())
    if match is None:
        raise BadInput(f"{what} {text!r} is not one: write for example 16G or 512M")
    amount_mb = float(match[1]) * _MB[match[2].lower()]
    if amount_mb > MOST_MB:
        raise BadInput(f"{what} {text!r} is more than any machine has: give less")
    return -int(-amount_mb // 1)
