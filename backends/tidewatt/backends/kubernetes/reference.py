"""What `engine.json` says of an attempt here: how to reach it, and how far it has come.

It stands in the attempt's folder before anything is sent, and is all that is needed once a region is no
longer configured. It holds no secrets: those stay in the kubeconfig that it names.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from pathlib import Path
from typing import Any

from tidewatt.backends import durable

FILE = "engine.json"


class Wanted(StrEnum):
    """What should become of a Job; stands on the Job itself too, so that no late request undoes it."""

    RUN = "run"
    STOP = "stop"
    PAUSE = "pause"


@dataclass(frozen=True, slots=True)
class Reach:
    """Which cluster, and as whom."""

    context: str = ""
    kubeconfig: str = ""
    in_cluster: bool = False


@dataclass(frozen=True, slots=True)
class Reference:
    """One attempt's Job. Times are real Unix milliseconds, 0 where not known.

    `uid` is that of the one Job which may run: it is written down before that Job is let go, and `released`
    says that this was then tried, `pushed` that the cluster took it. Another Job of the same name never is.
    """

    reach: Reach
    namespace: str
    name: str
    home: str  # label of all Jobs of one state folder
    queue: str = ""
    pull_patience_s: float = 600.0
    prometheus: Mapping[str, Any] | None = None
    made_ms: int = 0
    uid: str = ""
    released: bool = False
    pushed: bool = False
    released_ms: int = 0
    wanted: Wanted = Wanted.RUN
    asked_ms: int = 0
    gave_up: str = ""  # why we ourselves asked for its end
    pod: str = ""
    node: str = ""
    started_ms: int = 0
    finished_ms: int = 0
    exit_code: int | None = None
    oom: bool = False
    taken_ms: int = 0  # when somebody asked for its pod's deletion
    disrupted: str = ""  # by whom its place was taken away
    late: bool = False  # it ran into its time limit
    collected: bool = False
    hopeless_ms: int = 0  # since when its container does not start for want of an image or a setting

    @property
    def jobs(self) -> str:
        """Path of the namespace's Jobs."""
        return f"/apis/batch/v1/namespaces/{self.namespace}/jobs"

    @property
    def pods(self) -> str:
        """Path of the namespace's pods."""
        return f"/api/v1/namespaces/{self.namespace}/pods"

    @property
    def secrets(self) -> str:
        """Path of the namespace's Secrets."""
        return f"/api/v1/namespaces/{self.namespace}/secrets"

    @property
    def selector(self) -> str:
        """Labels of all that belongs to this state folder."""
        return f"tidewatt/home={self.home}"

    def create(self, folder: Path) -> bool:
        """Writes it durably unless one is there."""
        return durable.create(folder / FILE, asdict(self))

    def replace(self, folder: Path) -> None:
        """Writes it durably in the place of the one that is there."""
        durable.replace(folder / FILE, asdict(self))


def read(folder: Path) -> Reference | None:
    """What is written there, None where nothing is.

    Raises:
        durable.CorruptError: It is not a reference of this backend.
    """
    content = durable.read(folder / FILE)
    if content is None:
        return None
    known = {each.name for each in fields(Reference)}
    try:
        values = {name: value for name, value in content.items() if name in known}
        values["reach"] = Reach(**values["reach"])
        values["wanted"] = Wanted(values.get("wanted", Wanted.RUN))
        return Reference(**values)
    except (KeyError, TypeError, ValueError) as error:
        raise durable.CorruptError(f"{folder / FILE} is no reference to a Job: {error!r}") from error
