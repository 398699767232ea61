"""Jobs that belong together: a sweep, or all runs behind one result, with those that came to nothing."""

from collections.abc import Collection, Mapping
from enum import StrEnum

LABEL = "experiment"  # `submit --label experiment=NAME`
DISCARDED = "discarded"  # `submit --label discarded=WHY`: was never meant for the result


class Fate(StrEnum):
    """What became of a run; all of them are in an experiment's total."""

    KEPT = "kept"  # done, and the result stands on it as far as anybody said
    FAILED = "failed"  # failed, or was cancelled
    DISCARDED = "discarded"  # done, and the result does without it


def experiment_of(labels: Mapping[str, str], array: int) -> str:
    """The job's experiment: its label, else its array as `array 12`, else ""."""
    return labels.get(LABEL, "") or (f"array {array}" if array else "")


def fate_of(state: str, labels: Mapping[str, str], key: str, kept: Collection[str] = ()) -> Fate:
    """What became of a job; where `kept` names runs (`12`, `12_3`), the other ones that are done do not."""
    if state != "done":
        return Fate.FAILED
    if DISCARDED in labels or (kept and key not in kept):
        return Fate.DISCARDED
    return Fate.KEPT
