"""An attempt that may be in an engine's hands is not given up because somebody sets a clock."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import time_machine

from tidewatt.backends.backend import BackendError, Launch, Phase, StopReason
from tidewatt.backends.desk import Fate, Seen
from tidewatt.backends.handover import Handover
from tidewatt.backends.reference import Reference

TOKEN = "tw-1f8e2a9c-1-1"


@dataclass
class Shy:
    """An engine that takes a job, gives no answer, and shows it late."""

    sent: list[str] = field(default_factory=list)
    shows: bool = False
    fate: Fate = Fate.NEVER
    answers: bool = False

    def send(self, launch: Launch, _place: Mapping[str, Any]) -> str:
        self.sent.append(launch.token)
        if self.answers:
            return "j-1"
        raise BackendError("no answer came", transient=True)

    def look(self, _place: Mapping[str, Any], wanted: Mapping[str, str]) -> Mapping[str, Seen]:
        return {each: Seen("j-1", Phase.RUNNING, started_ms=1) for each in wanted if self.shows}

    def end(self, _found: Reference, _launch: Launch, _reason: StopReason) -> None:
        pass

    def withdraw(self, _found: Reference) -> Fate:
        return self.fate

    def finish(self, _folder: Path, _found: Reference) -> None:
        pass

    def output(self, _found: Reference, _launch: Launch, _offset: int, _limit: int) -> bytes:
        return b""


def launched(folder: Path) -> Launch:
    out = folder / "out"
    return Launch(
        "1.1", folder / "1", ("true",), folder, None, out, out, token=TOKEN, region="eu", name="train"
    )


@pytest.mark.parametrize("step_s", [86_400, -86_400])
def test_clock_that_is_set_decides_nothing(tmp_path: Path, step_s: int) -> None:
    desk, passed_s = Shy(), 0.0
    backend = Handover("Shy", desk, {"eu": {}}, visible_s=60)
    launch = launched(tmp_path)
    with (
        time_machine.travel("2026-03-10 09:00Z", tick=False) as clock,
        patch("tidewatt.backends.judge.time.monotonic", lambda: passed_s),
    ):
        with pytest.raises(BackendError):
            backend.submit(launch)
        assert backend.status([launch.folder])[launch.folder].phase is Phase.LAUNCHING
        clock.shift(step_s)
        passed_s = 30.0
        assert backend.status([launch.folder])[launch.folder].phase is Phase.LAUNCHING
        desk.shows = True
        assert backend.status([launch.folder])[launch.folder].phase is Phase.RUNNING
    assert desk.sent == [TOKEN]


@pytest.mark.parametrize("step_s", [86_400, -86_400])
def test_what_was_never_taken_is_known_after_its_time_whatever_the_clock_says(
    tmp_path: Path, step_s: int
) -> None:
    passed_s = 0.0
    backend = Handover("Shy", Shy(), {"eu": {}}, visible_s=60)
    launch = launched(tmp_path)
    with (
        time_machine.travel("2026-03-10 09:00Z", tick=False) as clock,
        patch("tidewatt.backends.judge.time.monotonic", lambda: passed_s),
    ):
        with pytest.raises(BackendError):
            backend.submit(launch)
        backend.status([launch.folder])
        clock.shift(step_s)
        passed_s = 61.0
        assert backend.status([launch.folder])[launch.folder].phase is Phase.POISONED


def test_what_may_still_start_is_unknown_however_long_it_is_not_shown(tmp_path: Path) -> None:
    passed_s, desk = 0.0, Shy(fate=Fate.OPEN)
    backend = Handover("Shy", desk, {"eu": {}}, visible_s=60, vanished_s=60)
    launch = launched(tmp_path)
    with patch("tidewatt.backends.judge.time.monotonic", lambda: passed_s):
        with pytest.raises(BackendError):
            backend.submit(launch)
        backend.status([launch.folder])
        for later_s in (61.0, 3_600.0, 1e6):
            passed_s = later_s
            assert backend.status([launch.folder])[launch.folder].phase is Phase.UNKNOWN
        desk.shows = True
        assert backend.status([launch.folder])[launch.folder].phase is Phase.RUNNING


@pytest.mark.parametrize("answers", [True, False])
def test_what_was_claimed_there_is_lost_and_not_called_never_started(tmp_path: Path, answers: bool) -> None:
    passed_s = 0.0
    backend = Handover(
        "Shy", Shy(fate=Fate.STARTED, answers=answers), {"eu": {}}, visible_s=60, vanished_s=60
    )
    launch = launched(tmp_path)
    with patch("tidewatt.backends.judge.time.monotonic", lambda: passed_s):
        with suppress(BackendError):
            backend.submit(launch)
        backend.stop(launch.folder, StopReason.PAUSED)
        for later_s in (0.0, 61.0, 122.0, 1e6):
            passed_s = later_s
            status = backend.status([launch.folder])[launch.folder]
            assert status.phase is not Phase.POISONED
        if not answers:  # nobody has seen it yet: it is waited for
            assert status.phase is Phase.UNKNOWN
            return
    assert (status.phase, status.exit_code) == (Phase.ENDED, None)
    assert "exit status lost" in status.reason
    assert status.stopped is None
