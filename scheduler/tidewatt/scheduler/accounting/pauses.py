"""What one pause of a job took: its checkpoint, standing still, coming back, and work that was lost."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class PauseUse:
    """One pause of the attempt `attempt_id`, PUE not applied; energy is None where none was metered.

    `saving` is what it did from the request to its end or its standstill, `standing` the standstill.
    `coming_back` is of the launch that followed, until it ran, and of phases in which it told that it
    restarts; what it took to load its work beside that, nobody told. `lost` is running time whose work no
    later attempt kept. `moved_uj` is what bringing its data to another region took, None where it stayed.
    """

    attempt_id: str
    by: Literal["checkpoint", "stop"]
    at_ms: int
    saving_ms: int
    saving_uj: int | None = None
    standing_ms: int = 0
    standing_uj: int | None = None
    coming_back_ms: int | None = None  # None: nothing came after it
    coming_back_uj: int | None = None
    lost_ms: int = 0
    lost_uj: int | None = None
    region: str = ""
    next_region: str = ""
    moved_uj: int | None = None

    def record(self) -> dict[str, Any]:
        """In integers and strings; what is not known or nothing is left out."""
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        return {name: value for name, value in values.items() if value not in (None, "")}

    @classmethod
    def restored(cls, record: Mapping[str, Any]) -> "PauseUse":
        """The pause that `record` wrote down."""
        return cls(**record)
