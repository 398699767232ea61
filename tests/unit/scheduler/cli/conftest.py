"""A stand-in for the daemon, and a way to call the command line as a person does."""

import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.unit.scheduler.cli.fake_daemon import FakeDaemon, serving
from tidewatt.scheduler.cli import main
from tidewatt.scheduler.paths import paths


@pytest.fixture
def fake_daemon(own_home: Path) -> Iterator[FakeDaemon]:
    """A daemon that answers on the socket of this test's home."""
    place = paths(os.environ)
    place.make()
    fake = FakeDaemon()
    with serving(fake, place.socket):
        yield fake


@dataclass(frozen=True)
class Said:
    """What a command printed, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """What it printed, as JSON."""
        return json.loads(self.out)


@pytest.fixture
def tidewatt(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[Callable[..., Said]]:
    """Calls a command in an empty folder, in Berlin."""

    def call(*arguments: str) -> Said:
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        out, err = capsys.readouterr()
        return Said(int(ended.value.code or 0), out, err)

    with monkeypatch.context() as patched:
        patched.chdir(tmp_path)
        patched.setenv("TZ", "Europe/Berlin")
        patched.setenv("COLUMNS", "100")
        time.tzset()
        yield call
    time.tzset()
