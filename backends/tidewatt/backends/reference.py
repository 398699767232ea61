"""What an engine calls an attempt, and how it is reached again: `engine.json` in the attempt's folder.

It is written before anything is sent, so that a crash or an unclear answer leaves an attempt of which one
knows that the engine may have it. It holds no secret, and all that is needed to ask the engine again should
the region be taken out of the configuration.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from tidewatt.backends import durable

NAME = "engine.json"


@dataclass(frozen=True, slots=True)
class Reference:
    """An attempt at its engine. Times are real Unix milliseconds; `id` is "" until the engine told it."""

    kind: str
    region: str
    token: str
    place: Mapping[str, Any]  # address, cloud region, queue: how to reach it
    sent_ms: int
    id: str = ""
    started_ms: int | None = None  # when it was first seen running
    storage: str = ""  # of this attempt, where its machine keeps claim and checkpoint: "s3://bucket/prefix/"

    @property
    def shared(self) -> bool:
        """Whether the attempt's folder is seen where it runs."""
        return bool(self.place.get("shared"))

    def begin(self, folder: Path) -> bool:
        """Written before the attempt is sent; False where it was written before."""
        return durable.create(folder / NAME, asdict(self))

    def known(self, folder: Path, engine_id: str) -> "Reference":
        """The engine has it under this id."""
        return self._kept(folder, replace(self, id=engine_id))

    def started(self, folder: Path, started_ms: int) -> "Reference":
        """It runs since then."""
        return self._kept(folder, replace(self, started_ms=started_ms))

    def _kept(self, folder: Path, changed: "Reference") -> "Reference":
        if changed != self:
            durable.replace(folder / NAME, asdict(changed))
        return changed


def read(folder: Path) -> Reference | None:
    """The attempt's reference, None where nothing was ever sent.

    Raises:
        durable.CorruptError: The file is not a reference.
        OSError: It cannot be read.
    """
    content = durable.read(folder / NAME)
    if content is None:
        return None
    try:
        return Reference(**content)
    except TypeError as error:
        raise durable.CorruptError(f"{folder / NAME} is not an engine's reference: {error}") from error
