"""The column `power_steps` of a file of jobs: a draw that changes while a job runs."""

from collections.abc import Mapping

from tidewatt.scheduler.columns import Columns
from tidewatt.scheduler.errors import BadInput
from tidewatt.scheduler.planning.draw import Steps, profile

NAME = "power_steps"
FORM = "write watts from shares of the run on, the first from 0: 0:12000;25%:6000;50%:2400"
Draw = tuple[float, Steps]  # mean watts; no steps for a draw that turns out constant


def draws_of(columns: Columns) -> dict[int, Draw]:
    """Mean watts and steps of each job, by index, that states some.

    Raises:
        BadInput: a cell is no list of steps, or another column of its job does not go with it.
    """
    found: dict[int, Draw] = {}
    for index, words in enumerate(columns.words(NAME)):
        if words:
            try:
                found[index] = profile([_step(word) for word in words])
            except BadInput as error:
                columns.refuse(index, NAME, f"{error}: {FORM}")
    _check_beside(columns, found)
    return found


def _step(word: str) -> tuple[float, float]:
    share, colon, watts = word.partition(":")
    try:
        part = float(share.removesuffix("%")) / 100 if share.strip().endswith("%") else float(share)
        return part, float(watts)
    except ValueError:
        missing = "" if colon else " (there is no colon)"
        raise BadInput(f"{word!r} is no step of power{missing}") from None


def _check_beside(columns: Columns, found: Mapping[int, Draw]) -> None:
    """Refuses what a job with steps cannot have: they are placed before the others, each in one piece."""
    if not found:
        return
    given, limits = columns.texts("power_w"), columns.integers("array_limit", 0, 0)
    pausable, after, ids = columns.flags("pausable"), columns.words("after"), columns.texts("id")
    for index in found:
        if given[index]:
            columns.refuse(index, NAME, "power_w is given too: keep one of them")
        if pausable[index]:
            columns.refuse(index, NAME, "a pausable job draws one power here: give its mean as power_w")
        if after[index] or limits[index]:
            name = "after" if after[index] else "array_limit"
            columns.refuse(
                index, NAME, f"such jobs are placed before the others: leave {name} out, or give power_w"
            )
    changing = {ids[index] or str(index + 1): index for index in found}
    for names in after:
        for name in names:
            if name in changing:
                sentence = (
                    f"such jobs are placed before the others, but one comes after job {name}: give power_w"
                )
                columns.refuse(changing[name], NAME, sentence)
